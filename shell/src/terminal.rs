//! A person at a terminal: lines are edited, kept for the next session, and run; pasted ones each.
//!
//! Ctrl-C gives up the line, or ends the command that runs; Ctrl-D ends the session.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use docdb_protocol::{Error, ErrorCode};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};

use crate::editor::Assistant;
use crate::script::Open;
use crate::session::{Next, Session};

/// Commands of earlier sessions that are kept.
const HISTORY_COMMANDS_MAX: usize = 1_000;

/// Runs what a person types.
///
/// # Errors
/// [`ErrorCode::FileRead`] when there is no terminal to edit lines on after all.
pub fn run_terminal(session: &mut Session) -> Result<(), Error> {
    let unusable = |error: ReadlineError| Error::new(ErrorCode::FileRead).detail(format!("the terminal: {error}"));
    let config = Config::builder().max_history_size(HISTORY_COMMANDS_MAX).map_err(unusable)?.build();
    let mut editor = Editor::<Assistant, DefaultHistory>::with_config(config).map_err(unusable)?;
    editor.set_helper(Some(Assistant::new(session.output.is_coloured())));
    let history = history_file();
    if let Some(history) = &history {
        // There is none before the first session.
        let _ = editor.load_history(history);
    }
    // Behind the editor, which takes the signal for itself when it is made.
    session.interrupt.watch().map_err(|error| unusable(ReadlineError::Io(error)))?;
    session.greet();
    loop {
        // While a line is edited Ctrl-C is a key. The signal comes as soon as the line has ended, and is for its commands.
        session.interrupt.forget();
        if let Some(assistant) = editor.helper_mut() {
            assistant.names = session.names();
        }
        match editor.readline(&session.prompt()) {
            Ok(entered) => {
                if run_entered(session, &entered, &mut |command| {
                    // A history that cannot grow is no reason to stop.
                    let _ = editor.add_history_entry(command);
                    if let Some(history) = &history {
                        let _ = editor.append_history(history);
                    }
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

/// Where the commands of earlier sessions are kept, for nobody else to read: documents stand in them. The folder is made here;
/// `None` where there is no place for it.
fn history_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    let folder = state.join("docdbsh");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    let file = folder.join("history");
    // The editor would make it as well; what is there already may have been made with more rights.
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&file).ok()?;
    opened.set_permissions(Permissions::from_mode(0o600)).ok()?;
    Some(file)
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
pub(crate) fn commands_in(entered: &str) -> Vec<String> {
    let mut commands: Vec<(String, Open)> = Vec::new();
    for line in entered.lines() {
        if let Some((last, open)) = commands.last_mut()
            && !line.trim_start().starts_with('.')
            && open.goes_on(last.as_bytes())
        {
            last.push('\n');
            last.push_str(line);
            open.take(line.as_bytes());
        } else if !line.trim().is_empty() {
            commands.push((line.to_owned(), Open::of(line.as_bytes())));
        }
    }
    commands.into_iter().map(|(command, _)| command).collect()
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
