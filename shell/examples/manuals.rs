//! Writes manual pages and completions of `docdbd` and `docdbsh` into a folder: `cargo run -p docdbsh --example manuals -- DIR`.
//!
//! Everything comes from the command lines themselves. `tests/manuals.rs` holds the pages that are checked in against them.
#![expect(clippy::print_stderr, reason = "a command of the repository says what it did")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("name a folder: cargo run -p docdbsh --example manuals -- DIR");
        return ExitCode::from(1);
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write to {}: {error}", Path::new(&folder).display());
            ExitCode::from(2)
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for command in [docdbd::command(), docdbsh::args::Args::command()] {
        write_one(command, folder)?;
    }
    Ok(())
}

fn write_one(mut command: Command, folder: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    clap_mangen::Man::new(command.clone()).generate_to(folder)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, &name, folder)?;
    }
    Ok(())
}
