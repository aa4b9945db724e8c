//! Where commands come from: arguments, standard input, or a person at a terminal.
//!
//! What a file or a pipe holds is cut into commands by `script`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use docdb_protocol::{Error, ErrorCode};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::command;
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
                session.output.note(&format!("{behind} commands behind it were not run; --keep-going runs them"));
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

/// Runs what a person types.
///
/// # Errors
/// [`ErrorCode::FileRead`] when there is no terminal to edit lines on after all.
pub fn run_terminal(session: &mut Session) -> Result<(), Error> {
    let unusable = |error: ReadlineError| Error::new(ErrorCode::FileRead).detail(format!("the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(unusable)?;
    // Behind the editor, which takes the signal for itself when it is made.
    session.interrupt.watch().map_err(|error| unusable(ReadlineError::Io(error)))?;
    session.greet();
    loop {
        // While a line is edited Ctrl-C is a key. The signal comes as soon as the line has ended, and is for its commands.
        session.interrupt.forget();
        match editor.readline(&session.prompt()) {
            Ok(entered) => {
                if run_entered(session, &entered, &mut |command| {
                    // A history that cannot grow is no reason to stop.
                    let _ = editor.add_history_entry(command);
                }) == Next::Exit
                {
                    return Ok(());
                }
            }
            // Ctrl-C gives up the line, Ctrl-D the session.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            // A line that is no UTF-8 is not a line to give up the session for.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let detail = "the line is not valid UTF-8; what was pasted with it was not run";
                session.fail(&Error::new(ErrorCode::InvalidRequest).detail(detail));
            }
            Err(error) => return Err(unusable(error)),
        }
    }
}

/// Runs what was entered at once, which is more than one command when it was pasted. Ctrl-C during one of them ends the
/// others as well.
fn run_entered(session: &mut Session, entered: &str, remember: &mut dyn FnMut(&str)) -> Next {
    let commands = commands_in(entered);
    for (index, command) in commands.iter().enumerate() {
        remember(command);
        if session.run(command.as_bytes()) == Next::Exit {
            return Next::Exit;
        }
        let behind = commands.len() - index - 1;
        if session.interrupt.is_set() && behind > 0 {
            session.output.note(&format!("{behind} pasted commands behind it were not run"));
            break;
        }
    }
    Next::Command
}

/// One a line, but for a document that goes on over further lines: no line of JSON begins with a dot, as each command
/// does.
fn commands_in(entered: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in entered.lines() {
        match commands.last_mut() {
            Some(last) if !line.trim_start().starts_with('.') && command::is_cut_short(last.as_bytes()) => {
                last.push('\n');
                last.push_str(line);
            }
            _ if line.trim().is_empty() => {}
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_one_command_a_line_but_for_documents_that_go_on() {
        let pasted = ".open a\n\n.create 1 {\n  \"a\": [\n\n]\n}\n.create 2\n{}\n.create 3 {,\n1}\n .ls\nhello\n";
        let expected =
            [".open a", ".create 1 {\n  \"a\": [\n\n]\n}", ".create 2\n{}", ".create 3 {,", "1}", " .ls", "hello"];
        assert_eq!(commands_in(pasted), expected);
    }
}
