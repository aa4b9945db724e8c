//! Times and bounds of a connection, on a clock that stands still until everybody waits. Nothing here asks anything of the
//! store, whose threads such a clock would not wait for.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::time::Duration;

use docdb_protocol::Error;
use docdb_protocol::wire::v1::{Answer, Answered, Call, Hello, frame_reader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::*;
use crate::budget::TotalBudget;
use crate::connection;
use crate::store::{EngineOptions, Store};

struct Served {
    client: UnixStream,
    serving: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

fn shared(limits: &Limits) -> (Shared, watch::Sender<bool>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (stop, stopping) = watch::channel(false);
    let store = Store::open(&directory.path().join("data"), EngineOptions::default()).unwrap();
    (Shared { store, limits: Arc::new(limits.clone()), stopping }, stop, directory)
}

fn serving(limits: &Limits) -> Served {
    let (shared, stop, directory) = shared(limits);
    let (client, server) = UnixStream::pair().unwrap();
    let budget = TotalBudget::new(limits).connection(limits);
    let serving = tokio::spawn(connection::serve(server, shared, budget));
    Served { client, serving, stop, _directory: directory }
}

fn hello() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    Call::Hello(Hello::new("a test")).encode(1, &mut bytes).unwrap();
    bytes
}

/// A frame of a kind that is unknown: refused without the store.
fn unknown(request_id: u64) -> Vec<u8> {
    [&9_u32.to_le_bytes()[..], &request_id.to_le_bytes(), &[99]].concat()
}

/// The answers until the daemon ends the connection.
async fn rest(client: &mut UnixStream) -> Vec<Answered> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    let mut bytes = bytes.strip_prefix(MAGIC).unwrap_or(&bytes);
    let (mut reader, mut answers) = (frame_reader(), Vec::new());
    while let Some(body) = reader.next_body(&mut bytes).unwrap() {
        answers.push(Answered::decode(&body).unwrap());
    }
    assert!(!reader.is_within_frame());
    answers
}

