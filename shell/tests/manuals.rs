//! The manual pages that are checked in are those of the command lines as they are. To write them anew after a change:
//! `cargo run -p docdbsh --example manuals -- target/manuals`, and copy the pages to `daemon/man` and `shell/man`; or run
//! this with DOCDB_WRITE_MANUALS=1.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::path::PathBuf;

use clap::{Command, CommandFactory};

fn page(command: Command) -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).unwrap();
    String::from_utf8(page).unwrap()
}

fn is_checked_in(command: &Command, path: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let page = page(command.clone());
    if std::env::var_os("DOCDB_WRITE_MANUALS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    assert_eq!(checked_in, page, "{} is not the page of the command line", path.display());
    for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
        assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "{flag} is not in the manual");
    }
    // How it ends is part of its manual.
    assert!(page.contains("Exit codes: 0"), "{page}");
}

#[test]
fn the_manual_of_the_daemon_is_that_of_its_command_line() {
    is_checked_in(&docdbd::command(), "../daemon/man/docdbd.1");
}

#[test]
fn the_manual_of_the_shell_is_that_of_its_command_line() {
    is_checked_in(&docdbsh::args::Args::command(), "man/docdbsh.1");
}

#[test]
fn completions_know_every_flag() {
    for command in [docdbd::command(), docdbsh::args::Args::command()] {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command.clone(), name, &mut script);
            let script = String::from_utf8(script).unwrap();
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(script.contains(flag), "{shell}: {flag}");
            }
        }
    }
}
