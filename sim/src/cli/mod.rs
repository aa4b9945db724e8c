//! The command line of the simulator: what can be asked, and the way to it.
//!
//! One command a file; each owns its arguments, its output and the code it ends with. They decide nothing
//! about a run: what a run is and how it is judged stands in the library.

mod count;
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
mod watchdog;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use docdb_sim::run::remember_panics;

use exit::Exit;

/// Runs DocDB's engine over a simulated disk and clock, and judges what it does.
///
/// A seed is one life of a machine: clients read and write, operations of the disk fail, processes
/// die, power goes, and every answer is held to what was promised. The same seed goes the same way
/// every time. To begin with:
///
///   docdb-sim explain                what is simulated, what is judged, how to read a failure
///   docdb-sim run --seeds 0..1000    a thousand lives
#[derive(Parser)]
#[command(name = "docdb-sim", version, verbatim_doc_comment, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // What each does is said where its arguments stand.
    Run(run::Arguments),
    Replay(replay::Arguments),
    Shrink(shrink::Arguments),
    Exhaust(exhaust::Arguments),
    Mutants(mutants::Arguments),
    Determinism(determinism::Arguments),
    Materialize(materialize::Arguments),
    Explain(explain::Arguments),
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
