//! Where the commands of scripts come from: arguments, files, standard input.
//!
//! What a file or a pipe holds is cut into commands by `script`; what a person types, by `terminal`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::script;
use crate::session::{Next, Session};

/// Runs commands given as arguments, until one says to leave, or fails and the user did not say to go on.
pub fn run_commands(session: &mut Session, commands: &[OsString]) {
    for (index, command) in commands.iter().enumerate() {
        let failures = session.failures();
        if session.run(command.as_bytes()) == Next::Exit {
            return;
        }
        let behind = commands.len() - index - 1;
        if session.stops(failures) {
            if behind > 0 {
                let note = match behind {
                    1 => "1 command behind it was not run; --keep-going runs it".to_owned(),
                    _ => format!("{behind} commands behind it were not run; --keep-going runs them"),
                };
                session.output.note(&note);
            }
            return;
        }
    }
}

/// Runs the commands of files, as [`run_commands`] does; `false` when the session is to end.
pub fn run_files(session: &mut Session, files: &[PathBuf]) -> bool {
    for file in files {
        let failures = session.failures();
        match script::run_file(session, file) {
            Ok(Next::Command) => {}
            Ok(Next::Exit) => return false,
            Err(error) => session.fail(&error),
        }
        if session.stops(failures) {
            return false;
        }
    }
    true
}

/// Runs the lines of standard input.
pub fn run_standard_input(session: &mut Session) {
    script::run_lines(session, &mut io::stdin().lock(), None);
}
