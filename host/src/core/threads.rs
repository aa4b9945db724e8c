//! The threads of an opened directory: lanes, which carry operations out, and the timer.
//!
//! They hold the core until it is over, and end by themselves then. They decide nothing.

use std::sync::Arc;

use docdb_protocol::{Error, ErrorCode};

use super::{Core, Phase, entered};
use crate::file_disk::Worker;

/// Starts `lanes` lanes and the timer.
pub(super) fn start(core: &Arc<Core>, lanes: usize) -> Result<(), Error> {
    for number in 0..lanes {
        spawn(core, format!("docdb-lane-{number}"), lane)?;
    }
    spawn(core, "docdb-timer".to_owned(), timer)
}

fn spawn(core: &Arc<Core>, name: String, run: fn(&Core)) -> Result<(), Error> {
    let shared = Arc::clone(core);
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || run(&shared))
        .map_err(|error| Error::new(ErrorCode::LimitExceeded).detail(format!("cannot start a thread: {error}")))?;
    entered::whole(core.threads.lock()).push(thread);
    Ok(())
}

/// Carries operations out while there are any, then sleeps until it is called.
fn lane(core: &Core) {
    let mut entered = core.enter();
    loop {
        // A failed engine gives out no more work, but what others took still has to come back.
        let task = if entered.phase == Phase::Failed { None } else { entered.driver.disk.take(Worker::Lane) };
        if let Some(task) = task {
            entered.leave();
            let finished = task.run();
            entered = core.enter();
            entered.finish(finished);
            continue;
        }
        if entered.desk.outbox.is_empty() {
            if entered.is_over() {
                return entered.leave();
            }
            entered.lanes_idle += 1;
            entered.wait(&core.lanes);
            entered.lanes_idle -= 1;
            entered.lanes_called = entered.lanes_called.saturating_sub(1);
        } else {
            entered.leave();
            entered = core.enter();
        }
    }
}

/// Tells the engine when the time it asked for has come.
fn timer(core: &Core) {
    let mut entered = core.enter();
    while !entered.is_over() {
        if entered.timer_is_due() {
            entered.leave();
            entered = core.enter();
            continue;
        }
        match entered.until_timer() {
            Some(duration) => entered.wait_timeout(&core.timer, duration),
            None => entered.wait(&core.timer),
        }
    }
    entered.leave();
}
