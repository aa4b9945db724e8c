//! One place in the exhaustive run: a workload, and the crashes on the way there.
//!
//! As text `c1+u1~both@17P3@5K0`: in this workload at effect 17 the process dies and leaves image 3, then at effect
//! 5 of the recovery power is lost and leaves image 0. Parsing what was printed gives the same place.

use std::fmt;
use std::str::FromStr;

use super::workload::Workload;
use crate::disk::CrashKind;

/// One crash: where, what dies, and which of the images comes up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The effect before which it happens, counted from the start of the life or of the recovery.
    pub effect: u64,
    /// What dies.
    pub kind: CrashKind,
    /// Which image, in the order in which they are tried.
    pub image: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// What was asked for.
    pub workload: Workload,
    /// Each within the recovery from the one before.
    pub crashes: Vec<Crash>,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.workload)?;
        for Crash { effect, kind, image } in &self.crashes {
            let kind = match kind {
                CrashKind::Process => 'P',
                CrashKind::Power => 'K',
            };
            write!(formatter, "@{effect}{kind}{image}")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Case, String> {
        let mut parts = text.split('@');
        let workload = parts.next().unwrap_or("").parse()?;
        Ok(Case { workload, crashes: parts.map(crash).collect::<Result<_, _>>()? })
    }
}

fn crash(text: &str) -> Result<Crash, String> {
    let parsed = || {
        let (effect, image) = text.split_once(['P', 'K'])?;
        let kind = if text.contains('P') { CrashKind::Process } else { CrashKind::Power };
        Some(Crash { effect: effect.parse().ok()?, kind, image: image.parse().ok()? })
    };
    parsed().ok_or_else(|| format!("{text:?} is no crash such as 17P3 (the process dies) or 17K3 (power is lost)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_parsed_to_the_same() {
        for text in ["", "c1", "c1+u1~both@17P3@5K0", "close~move,d2@0K12"] {
            assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
        }
        for text in ["c3", "c1+", "c1++u1", "c1@", "c1@3", "c1@P3", "c1@1K"] {
            assert!(text.parse::<Case>().is_err(), "{text}");
        }
    }
}
