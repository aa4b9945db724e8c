//! What the service manager hears: that the daemon is ready, how far it is, that it stops, and that it lives.
//!
//! Owns the messages. Where nobody set NOTIFY_SOCKET, nothing is sent; where sending fails, nothing else does. The watchdog
//! is told that the daemon lives only when the engine has just answered a request: a daemon whose engine is stuck is
//! started anew.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::store::Store;

fn send(states: &[NotifyState<'_>]) {
    // A manager that does not listen is one that does not want to know.
    let _ = sd_notify::notify(states);
}

/// It starts and is at work: the manager is to wait for at least so long again.
pub(crate) fn still_starting(status: &str, wait: Duration) {
    send(&[NotifyState::Status(status), extend(wait)]);
}

/// It listens.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It stops, which takes at most so long.
pub fn stopping(wait: Duration) {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping"), extend(wait)]);
}

/// It reads its settings again; [`reloaded`] follows.
pub fn reloading() {
    // Without the time the manager does not understand it.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, now]);
    }
}

/// It has read its settings.
pub fn reloaded() {
    send(&[NotifyState::Ready]);
}

fn extend(wait: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(wait.as_micros()).unwrap_or(u32::MAX))
}

/// Tells the watchdog, where there is one, that the daemon lives, as often as the engine answers. Never ends by itself.
pub(crate) async fn watch(store: Store) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    // Twice in the time, so that one answer that is late costs nothing.
    let mut due = interval((within / 2).max(Duration::from_millis(1)));
    loop {
        due.tick().await;
        if store.stats_now().await.is_err() {
            return;
        }
        send(&[NotifyState::Watchdog]);
    }
}
