//! A run on paper: the choices that were made, and what came of them, as JSON that replays exactly.
//!
//! Format 1 is one object: `format`, `comment` (for people), `seed` (where the run came from), `profile`, `without`
//! (kinds of faults that were switched off), `planted` (a mistake that the engine was given), `expected` (verdict, message,
//! hash), and `choices`, each `[label, bound, value]` in the order they were made. What a trace does not answer is zero, so
//! the zeros at the end of a label's record are left out.
//!
//! It never judges a run; it says what to run and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::choice::{Choice, Choices};
use crate::disk::{FaultKind, FaultSet};
use crate::profile::ProfileName;
use crate::run::{Report, Setup, Verdict};

/// The format that is written.
pub const FORMAT: u64 = 1;

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What it shows, or prevents.
    pub comment: String,
    /// The seed that it came from.
    pub seed: u64,
    /// The mixture of faults.
    pub profile: Option<ProfileName>,
    /// Kinds of faults that do not exist in it.
    pub without: FaultSet,
    /// The mistake that the engine was given.
    pub planted: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// The hash of its choices and effects.
    pub hash: u64,
    /// What was chosen.
    pub choices: Vec<Choice>,
}

impl Trace {
    /// The trace of a run that was recorded.
    #[must_use]
    pub fn of(report: &Report, setup: &Setup) -> Trace {
        Trace {
            comment: String::new(),
            seed: report.seed,
            profile: setup.profile,
            without: setup.without,
            planted: planted_of(setup),
            verdict: report.verdict.clone(),
            hash: report.hash,
            choices: without_last_zeros(&report.trace),
        }
    }

    /// Where the choices of its replay come from; they are recorded again.
    #[must_use]
    pub fn source(&self) -> Choices {
        Choices::replayed(&self.choices).recording()
    }

    /// What it is to be run with.
    ///
    /// # Errors
    /// When it needs a planted mistake that this build does not contain.
    pub fn setup(&self) -> Result<Setup, String> {
        let mut setup = Setup::of(self.profile, self.without);
        if let Some(name) = &self.planted {
            plant(&mut setup, name)?;
        }
        Ok(setup)
    }

    /// The trace as text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let without: Vec<&str> = self.without.iter().map(FaultKind::name).collect();
        let (verdict, message) = words(&self.verdict);
        let head = json!({
            "format": FORMAT,
            "comment": self.comment,
            "seed": self.seed,
            "profile": self.profile.map(ProfileName::name),
            "without": without,
            "planted": self.planted,
            "expected": { "verdict": verdict, "message": message, "hash": format!("{:016x}", self.hash) },
        });
        let mut text = "{\n".to_owned();
        for key in ["format", "comment", "seed", "profile", "without", "planted", "expected"] {
            text.push_str(&format!("  {}: {},\n", json!(key), head[key]));
        }
        text.push_str("  \"choices\": [");
        for (index, Choice { label, bound, value }) in self.choices.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            text.push_str(&format!("{comma}\n    {}", json!([label, bound, value])));
        }
        text.push_str("\n  ]\n}\n");
        text
    }

    /// Reads a trace.
    ///
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn parse(text: &str) -> Result<Trace, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let format = value["format"].as_u64().ok_or("no number `format`: this is no trace")?;
        if format != FORMAT {
            return Err(format!("format {format}; this build reads format {FORMAT}"));
        }
        let profile = match &value["profile"] {
            Value::Null => None,
            name => Some(named(name, ProfileName::from_name).ok_or_else(|| format!("no profile is called {name}"))?),
        };
        let mut without = FaultSet::EMPTY;
        for name in value["without"].as_array().map_or(&[][..], Vec::as_slice) {
            let kind = named(name, FaultKind::from_name).ok_or_else(|| format!("no kind of fault is called {name}"))?;
            without = without.with(kind);
        }
        let expected = &value["expected"];
        let message = expected["message"].as_str().unwrap_or_default().to_owned();
        let verdict = match expected["verdict"].as_str() {
            Some("kept") => Verdict::Kept,
            Some("violation") => Verdict::Violation(message),
            Some("harness") => Verdict::Harness(message),
            _ => return Err("`expected.verdict` is none of kept, violation, harness".to_owned()),
        };
        let hash = expected["hash"].as_str().and_then(|hash| u64::from_str_radix(hash, 16).ok());
        let choices = value["choices"].as_array().ok_or("no list `choices`")?;
        Ok(Trace {
            comment: value["comment"].as_str().unwrap_or_default().to_owned(),
            seed: value["seed"].as_u64().ok_or("no number `seed`")?,
            profile,
            without,
            planted: value["planted"].as_str().map(str::to_owned),
            verdict,
            hash: hash.ok_or("`expected.hash` is no hexadecimal number")?,
            choices: choices.iter().map(choice).collect::<Result<_, _>>()?,
        })
    }
}

