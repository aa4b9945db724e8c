//! Medians, spans and ratios, as a table or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// One figure of every round.
#[derive(Default)]
pub(crate) struct Series {
    values: Vec<f64>,
}

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
        self.values.sort_by(f64::total_cmp);
    }

    fn median(&self) -> f64 {
        let middle = self.values.len() / 2;
        match self.values.as_slice() {
            [] => f64::NAN,
            values if values.len() % 2 == 1 => values[middle],
            values => f64::midpoint(values[middle - 1], values[middle]),
        }
    }

    fn span(&self) -> (f64, f64) {
        (*self.values.first().unwrap_or(&f64::NAN), *self.values.last().unwrap_or(&f64::NAN))
    }
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    series: Series,
    target: Option<f64>,
}

impl Report {
    /// Adds one round's figure. `target` is the least median that satisfies us.
    pub(crate) fn add(&mut self, name: &'static str, target: Option<f64>, value: f64) {
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, series: Series::default(), target });
            self.rows.len() - 1
        });
        self.rows[index].series.push(value);
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<44} {:>12} {:>27} {:>12}\n", "", "median", "min .. max", "target");
        for Row { name, series, target } in &self.rows {
            let (min, max) = series.span();
            let verdict = target.map_or(String::new(), |target| {
                format!("{} {}", number(target), if series.median() >= target { "met" } else { "MISSED" })
            });
            let span = format!("{} .. {}", number(min), number(max));
            let median = number(series.median());
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:<44} {median:>12} {span:>27} {verdict:>12}");
        }
        table
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|Row { name, series, target }| {
            let (min, max) = series.span();
            json!({ "name": name, "median": series.median(), "min": min, "max": max, "target": target })
        });
        Value::Array(rows.collect())
    }
}

/// Ratios with two digits behind the point, rates with none.
fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
