//! `docdbsh`: parses the command line, opens the backend, feeds the session, answers an exit code.
#![expect(clippy::print_stderr, reason = "errors before a session exists go to standard error")]

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use docdb_protocol::Error;
use docdbsh::args::Args;
use docdbsh::backend::{Backend, Embedded, Socket};
use docdbsh::{Interrupt, Session, run_commands, run_files, run_standard_input, run_terminal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const USAGE: u8 = 1;
const CANNOT_OPEN: u8 = 2;
const COMMAND_FAILED: u8 = 3;

/// Standard streams, the terminal's, the data directory's with those kept back, and the first open database.
const DESCRIPTORS_MIN: u64 = 20;

fn main() -> ExitCode {
    let descriptors = raise_descriptor_limit();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Where standard output and error are closed, nothing can be said.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if descriptors < DESCRIPTORS_MIN {
        eprintln!(
            "error: OutOfResources: at most {descriptors} files may be open (ulimit -n); docdbsh needs {DESCRIPTORS_MIN}, and two for \
             each open database"
        );
        return ExitCode::from(CANNOT_OPEN);
    }
    let interrupt = Interrupt::default();
    let backend = match open(&args, &interrupt) {
        Ok(backend) => backend,
        Err(error) => {
            eprintln!("error: {}: {error}", error.code().name());
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let mut session = Session::new(backend, interrupt);
    let is_script = !(args.commands.is_empty() && args.files.is_empty());
    let interactive = !is_script && io::stdin().is_terminal();
    session.configure(args.keep_going, args.json);
    // A person has seen each error; a script looks at the exit code.
    let mut seen = 0;
    if interactive {
        let ran = run_terminal(&mut session);
        seen = session.failures();
        if let Err(error) = ran {
            session.fail(&error);
        }
    } else if !is_script {
        run_standard_input(&mut session);
    } else if run_files(&mut session, &args.files) {
        run_commands(&mut session, &args.commands);
    }
    if session.finish() > seen { ExitCode::from(COMMAND_FAILED) } else { ExitCode::SUCCESS }
}

/// To the highest that the process may have, which it says.
fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum.or(current), maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn open(args: &Args, interrupt: &Interrupt) -> Result<Box<dyn Backend>, Error> {
    match (&args.data_dir, &args.socket) {
        (_, Some(socket)) => Ok(Box::new(Socket::connect(socket, interrupt)?)),
        (Some(data_dir), None) => Ok(Box::new(Embedded::open(data_dir)?)),
        (None, None) => unreachable!("the command line requires one of the two"),
    }
}
