//! `determinism`: every seed twice, in two processes, and where they part.

use std::process::{Command, Stdio};
use std::time::Instant;

use docdb_sim::chronicle::Chronicle;
use docdb_sim::replay::Origin;
use docdb_sim::run::{Setup, run_seed};
use serde_json::json;

use super::exit::Exit;
use super::origin::{World, arguments_of};
use super::output::{bar, or_refuse, say};
use super::seeds::{self, Seeds};

/// Runs each seed twice, in two processes, and compares what they did.
///
/// Compared is a hash over all choices, labels and effects. Where two differ (code 2), the first step
/// at which they do is looked for and told.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    /// The seeds from A to the one before B.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = seeds::parse)]
    seeds: Seeds,
    #[command(flatten)]
    world: World,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// One of the two processes: prints the hash of each seed.
    #[arg(long, hide = true)]
    hashes: bool,
    /// One of the two processes: prints the hash before each step of the first seed, then what happened.
    #[arg(long, hide = true)]
    steps: bool,
    /// Plants a dependence on the process, to show that it is noticed.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, hide = true)]
    shaky_from: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    or_refuse(tried(arguments))
}

fn setup_of(arguments: &Arguments) -> Result<Setup, String> {
    let setup = arguments.world.setup()?;
    #[cfg(feature = "planted-bugs")]
    let setup = Setup { shaky_from: arguments.shaky_from, ..setup };
    Ok(setup)
}

fn tried(arguments: &Arguments) -> Result<Exit, String> {
    let setup = setup_of(arguments)?;
    let started = Instant::now();
    let Seeds { first, end } = arguments.seeds;
    if arguments.hashes {
        for seed in first..end {
            say(&format!("{seed} {:016x}", run_seed(seed, false, &setup).hash));
        }
        return Ok(Exit::Kept);
    }
    if arguments.steps {
        let mut chronicle = Chronicle::default();
        chronicle.keep_hashes();
        chronicle.keep();
        let (_, chronicle) = Origin::Seed(first, setup).run(chronicle)?;
        chronicle.hashes().iter().for_each(|hash| say(&format!("{hash:016x}")));
        chronicle.entries().iter().for_each(|entry| say(&format!("{:>6} {}", entry.step, entry.event)));
        return Ok(Exit::Kept);
    }
    let progress = bar(end - first);
    let mut differing = Vec::new();
    // In pieces, so that a person sees how far it is, and both processes run at a time.
    for from in (first..end).step_by(PIECE) {
        let piece = Seeds { first: from, end: end.min(from + PIECE as u64) };
        let (one, two) = both(arguments, piece, "--hashes")?;
        for (seed, (one, two)) in (piece.first..piece.end).zip(one.iter().zip(&two)) {
            if one != two {
                differing.push(seed);
            }
        }
        if one.len() != two.len() || one.len() as u64 != piece.end - piece.first {
            return Err("a process ended before it had run its seeds".to_owned());
        }
        progress.set_position(piece.end - first);
    }
    progress.finish_and_clear();
    let parting = match differing.first() {
        None => None,
        Some(seed) => {
            let (one, two) = both(arguments, Seeds { first: *seed, end: seed + 1 }, "--steps")?;
            Some((*seed, part(&one, &two)))
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let step = parting.as_ref().and_then(|(_, parting)| parting.step);
        say(&json!({
            "seeds": end - first, "differing": differing.len(), "first_seed": differing.first(), "first_step": step,
            "seconds": seconds,
        })
        .to_string());
    } else {
        if let Some((seed, parting)) = &parting {
            say(&format!("seed {seed} does not go the same way twice{}", parting.told()));
        }
        say(&format!("{} seeds, each in two processes; {} differ", end - first, differing.len()));
    }
    Ok(if differing.is_empty() { Exit::Kept } else { Exit::NotDeterministic })
}

/// Seeds that a process runs before it is asked again.
const PIECE: usize = 200;

/// The lines of two processes that run at the same time.
fn both(arguments: &Arguments, seeds: Seeds, mode: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program's own file: {error}"))?;
    let setup = setup_of(arguments)?;
    let start = || {
        let mut command = Command::new(&program);
        command.args(["determinism", "--seeds", &format!("{}..{}", seeds.first, seeds.end), mode]);
        command.args(arguments_of(&setup).split_whitespace());
        #[cfg(feature = "planted-bugs")]
        if let Some(step) = arguments.shaky_from {
            command.args(["--shaky-from", &step.to_string()]);
        }
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("a second process: {error}"))
    };
    let (one, two) = (start()?, start()?);
    // The second one's output waits in its pipe, at the worst until the first one is done.
    let lines = |child: std::process::Child| {
        let output = child.wait_with_output().map_err(|error| format!("a second process: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<String>>())
    };
    Ok((lines(one)?, lines(two)?))
}

/// Where two runs part.
struct Parting {
    step: Option<u64>,
    one: String,
    two: String,
}

impl Parting {
    fn told(&self) -> String {
        match self.step {
            None => ", but did when it was looked at step by step".to_owned(),
            Some(step) => format!(
                "; the first difference is at step {step}\n  one:   {}\n  other: {}",
                self.one.trim(),
                self.two.trim()
            ),
        }
    }
}

fn part(one: &[String], two: &[String]) -> Parting {
    let split = |lines: &[String]| lines.iter().position(|line| line.starts_with(' ')).unwrap_or(lines.len());
    let (hashes, others) = (&one[..split(one)], &two[..split(two)]);
    // A rolling hash that differs once differs for ever: the first difference is found by halving.
    let common = hashes.len().min(others.len());
    let (mut same, mut differs) = (0, common + 1);
    while same + 1 < differs {
        let middle = usize::midpoint(same, differs);
        if hashes[middle - 1] == others[middle - 1] { same = middle } else { differs = middle }
    }
    if same == common && hashes.len() == others.len() {
        return Parting { step: None, one: String::new(), two: String::new() };
    }
    let events = |lines: &[String]| lines[split(lines)..].to_vec();
    let (events, theirs) = (events(one), events(two));
    let place = events.iter().zip(&theirs).position(|(one, two)| one != two);
    let line = |events: &[String]| {
        let nothing = "(the same events; the time or a choice differs)".to_owned();
        place.and_then(|place| events.get(place).cloned()).unwrap_or(nothing)
    };
    // The hash before step n stands in line n; the step that made the difference is the one before.
    Parting { step: Some(same as u64), one: line(&events), two: line(&theirs) }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn the_first_difference_is_found_by_halving() {
        let lines = |hashes: &[&str]| hashes.iter().map(|hash| (*hash).to_owned()).collect::<Vec<String>>();
        for first in 0..7 {
            let one = lines(&["a", "b", "c", "d", "e", "f", "g"]);
            let mut two = one.clone();
            two[first..].iter_mut().for_each(|hash| hash.push('!'));
            assert_eq!(part(&one, &two).step, Some(first as u64));
        }
        assert_eq!(part(&lines(&["a", "b"]), &lines(&["a", "b"])).step, None);
    }
}