/// The words for a verdict: its kind, and its message.
#[must_use]
pub fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Kept => ("kept", ""),
        Verdict::Violation(message) => ("violation", message),
        Verdict::Harness(message) => ("harness", message),
    }
}

/// The name of the mistake that a setup plants.
#[must_use]
pub fn planted_of(setup: &Setup) -> Option<String> {
    #[cfg(feature = "planted-bugs")]
    return setup.planted.map(|bug| bug.name().to_owned());
    #[cfg(not(feature = "planted-bugs"))]
    {
        let _ = setup;
        None
    }
}

/// Plants a mistake by its name.
///
/// # Errors
/// When this build does not contain it.
pub fn plant(setup: &mut Setup, name: &str) -> Result<(), String> {
    #[cfg(feature = "planted-bugs")]
    {
        let bug = crate::mutants::find(name).ok_or_else(|| no_mistake(name))?;
        setup.planted = Some(bug);
        Ok(())
    }
    #[cfg(not(feature = "planted-bugs"))]
    {
        let _ = setup;
        Err(format!("the mistake {name} is in no build without `--features planted-bugs`"))
    }
}

/// Says that no mistake has this name.
#[must_use]
pub fn no_mistake(name: &str) -> String {
    format!("no planted mistake is called {name:?}; `docdb-sim mutants --list` names them all")
}

fn named<T>(value: &Value, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    value.as_str().and_then(find)
}

fn choice(value: &Value) -> Result<Choice, String> {
    let parts = (value[0].as_str(), value[1].as_u64(), value[2].as_u64());
    let (Some(label), Some(bound), Some(answer)) = parts else {
        return Err(format!("{value} is no choice such as [\"run/round\", 2, 1]"));
    };
    Ok(Choice { label: interned(label), bound, value: answer })
}

/// The one copy of a label. There are few; each is kept for the life of the process.
fn interned(label: &str) -> &'static str {
    static LABELS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut labels = LABELS.lock().expect("nobody panics while holding it");
    if let Some(known) = labels.get(label) {
        return known;
    }
    let kept: &'static str = Box::leak(label.to_owned().into_boxed_str());
    labels.insert(kept);
    kept
}

/// Zeros behind the last other answer of their label say nothing.
fn without_last_zeros(choices: &[Choice]) -> Vec<Choice> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, choice) in choices.iter().enumerate().filter(|(_, choice)| choice.value != 0) {
        last.insert(choice.label, index);
    }
    let needed = |(index, choice): &(usize, &Choice)| last.get(choice.label).is_some_and(|last| index <= last);
    choices.iter().enumerate().filter(needed).map(|(_, choice)| *choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{run_seed, run_with};

    #[test]
    fn a_trace_reads_back_as_it_was_written_and_replays_exactly() {
        for seed in 0..20 {
            let setup = Setup::of(None, FaultSet::EMPTY.with(FaultKind::ShortWrite));
            let report = run_seed(seed, true, &setup);
            let trace = Trace::of(&report, &setup);
            let read = Trace::parse(&trace.to_json()).expect("what was written can be read");
            assert_eq!(read, trace);
            let again = run_with(seed, read.source(), &read.setup().expect("nothing is planted"));
            assert_eq!((again.hash, again.verdict), (report.hash, report.verdict), "seed {seed}");
        }
    }

    #[test]
    fn what_is_no_trace_is_refused_with_a_reason() {
        for (text, reason) in [
            ("[", "not JSON"),
            ("{}", "no number `format`"),
            ("{\"format\": 2}", "format 2"),
            ("{\"format\": 1, \"profile\": \"nice\"}", "no profile is called \"nice\""),
            ("{\"format\": 1, \"without\": [\"rain\"]}", "no kind of fault is called \"rain\""),
            ("{\"format\": 1, \"expected\": {}}", "expected.verdict"),
        ] {
            let error = Trace::parse(text).expect_err("this is no trace");
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
