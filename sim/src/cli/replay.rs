//! `replay`: one seed again.

use docdb_sim::replay::replay;
use docdb_sim::run::Setup;

use super::exit::Exit;
use super::output::{say, show_failure};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The seed.
    seed: u64,
    /// Tells on the error output everything that happens.
    #[arg(long)]
    tell: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let Arguments { seed, tell } = *arguments;
    let report = replay(seed, tell, &Setup::default());
    show_failure(&report);
    say(&format!(
        "seed {seed}: trace {:016x}, {} choices, {} steps, {} transactions, {} crashes",
        report.hash,
        report.trace.len(),
        report.steps,
        report.transactions,
        report.tally.crashes
    ));
    Exit::of([&report.verdict])
}
