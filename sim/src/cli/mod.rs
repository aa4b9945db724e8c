//! The command line of the simulator: what can be asked, and the way to it.
//!
//! One command a file; each owns its arguments, its output and the code it ends with. They decide nothing
//! about a run: what a run is and how it is judged stands in the library.

mod determinism;
mod exhaust;
mod exit;
mod explain;
mod materialize;
mod mutants;
mod origin;
mod output;
mod replay;
mod run;
mod seeds;
mod shrink;
mod summary;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use docdb_sim::run::remember_panics;

use exit::Exit;

#[derive(Parser)]
#[command(
    name = "docdb-sim",
    about = "Runs DocDB's engine over a simulated disk and clock",
    version,
    after_help = exit::HELP
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds.
    Run(run::Arguments),
    /// Runs a seed or a trace again, and tells what happens.
    Replay(replay::Arguments),
    /// Makes a failing run small.
    Shrink(shrink::Arguments),
    /// Crashes all short lives at every effect, in every way that matters.
    Exhaust(exhaust::Arguments),
    /// Looks for each mistake planted in the engine, to show that it would be found.
    Mutants(mutants::Arguments),
    /// Runs seeds twice, to see that they go the same way.
    Determinism(determinism::Arguments),
    /// Writes the files after a crash to a real directory.
    Materialize(materialize::Arguments),
    /// Prints the fault model, what is judged, and how to read a failure.
    Explain(explain::Arguments),
    /// Prints the table of what was run, from recorded results.
    Summary(summary::Arguments),
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // The parser's own code for a mistake would read as "not deterministic".
            drop(error.print());
            return if error.use_stderr() { Exit::Harness } else { Exit::Kept }.into();
        }
    };
    remember_panics();
    let exit: Exit = match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Shrink(arguments) => shrink::run(arguments),
        Command::Exhaust(arguments) => exhaust::run(arguments),
        Command::Mutants(arguments) => mutants::run(arguments),
        Command::Determinism(arguments) => determinism::run(arguments),
        Command::Materialize(arguments) => materialize::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Summary(arguments) => summary::run(arguments),
    };
    exit.into()
}
