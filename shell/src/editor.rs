//! What the line editor knows of the shell: which names Tab completes, when a line goes on, what the prompt looks like.
//!
//! It knows names alone, as they were when the line began, and asks nothing of a database. No name with a control character is
//! offered: names have none.

use std::borrow::Cow;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Result};

use crate::command;
use crate::session::Names;
use crate::terminal::commands_in;

/// The shell's part of the editor.
pub(crate) struct Assistant {
    pub(crate) names: Names,
    pub(crate) is_coloured: bool,
    files: FilenameCompleter,
}

/// What stands behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Database,
    Collection,
    /// A collection before an id.
    Target,
    File,
    Command,
    Other(&'static [&'static str]),
}

impl Assistant {
    pub(crate) fn new(is_coloured: bool) -> Assistant {
        Assistant { names: Names::default(), is_coloured, files: FilenameCompleter::new() }
    }

    /// The words that may stand at the end of this line, and where in it they begin; `None` where it is a file.
    fn candidates(&self, line: &str) -> Option<(usize, Vec<String>)> {
        let begin = line.len() - line.trim_start().len();
        let Some(end) = line[begin..].find(char::is_whitespace) else {
            return Some((begin, beginning_with(&line[begin..], command::names())));
        };
        let at = word_begin(line);
        let word = &line[at..];
        let before = line[..at].trim_end();
        let takes = if before.ends_with("--collection") { Takes::Collection } else { takes(&line[begin..begin + end]) };
        let candidates = match takes {
            Takes::Database => quoted_beginning_with(word, &self.names.databases, ""),
            Takes::Collection => quoted_beginning_with(word, &self.names.collections, ""),
            Takes::Target => quoted_beginning_with(word, &self.names.collections, "/"),
            Takes::Command => beginning_with(word, command::names()),
            Takes::Other(words) => beginning_with(word, words.iter().copied()),
            Takes::File => return None,
        };
        // All but lists of flags take one word.
        let is_first = before == &line[begin..begin + end] || before.ends_with("--collection");
        Some((at, if is_first || matches!(takes, Takes::Other(_)) { candidates } else { Vec::new() }))
    }
}

fn takes(command: &str) -> Takes {
    match command {
        ".open" | ".use" => Takes::Database,
        ".in" | ".list" | ".count" => Takes::Collection,
        ".create" | ".put" | ".read" | ".get" | ".update" | ".patch" | ".delete" => Takes::Target,
        ".import" | ".export" | ".source" | ".output" => Takes::File,
        ".help" | "help" | "?" => Takes::Command,
        ".mode" => Takes::Other(&["json", "ndjson", "table", "line"]),
        ".pretty" | ".timer" => Takes::Other(&["on", "off"]),
        _ => Takes::Other(&[]),
    }
}

/// Where the last word begins; a blank within quotation marks belongs to it.
fn word_begin(line: &str) -> usize {
    let (mut begin, mut is_quoted) = (0, false);
    for (at, character) in line.char_indices() {
        if character.is_whitespace() && !is_quoted {
            begin = at + character.len_utf8();
        }
        is_quoted ^= character == '"';
    }
    begin
}

fn beginning_with<'name>(word: &str, names: impl Iterator<Item = &'name str>) -> Vec<String> {
    names.filter(|name| name.starts_with(word)).map(str::to_owned).collect()
}

fn quoted_beginning_with(word: &str, names: &[String], behind: &str) -> Vec<String> {
    let plain = word.strip_prefix('"').unwrap_or(word);
    let matching = names.iter().filter(|name| name.starts_with(plain));
    matching
        .map(|name| {
            let quoted = crate::session::quoted(name);
            let quoted = if word.starts_with('"') && quoted == *name { format!("\"{name}\"") } else { quoted };
            quoted + behind
        })
        .collect()
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        match self.candidates(&line[..pos]) {
            Some((at, candidates)) => {
                let pair = |name: String| Pair { display: name.clone(), replacement: name };
                Ok((at, candidates.into_iter().map(pair).collect()))
            }
            None => self.files.complete_path(line, pos),
        }
    }
}

impl Validator for Assistant {
    /// A document goes on over further lines until it is whole; an empty line ends it as it is.
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        let input = context.input();
        let is_given_up = input.ends_with('\n');
        let goes_on = commands_in(input).last().is_some_and(|last| command::is_cut_short(last.as_bytes()));
        Ok(if goes_on && !is_given_up { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.is_coloured { format!("\x1b[36m{prompt}\x1b[0m").into() } else { prompt.into() }
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_completes_what_a_command_takes() {
        let mut assistant = Assistant::new(false);
        assistant.names.databases = vec!["books".to_owned(), "my books".to_owned()];
        assistant.names.collections = vec!["_default".to_owned(), "novels".to_owned(), "old ones".to_owned()];
        for (line, at, expected) in [
            (".coll", 0, &[".collections"][..]),
            (".open b", 6, &["books"]),
            (".open \"my", 6, &["\"my books\""]),
            (".open \"my b", 6, &["\"my books\""]),
            (".list n", 6, &["novels"]),
            (".read o", 6, &["\"old ones\"/"]),
            (".import x --collection n", 23, &["novels"]),
            (".put novels/1 n", 14, &[]),
            (".mode nd", 6, &["ndjson"]),
            (".help .pat", 6, &[".patch"]),
            (".pwd x", 5, &[]),
        ] {
            let expected = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(assistant.candidates(line), Some((at, expected)), "{line}");
        }
        assert_eq!(assistant.candidates(".import da"), None, "a file");
    }
}
