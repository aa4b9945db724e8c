//! The command line of the simulator: what can be asked, and the way to it.
//!
//! One command a file; each owns its arguments, its output and the code it ends with. They decide nothing
//! about a run: what a run is and how it is judged stands in the library.

mod exhaust;
mod exit;
mod mutants;
mod output;
mod replay;
mod run;
mod seeds;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use docdb_sim::run::remember_panics;

use exit::Exit;

#[derive(Parser)]
#[command(name = "docdb-sim", about = "Runs DocDB's engine over a simulated disk and clock", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a range of seeds.
    Run(run::Arguments),
    /// Runs one seed again and prints the hash of its trace.
    Replay(replay::Arguments),
    /// Crashes all short lives at every effect, in every way that matters.
    Exhaust(exhaust::Arguments),
    /// Looks for each mistake planted in the engine, to show that it would be found.
    Mutants(mutants::Arguments),
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    remember_panics();
    let exit: Exit = match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Exhaust(arguments) => exhaust::run(arguments),
        Command::Mutants(arguments) => mutants::run(arguments),
    };
    exit.into()
}
