//! The threads of an opened directory: lanes, which carry operations out, the timer, and the messenger,
//! which calls foreign code.
//!
//! They hold the core until it is over, and end by themselves then. They decide nothing. Lanes and timer
//! never call foreign code, so nothing of an application's can keep the disk waiting.

use std::sync::Arc;

use docdb_engine::{Clock, Input};
use docdb_protocol::{Error, ErrorCode};

use super::Core;
use super::entered::{Next, Place};
use crate::file_disk::Worker;
use crate::messages;
use crate::sync::{Builder, JoinHandle};

/// Starts `lanes` lanes and the timer.
pub(super) fn start(core: &Arc<Core>, lanes: usize, threads: &mut Vec<JoinHandle<()>>) -> Result<(), Error> {
    for number in 0..lanes {
        threads.push(spawn(core, format!("docdb-lane-{number}"), lane)?);
    }
    threads.push(spawn(core, "docdb-timer".to_owned(), timer)?);
    Ok(())
}

/// Starts the messenger.
pub(super) fn start_messenger(core: &Arc<Core>) -> Result<JoinHandle<()>, Error> {
    spawn(core, "docdb-messenger".to_owned(), messenger)
}

fn spawn(core: &Arc<Core>, name: String, run: fn(&Core)) -> Result<JoinHandle<()>, Error> {
    let shared = Arc::clone(core);
    Builder::new()
        .name(name)
        .spawn(move || run(&shared))
        .map_err(|error| Error::new(ErrorCode::LimitExceeded).detail(format!("cannot start a thread: {error}")))
}

/// Carries operations out while there are any, then sleeps until it is called.
fn lane(core: &Core) {
    let mut entered = core.enter();
    loop {
        entered = match entered.next(Worker::Lane) {
            Next::Task(task) => entered.carry_out(task),
            Next::Errands => entered.again(Worker::Lane),
            Next::Rest if entered.is_over() => return,
            Next::Rest => entered.rest(Place::Lane),
        };
    }
}

/// Tells the engine when the time it asked for has come.
fn timer(core: &Core) {
    let mut entered = core.enter();
    while !entered.is_over() {
        if entered.nothing_follows() {
            // A time that the engine asked for earlier must not keep the timer awake.
            entered.desk.wake_at = None;
        }
        let now = entered.driver.clock.monotonic();
        if entered.desk.wake_at.is_some_and(|time| time <= now) {
            entered.desk.wake_at = None;
            entered.handle(Input::Timer);
        } else {
            entered = entered.rest(Place::Timer);
        }
    }
}

/// Delivers messages, without the lock, and sleeps while there are none.
fn messenger(core: &Core) {
    let mut entered = core.enter();
    loop {
        let waiting = std::mem::take(&mut entered.desk.messages);
        if !waiting.is_empty() {
            drop(entered);
            messages::deliver(waiting, core.on_alert.as_ref());
            entered = core.enter();
        } else if entered.is_over() {
            entered.messenger_is_gone = true;
            return;
        } else {
            entered = entered.rest(Place::Messenger);
        }
    }
}
