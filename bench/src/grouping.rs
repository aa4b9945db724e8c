//! Writers behind one thread that makes their requests durable in groups: what a program does by hand whose store has no
//! group commit of its own. The raw log and SQLite stand behind the same thread.
//!
//! It knows nothing of what a group is made durable in, and holds a group back for nobody: one is what has arrived.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::processor_us;

/// Figures and errors of every measurement.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a run of writers achieved.
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// Processor time of the whole process a commit, in microseconds.
    pub(crate) processor_us: f64,
}

/// One writer, which sleeps until its request is durable.
struct Writer {
    thread: Thread,
    is_done: AtomicBool,
}

/// Runs `writers` threads, each of which waits for each of its requests. `commit` makes a group of so many durable.
pub(crate) fn write(
    writers: u64,
    duration: Duration,
    commit: impl FnMut(usize) -> Outcome<()> + Send,
) -> Outcome<Rate> {
    let (sender, receiver) = channel::<Arc<Writer>>();
    let over = AtomicBool::new(false);
    let (start, processor_before) = (Instant::now(), processor_us());
    let over = &over;
    let commits: u64 = std::thread::scope(|scope| {
        let grouping = scope.spawn(move || group(&receiver, over, commit));
        for _ in 0..writers {
            let sender = sender.clone();
            scope.spawn(move || {
                let writer = Arc::new(Writer { thread: std::thread::current(), is_done: AtomicBool::new(false) });
                while !over.load(Ordering::Relaxed) && sender.send(Arc::clone(&writer)).is_ok() {
                    while !writer.is_done.swap(false, Ordering::Acquire) {
                        std::thread::park();
                    }
                }
            });
        }
        drop(sender);
        std::thread::sleep(duration);
        over.store(true, Ordering::Relaxed);
        grouping.join().expect("the grouping thread does not panic")
    })?;
    let (elapsed, processor) = (start.elapsed(), processor_us() - processor_before);
    Ok(Rate { per_second: commits as f64 / elapsed.as_secs_f64(), processor_us: processor / commits.max(1) as f64 })
}

/// Makes what has arrived durable and wakes who waited, until all writers have gone. Counts requests.
fn group(
    receiver: &Receiver<Arc<Writer>>,
    over: &AtomicBool,
    mut commit: impl FnMut(usize) -> Outcome<()>,
) -> Outcome<u64> {
    let (mut commits, mut failure) = (0, None);
    while let Ok(first) = receiver.recv() {
        let group: Vec<_> = std::iter::once(first).chain(receiver.try_iter()).collect();
        if failure.is_none() {
            commits += group.len() as u64;
            failure = commit(group.len()).err();
        }
        if failure.is_some() {
            over.store(true, Ordering::Relaxed);
        }
        for writer in group {
            writer.is_done.store(true, Ordering::Release);
            writer.thread.unpark();
        }
    }
    failure.map_or(Ok(commits), Err)
}
