//! What to run, as it is named on the command line: a seed or the file of a trace, and in which setup.

use std::fs;

use docdb_sim::disk::{FaultKind, FaultSet};
use docdb_sim::profile::ProfileName;
use docdb_sim::replay::Origin;
use docdb_sim::run::Setup;
use docdb_sim::trace::{Trace, plant, planted_of};

/// In which world seeds run.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct World {
    /// The mixture of faults; with `all`, each seed draws one. `explain` tells what is in each.
    #[arg(long, value_name = "NAME", default_value = "all", value_parser = profile)]
    profile: Profile,
    /// Switches a kind of fault off; may be given more than once. `explain` tells what each does.
    #[arg(long, value_name = "KIND", value_parser = fault)]
    without: Vec<FaultKind>,
    /// Plants a mistake in the engine; only in a build with `--features planted-bugs`. `mutants
    /// --list` names them.
    #[arg(long, value_name = "NAME", verbatim_doc_comment)]
    planted: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile(Option<ProfileName>);

fn profile(text: &str) -> Result<Profile, String> {
    if text == "all" {
        return Ok(Profile(None));
    }
    let known = || ProfileName::ALL.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
    let found = ProfileName::from_name(text);
    found.map(|found| Profile(Some(found))).ok_or_else(|| format!("the profiles are all, {}", known()))
}

fn fault(text: &str) -> Result<FaultKind, String> {
    let known = || FaultKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    FaultKind::from_name(text).ok_or_else(|| format!("the kinds are {}", known()))
}

impl World {
    /// Whether nothing was asked for but what every seed gets.
    fn is_plain(&self) -> bool {
        self.profile.0.is_none() && self.without.is_empty() && self.planted.is_none()
    }

    pub(crate) fn setup(&self) -> Result<Setup, String> {
        let without: FaultSet = self.without.iter().copied().collect();
        let mut setup = Setup::of(self.profile.0, without);
        if let Some(name) = &self.planted {
            plant(&mut setup, name)?;
        }
        Ok(setup)
    }
}

/// The arguments that say the same again.
pub(crate) fn arguments_of(setup: &Setup) -> String {
    let profile = setup.profile.map(|profile| format!(" --profile {profile}"));
    let without: String = setup.without.iter().map(|kind| format!(" --without {kind}")).collect();
    let planted = planted_of(setup).map(|name| format!(" --planted {name}"));
    format!("{}{without}{}", profile.unwrap_or_default(), planted.unwrap_or_default())
}

/// One run, as the commands about one run take it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Subject {
    /// The seed, or the file of a trace.
    #[arg(value_name = "SEED|TRACE.json")]
    pub(crate) what: String,
    #[command(flatten)]
    world: World,
}

impl Subject {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        if self.is_seed() { format!("seed {}", self.what) } else { self.what.clone() }
    }

    /// The command that runs it again. A trace says itself in which setup it runs.
    pub(crate) fn again(&self, setup: &Setup) -> String {
        let arguments = if self.is_seed() { arguments_of(setup) } else { String::new() };
        format!("docdb-sim replay {}{arguments}", self.what)
    }

    fn is_seed(&self) -> bool {
        self.what.parse::<u64>().is_ok()
    }

    pub(crate) fn origin(&self) -> Result<Origin, String> {
        let text = &self.what;
        if let Ok(seed) = text.parse() {
            return Ok(Origin::Seed(seed, self.world.setup()?));
        }
        if !self.world.is_plain() {
            let only_seeds =
                "--profile, --without and --planted are for seeds; a trace says itself what it was run with";
            return Err(format!("{text} is no seed: {only_seeds}"));
        }
        let json = fs::read_to_string(text).map_err(|error| format!("{text} is no seed, and as a file: {error}"))?;
        Trace::parse(&json).map(Origin::Trace).map_err(|error| format!("{text}: {error}"))
    }
}
