//! `mutants`: which of the mistakes planted in the engine the simulator finds, and how soon.

#[cfg(feature = "planted-bugs")]
pub(crate) use planted::run;

use super::count;
use super::exit::Exit;

/// Looks for each mistake planted in the engine, to show that it would be found.
///
/// A mistake is found by the first seed that breaks a promise with it and keeps all without it. Each kind
/// of fault is then switched off, to see without which of them the mistake is not found. Mistakes are in
/// no build but one that was asked for them: any other says so, with code 3.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    /// Names the mistakes, says what each does, and tries none.
    #[arg(long)]
    list: bool,
    /// Tries this one alone.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Seeds tried on each; what survives them all is not found.
    #[arg(long, value_name = "N", default_value = "3000", value_parser = count::parse::<u64>)]
    seeds: u64,
    /// How many at a time, each on a core of its own.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count::parse::<usize>)]
    jobs: usize,
    /// Prints what finds which mistakes, and which are not found without which kind of fault, as the tables
    /// in MUTANTS.md.
    #[arg(long, conflicts_with = "json", verbatim_doc_comment)]
    matrix: bool,
    /// Prints what finds each mistake, and at which seeds, as sim/mistakes/seeds.txt has it: the tests try those first.
    #[arg(long, conflicts_with_all = ["json", "matrix", "seeds"])]
    record: bool,
    /// Leaves this judge out, and the trials without each kind of fault: shows what the others find alone.
    #[arg(long, value_name = "JUDGE", conflicts_with_all = ["matrix", "record"])]
    without: Option<Judge>,
    #[command(flatten)]
    watch: super::watchdog::Watch,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Who can be left out.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Judge {
    /// Who holds the run to the specifications.
    Refinement,
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) fn run(arguments: &Arguments) -> Exit {
    // All the arguments are looked at by the other build alone.
    let Arguments { list: _, only: _, seeds: _, jobs: _, matrix: _, record: _, without: _, watch: _, json: _ } =
        arguments;
    super::output::refuse(
        "this build has no planted mistakes in it. One that has:\n  \
         cargo run --release -p docdb-sim --features planted-bugs --bin docdb-sim -- mutants",
    )
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use std::time::Instant;

    use docdb_engine::Bug;
    use docdb_sim::disk::FaultKind;
    use docdb_sim::mutants::{
        Finder, Kill, Outcome, Settings, find, lines, matrix, median_seeds_to_kill, mixture, score,
    };
    use docdb_sim::profile::ProfileName;
    use docdb_sim::trace::no_mistake;

    use super::super::output::{Failure, bar, refuse, say};
    use super::{Arguments, Exit, Judge};

    pub(crate) fn run(arguments: &Arguments) -> Exit {
        let bugs = match &arguments.only {
            None => Bug::ALL.to_vec(),
            Some(name) => match find(name) {
                Some(bug) => vec![bug],
                None => return refuse(&no_mistake(name)),
            },
        };
        if arguments.list {
            list(&bugs, arguments.json);
            return Exit::Kept;
        }
        let json = arguments.json;
        // A mistake that makes the engine hang is found, and nothing can be tried behind it.
        arguments.watch.begin(move |look, hangs_after| {
            let failure = Failure::of_hang(look, hangs_after);
            if json {
                say(&failure.json().to_string());
            } else {
                failure.show();
            }
            Exit::Violation
        });
        let started = Instant::now();
        let progress = bar(bugs.len() as u64);
        if arguments.record {
            let lines = lines(&bugs, arguments.jobs, &|| progress.inc(1));
            progress.finish_and_clear();
            lines.iter().flatten().for_each(|line| say(line));
            return if lines.iter().all(Option::is_some) { Exit::Kept } else { Exit::Violation };
        }
        let without_refinement = match arguments.without {
            Some(Judge::Refinement) => true,
            None => false,
        };
        let settings = Settings {
            seeds: arguments.seeds,
            jobs: arguments.jobs,
            without_faults: !without_refinement,
            without_refinement,
            recorded: false,
        };
        let outcomes = score(&bugs, settings, &|| progress.inc(1));
        progress.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let survivors: Vec<&str> =
            outcomes.iter().filter(|outcome| outcome.kill.is_none()).map(|outcome| outcome.bug.name()).collect();
        let killed = outcomes.len() - survivors.len();
        let median = median_seeds_to_kill(&outcomes);
        if arguments.json {
            let each: Vec<serde_json::Value> = outcomes.iter().map(outcome_json).collect();
            let summary = serde_json::json!({
                "mutants": outcomes.len(), "killed": killed, "survivors": survivors,
                "without": without_refinement.then_some("refinement"),
                "median_seeds_to_kill": median, "each": each, "seconds": seconds,
            });
            say(&summary.to_string());
        } else if arguments.matrix {
            show_finders(&outcomes);
            show_matrix(&outcomes);
        } else {
            outcomes.iter().for_each(show);
            let median = median.map_or("survives".to_owned(), |seeds| format!("takes {seeds} seeds"));
            let alone = if without_refinement { " by the oracles alone" } else { "" };
            say(&format!(
                "{} mistakes, {killed} found{alone}; the median one {median}; {seconds:.1} s",
                outcomes.len()
            ));
        }
        if survivors.is_empty() { Exit::Kept } else { Exit::Violation }
    }

    fn list(bugs: &[Bug], json: bool) {
        for bug in bugs.iter().filter(|_| !json) {
            say(&format!("{:<12} {:<28} {}", bug.area(), bug.name(), bug.what()));
        }
        if json {
            let told = |bug: &Bug| {
                let (area, breaks) = (bug.area(), bug.breaks());
                serde_json::json!({ "name": bug.name(), "area": area, "breaks": breaks, "what": bug.what() })
            };
            say(&serde_json::json!({ "mutants": bugs.iter().map(told).collect::<Vec<_>>() }).to_string());
        }
    }

    fn show(outcome: &Outcome) {
        let bug = outcome.bug;
        match &outcome.kill {
            Some(kill) => {
                let of = mixture(bug).map_or("all", ProfileName::name);
                let finder = kill.finder().name();
                say(&format!(
                    "{:<28} found by seed {:<4} {of:<8} {finder:<13} {:.100}",
                    bug.name(),
                    kill.seed,
                    kill.message
                ));
                if let Some(Kill { seed, message }) = &outcome.judged {
                    let finder = Finder::of(message).name();
                    say(&format!("    and at seed {seed} by {} {finder}: {message:.100}", article(finder)));
                }
                if !outcome.needs.is_empty() {
                    say(&format!("    not without {}", names(&outcome.needs).join(", ")));
                }
            }
            None => say(&format!("{:<28} SURVIVED: {}", bug.name(), bug.what())),
        }
    }

    fn article(noun: &str) -> &'static str {
        if noun.starts_with(['a', 'o']) { "an" } else { "a" }
    }

    fn show_finders(outcomes: &[Outcome]) {
        say("| found by | mistakes |");
        say("|---|---|");
        for finder in Finder::ALL {
            let found: Vec<String> = outcomes
                .iter()
                .filter(|outcome| outcome.finder() == Some(finder))
                .map(|outcome| format!("`{}`", outcome.bug.name()))
                .collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            let by = format!("{} {}", article(finder.name()), finder.name());
            say(&format!("| {by}{} | {found} |", if finder == Finder::Assertion { " alone" } else { "" }));
        }
        say("");
    }

    fn names(kinds: &[FaultKind]) -> Vec<&'static str> {
        kinds.iter().map(|kind| kind.name()).collect()
    }

    fn show_matrix(outcomes: &[Outcome]) {
        let matrix = matrix(outcomes);
        say("| without | these survive |");
        say("|---|---|");
        for (kind, bugs) in &matrix {
            let bugs: Vec<String> = bugs.iter().map(|bug| format!("`{}`", bug.name())).collect();
            say(&format!("| `{}` | {} |", kind.name(), bugs.join(", ")));
        }
        let others = FaultKind::ALL.iter().filter(|kind| !matrix.contains_key(kind));
        let others: Vec<String> = others.map(|kind| format!("`{}`", kind.name())).collect();
        say(&format!("| {} | none |", others.join(", ")));
    }

    fn outcome_json(outcome: &Outcome) -> serde_json::Value {
        let kill = outcome.kill.as_ref();
        serde_json::json!({
            "name": outcome.bug.name(),
            "area": outcome.bug.area(),
            "killed": kill.is_some(),
            "seed": kill.map(|kill| kill.seed),
            "profile": mixture(outcome.bug).map_or("all", ProfileName::name),
            "seeds_to_kill": kill.map(|kill| kill.seed + 1),
            "found_by": outcome.finder().map(Finder::name),
            "message": kill.map(|kill| kill.message.as_str()),
            "not_without": names(&outcome.needs),
        })
    }
}
