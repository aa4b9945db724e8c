//! Opening every database before the daemon says that it listens.
//!
//! Owns which databases are asked, how many at a time, and what is said meanwhile. A database that does not open is named
//! and left: the others are served, and each later request for it tries again. It never decides why one does not open.

use std::time::Duration;

use docdb_protocol::{DatabaseInfo, DatabaseName, Error, IfMissing, Request};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use tracing::{debug, error, info};

use crate::log::words::{bytes, count, seconds};
use crate::notify;
use crate::store::Store;

/// So many are opened at a time: each waits for its own reads.
const OPENINGS_MAX: usize = 8;

/// How often it is said how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// An opening that takes this long is worth a line; shorter ones are details.
const SLOW: Duration = Duration::from_secs(1);

/// More than these are counted and not named.
const UNANSWERED_LOGGED_MAX: usize = 100;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Databases that answer.
    pub(crate) answering: usize,
    /// Databases that do not, and why.
    pub(crate) unanswered: Vec<(DatabaseName, Error)>,
    /// Databases that were not waited for, because the daemon is to stop.
    pub(crate) left: usize,
}

/// Opens all of them, or as many as there is time for until `stop` is done.
pub(crate) async fn open_all(store: &Store, databases: Vec<DatabaseInfo>, stop: impl Future<Output = ()>) -> Opened {
    let begun = Instant::now();
    let all = databases.len();
    let mut opened = Opened::default();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut names = databases.into_iter().map(|database| database.name);
    let mut progress = interval_at(begun + PROGRESS_EVERY, PROGRESS_EVERY);
    let mut asked = 0;
    tokio::pin!(stop);
    loop {
        let done = opened.answering + opened.unanswered.len();
        while asked - done < OPENINGS_MAX {
            let Some(name) = names.next() else { break };
            let (answers, request) =
                (answers.clone(), Request::OpenDatabase { name: name.clone(), if_missing: IfMissing::Fail });
            // Nobody hears it any more when the daemon stops.
            let asked_at = Instant::now();
            store.ask(request, move |response| drop(answers.send((name, response, asked_at.elapsed()))));
            asked += 1;
        }
        if done == all {
            break;
        }
        tokio::select! {
            biased;
            () = &mut stop => {
                opened.left = all - done;
                info!("opening is given up, {} left: the daemon is to stop", count(opened.left as u64, "database"));
                return opened;
            }
            answer = answered.recv() => match answer {
                Some((name, Ok(_), took)) => {
                    opened.answering += 1;
                    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    if took >= SLOW {
                        info!(database = name.as_str(), took_ms, "opened in {}", seconds(took));
                    } else {
                        debug!(database = name.as_str(), took_ms, "opened in {}", seconds(took));
                    }
                }
                Some((name, Err(error), _)) => {
                    if opened.unanswered.len() < UNANSWERED_LOGGED_MAX {
                        error!(database = name.as_str(), "it does not open: {}: {error}", error.code().name());
                    }
                    opened.unanswered.push((name, error));
                }
                // This function holds a sender.
                None => break,
            },
            _ = progress.tick() => {
                let after = seconds(begun.elapsed());
                info!("opening: {done} of {} after {after}", count(all as u64, "database"));
                notify::still_starting(&format!("opening: {done} of {all} databases"), 2 * PROGRESS_EVERY);
            }
        }
    }
    let totals = totals(store).await;
    info!("opened {} in {}{totals}", count(opened.answering as u64, "database"), seconds(begun.elapsed()));
    opened
}

/// What the databases that are open have, in words.
async fn totals(store: &Store) -> String {
    match store.stats_now().await {
        Ok(stats) => format!(": {} of log, {} in memory", bytes(stats.log_bytes), bytes(stats.memory_bytes)),
        // It is a figure for the log alone.
        Err(_) => String::new(),
    }
}

impl Opened {
    /// All, and those that do not answer, in words.
    pub(crate) fn sentence(&self) -> String {
        const NAMED_MAX: usize = 10;
        let all = self.answering + self.unanswered.len() + self.left;
        let mut sentence = count(all as u64, "database");
        if self.unanswered.is_empty() {
            return sentence;
        }
        let names: Vec<&str> = self.unanswered.iter().take(NAMED_MAX).map(|(name, _)| name.as_str()).collect();
        let more = self.unanswered.len() - names.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        sentence.push_str(&format!(", not answering: {}{more}", names.join(", ")));
        sentence
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use docdb_protocol::ErrorCode;

    use super::*;
    use crate::store::EngineOptions;

    #[tokio::test]
    async fn a_daemon_that_is_to_stop_waits_for_no_opening() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data"), EngineOptions::default()).unwrap();
        let made = DatabaseName::parse("a").unwrap();
        let (sender, made_it) = tokio::sync::oneshot::channel();
        let request = Request::OpenDatabase { name: made, if_missing: IfMissing::Create };
        store.ask(request, |response| sender.send(response).unwrap());
        made_it.await.unwrap().unwrap();
        let databases = store.databases().unwrap();
        let opened = open_all(&store, databases.clone(), std::future::ready(())).await;
        assert_eq!((opened.answering, opened.left), (0, 1));
        let opened = open_all(&store, databases, std::future::pending()).await;
        assert_eq!((opened.answering, opened.left), (1, 0));
    }

    #[test]
    fn those_that_do_not_answer_are_named() {
        let unanswered = |count: usize| {
            let name = |index| DatabaseName::parse(&format!("d{index}")).unwrap();
            (0..count).map(|index| (name(index), Error::new(ErrorCode::FileRead))).collect()
        };
        let opened = Opened { answering: 3, unanswered: unanswered(0), left: 0 };
        assert_eq!(opened.sentence(), "3 databases");
        let opened = Opened { answering: 1, unanswered: unanswered(2), left: 0 };
        assert_eq!(opened.sentence(), "3 databases, not answering: d0, d1");
        let opened = Opened { answering: 0, unanswered: unanswered(12), left: 0 };
        assert!(opened.sentence().ends_with(", d9 and 2 more"), "{}", opened.sentence());
    }
}
