//! `docdb-sim`: the simulator as a program. The commands stand in [`cli`], one a file.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
