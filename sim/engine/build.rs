//! Makes the copy of the engine that holds the planted mistakes, and the list of them, when the feature is on.

mod planting;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use planting::Mistake;

fn main() {
    for input in ["build.rs", "planting.rs", planting::ENGINE, planting::MISTAKES] {
        println!("cargo::rerun-if-changed={input}");
    }
    if env::var_os("CARGO_FEATURE_PLANTED_BUGS").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names it"));
    for error in generate(&out).expect("the sources can be read, and the folder that cargo gives can be written") {
        println!("cargo::error={error}");
    }
}

/// Writes everything; what is wrong with the mistakes is given back.
fn generate(out: &Path) -> io::Result<Vec<String>> {
    let (mistakes, mut errors) = planting::mistakes()?;
    let (sources, wrong) = planting::planted(planting::sources()?, &mistakes);
    errors.extend(wrong);
    let copy = out.join("engine/src");
    if copy.exists() {
        // A file that the engine has no more must not stay.
        fs::remove_dir_all(&copy)?;
    }
    for (name, text) in sources {
        let path = copy.join(&name);
        fs::create_dir_all(path.parent().expect("below the copy"))?;
        fs::write(path, if name == "lib.rs" { without_inner_docs(&text) } else { text })?;
    }
    fs::write(out.join("bugs.rs"), bugs(&mistakes))?;
    Ok(errors)
}

/// The root of the copy is included in another one, where the documentation of the crate would be out of place.
fn without_inner_docs(text: &str) -> String {
    text.lines().map(|line| if line.starts_with("//!") { "\n".to_owned() } else { format!("{line}\n") }).collect()
}

/// The enum of all mistakes, and what their files say.
fn bugs(mistakes: &[Mistake]) -> String {
    let mut members = String::new();
    let mut all = String::new();
    let mut facts = String::new();
    for Mistake { name, area, breaks, what, .. } in mistakes {
        members += &format!("    /// {what}\n    {name},\n");
        all += &format!("Bug::{name}, ");
        facts += &format!("    Facts {{ name: {name:?}, area: {area:?}, breaks: {breaks:?}, what: {what:?} }},\n");
    }
    format!(
        "/// One mistake. At most one is made in a run.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n\
         pub enum Bug {{\n{members}}}\n\n\
         impl Bug {{\n    /// All of them.\n    pub const ALL: &'static [Bug] = &[{all}];\n}}\n\n\
         const FACTS: &[Facts] = &[\n{facts}];\n"
    )
}
