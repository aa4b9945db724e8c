//! Medians, spans and ratios, as a table or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a median has to be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, median: f64) -> bool {
        match self {
            Target::AtLeast(least) => median >= least,
            Target::AtMost(most) => median <= most,
        }
    }

    fn words(self) -> (&'static str, f64) {
        match self {
            Target::AtLeast(least) => ("at least", least),
            Target::AtMost(most) => ("at most", most),
        }
    }
}

/// One figure of every round.
struct Row {
    name: String,
    target: Option<Target>,
    /// In ascending order.
    values: Vec<f64>,
}

impl Row {
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

impl Report {
    /// Adds one round's figure, which is there for comparison.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.add(name.into(), None, value);
    }

    /// Adds one round's figure, whose median has a target.
    pub(crate) fn goal(&mut self, name: impl Into<String>, target: Target, value: f64) {
        self.add(name.into(), Some(target), value);
    }

    fn add(&mut self, name: String, target: Option<Target>, value: f64) {
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, target, values: Vec::new() });
            self.rows.len() - 1
        });
        let values = &mut self.rows[index].values;
        values.push(value);
        values.sort_by(f64::total_cmp);
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<58} {:>11} {:>25}  {}\n", "", "median", "min .. max", "target");
        for row in &self.rows {
            let (min, max) = row.span();
            let verdict = row.target.map_or(String::new(), |target| {
                let (words, value) = target.words();
                let met = if target.is_met(row.median()) { "met" } else { "MISSED" };
                format!("{words} {}: {met}", number(value))
            });
            let span = format!("{} .. {}", number(min), number(max));
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{:<58} {:>11} {span:>25}  {verdict}", row.name, number(row.median()));
        }
        table
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let (min, max) = row.span();
            let target = row.target.map(|target| {
                let (words, value) = target.words();
                json!({ "direction": words, "value": value, "met": target.is_met(row.median()) })
            });
            json!({ "name": row.name, "median": row.median(), "min": min, "max": max, "target": target })
        });
        Value::Array(rows.collect())
    }
}

/// Ratios with two digits behind the point, rates with none.
fn number(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_direction() {
        let mut report = Report::default();
        for value in [3.0, 1.0, 2.0] {
            report.goal("rate", Target::AtLeast(2.0), value);
            report.goal("cost", Target::AtMost(1.9), value);
            report.figure("span", value);
        }
        let json = report.json();
        assert_eq!((&json[0]["target"]["met"], &json[1]["target"]["met"]), (&json!(true), &json!(false)));
        assert_eq!((&json[2]["median"], &json[2]["min"], &json[2]["target"]), (&json!(2.0), &json!(1.0), &json!(null)));
        assert!(report.table().contains("at most 1.90: MISSED"));
    }
}