fn codes(answers: &[Answered]) -> Vec<(u64, Option<ErrorCode>)> {
    answers.iter().map(|answer| (answer.request_id, answer.outcome.as_ref().err().map(Error::code))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_is_closed_after_the_idle_time() {
    let limits = Limits::default();
    let mut served = serving(&limits);
    served.client.write_all(&hello()).await.unwrap();
    let begun = Instant::now();
    let answers = rest(&mut served.client).await;
    assert!(matches!(answers[..], [Answered { request_id: 1, outcome: Ok(Answer::Welcome(_)) }]), "{answers:?}");
    assert_eq!(begun.elapsed(), limits.idle_time_max);
}

/// A connection was once closed, and its answer with it, because the answer took longer than the idle time.
#[tokio::test(start_paused = true)]
async fn the_idle_time_does_not_run_while_an_answer_is_owed() {
    let limits = Limits::default();
    let (shared, _stop, _directory) = shared(&limits);
    let (_client, server) = UnixStream::pair().unwrap();
    let (reading, _writing) = server.into_split();
    let budget = TotalBudget::new(&limits).connection(&limits);
    let frames = Frames::new(reading, budget.clone(), limits.clone());
    let (queue, _due) = mpsc::unbounded_channel();
    let owed = Outstanding::new();
    let connection = Connection { frames, queue, owed: owed.clone(), budget, shared, is_greeted: true };
    let ticket = owed.begin();
    let mut running = tokio::spawn(connection.run());
    assert!(timeout(limits.idle_time_max * 10, &mut running).await.is_err(), "it waits for what is owed");
    drop(ticket);
    let begun = Instant::now();
    running.await.unwrap();
    assert_eq!(begun.elapsed(), limits.idle_time_max, "and then its idle time begins");
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_no_earlier_one_and_one_that_nobody_gives_says_so() {
    let limits = Limits::default();
    let (mut client, server) = UnixStream::pair().unwrap();
    let (_reading, writing) = server.into_split();
    let (queue, due) = mpsc::unbounded_channel();
    let owed = Outstanding::new();
    let debt = |request_id| Debt::new(request_id, queue.clone(), owed.begin(), None);
    let (first, second, third) = (debt(1), debt(2), debt(3));
    tokio::spawn(write_all(writing, due, Arc::new(limits)));
    second.answer(Ok(Answer::Closed));
    let (mut reader, mut piece, mut seen) = (frame_reader(), [0; 64], Vec::new());
    client.read_exact(&mut piece[..MAGIC.len()]).await.unwrap();
    // The second is sent while the first is still owed.
    while seen.is_empty() {
        let bytes = client.read(&mut piece).await.unwrap();
        seen.extend(reader.next_body(&mut &piece[..bytes]).unwrap());
    }
    assert_eq!(Answered::decode(&seen[0]).unwrap(), Answered { request_id: 2, outcome: Ok(Answer::Closed) });
    drop(third);
    first.answer(Ok(Answer::Closed));
    drop(queue);
    let expected = [(3, Some(ErrorCode::OutcomeUnknown)), (1, None)];
    assert_eq!(codes(&rest(&mut client).await), expected);
    owed.none().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_without_end_does_not_keep_a_stop_up() {
    let limits = Limits::default();
    let (shared, stop, _directory) = shared(&limits);
    let (mut client, server) = UnixStream::pair().unwrap();
    let (reading, _writing) = server.into_split();
    let budget = TotalBudget::new(&limits).connection(&limits);
    let frames = Frames::new(reading, budget.clone(), limits);
    // Its answers are not sent.
    let (queue, mut due) = mpsc::unbounded_channel();
    let owed = Outstanding::new();
    let connection = Connection { frames, queue, owed: owed.clone(), budget, shared, is_greeted: true };
    let ticket = owed.begin();
    let running = tokio::spawn(connection.run());
    stop.send_replace(true);
    let asking = tokio::spawn(async move { while client.write_all(&unknown(7)).await.is_ok() {} });
    let refused = due.recv().await.unwrap();
    drop(ticket);
    timeout(Duration::from_secs(3600), running).await.expect("it ends when what was owed is answered").unwrap();
    let mut answer = Vec::new();
    drop(refused.append_to(&mut answer));
    let stopped = Answered::decode(&answer[4..]).unwrap();
    assert_eq!(codes(&[stopped]), [(7, Some(ErrorCode::PoolStopped))]);
    asking.abort();
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_does_not_keep_a_connection() {
    let limits = Limits::default();
    let mut served = serving(&limits);
    served.client.write_all(&[hello(), unknown(7)[..12].to_vec()].concat()).await.unwrap();
    let begun = Instant::now();
    let answers = rest(&mut served.client).await;
    assert_eq!(codes(&answers), [(1, None), (7, Some(ErrorCode::FrameTimeout))]);
    assert_eq!(begun.elapsed(), limits.frame_time_max);
    // Nor do half of the first bytes, which are taken for a frame of version 0 then.
    let mut served = serving(&limits);
    served.client.write_all(&MAGIC[..5]).await.unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    served.client.read_to_end(&mut answer).await.unwrap();
    assert!(begun.elapsed() <= limits.frame_time_max * 2, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_sound_is_answered_and_the_connection_goes_on_but_for_the_hello() {
    let limits = Limits::default();
    let mut served = serving(&limits);
    // Unknown kinds, a body that is no execute, a second hello: each is answered.
    let no_execute = [&10_u32.to_le_bytes()[..], &8_u64.to_le_bytes(), &[7, 1]].concat();
    let mut sent = [hello(), unknown(7), no_execute].concat();
    Call::Hello(Hello::new("again")).encode(9, &mut sent).unwrap();
    sent.extend_from_slice(&unknown(10));
    // A frame without an id ends it.
    sent.extend_from_slice(&[4, 0, 0, 0, 1, 2, 3, 4]);
    sent.extend_from_slice(&unknown(11));
    served.client.write_all(&sent).await.unwrap();
    let invalid = Some(ErrorCode::InvalidRequest);
    let expected = [
        (1, None),
        (7, invalid),
        (8, Some(ErrorCode::InvalidFrame)),
        (9, invalid),
        (10, invalid),
        (0, Some(ErrorCode::InvalidRequestId)),
    ];
    assert_eq!(codes(&rest(&mut served.client).await), expected);
    // Nothing is served before hello, nor in a version that is not spoken.
    let mut served = serving(&limits);
    let mut sent = MAGIC.to_vec();
    Call::Statistics.encode(3, &mut sent).unwrap();
    served.client.write_all(&sent).await.unwrap();
    assert_eq!(codes(&rest(&mut served.client).await), [(3, invalid)]);
    let mut served = serving(&limits);
    let mut sent = MAGIC.to_vec();
    let later = Hello { version_min: 2, version_max: 9, ..Hello::new("of a later time") };
    Call::Hello(later).encode(3, &mut sent).unwrap();
    served.client.write_all(&sent).await.unwrap();
    assert_eq!(codes(&rest(&mut served.client).await), [(3, Some(ErrorCode::UnsupportedVersion))]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_too_large_is_refused_with_its_id_and_ends_the_connection() {
    let limits = Limits::default();
    let mut served = serving(&limits);
    let too_large = u32::try_from(docdb_protocol::wire::v1::FRAME_BODY_BYTES_MAX + 1).unwrap();
    served
        .client
        .write_all(&[hello(), too_large.to_le_bytes().to_vec(), 7_u64.to_le_bytes().to_vec()].concat())
        .await
        .unwrap();
    assert_eq!(codes(&rest(&mut served.client).await), [(1, None), (7, Some(ErrorCode::FrameTooLarge))]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answers_is_held_back_and_then_cut() {
    const SENT_BYTES_MAX: usize = 64 * 1024 * 1024;
    let limits = Limits { requests_per_connection_max: 4, ..Limits::default() };
    let mut served = serving(&limits);
    served.client.write_all(&hello()).await.unwrap();
    let begun = Instant::now();
    let mut sent = 0;
    // Ends with an error: the daemon takes no more, and then takes itself away.
    while sent < SENT_BYTES_MAX {
        match served.client.write(&unknown(1)).await {
            Ok(bytes) => sent += bytes,
            Err(_) => break,
        }
    }
    assert!(sent < 4 * 1024 * 1024, "{sent} bytes were taken from a client that takes none");
    served.serving.await.unwrap();
    assert_eq!(begun.elapsed(), limits.frame_time_max);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_connection_that_is_owed_nothing() {
    let limits = Limits::default();
    for first_bytes in [&b""[..], &MAGIC[..3], &MAGIC[..], &hello()] {
        let mut served = serving(&limits);
        served.client.write_all(first_bytes).await.unwrap();
        served.stop.send_replace(true);
        // What it says before its end, if anything, may be lost with bytes that nobody reads any more.
        let _ = served.client.read_to_end(&mut Vec::new()).await;
        served.serving.await.unwrap();
    }
}
