//! What may happen very often is logged once a while, with a count of what was left out.
//!
//! Owns the counting alone.

use std::time::Duration;

use tokio::time::Instant;

/// Within this time, further events of a kind are counted and not logged.
const PAUSE: Duration = Duration::from_secs(1);

/// One kind of event.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    logged_at: Option<Instant>,
    left_out: u64,
}

impl Repeated {
    /// Counts one event. `None` when it is not to be logged; else what is to be said behind it: nothing, or how many
    /// others there were since the last that was logged.
    pub(crate) fn again(&mut self, now: Instant) -> Option<String> {
        if self.logged_at.is_some_and(|logged_at| now.duration_since(logged_at) < PAUSE) {
            self.left_out += 1;
            return None;
        }
        self.logged_at = Some(now);
        match std::mem::take(&mut self.left_out) {
            0 => Some(String::new()),
            left_out => Some(format!(" (and {left_out} more since)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_line_a_second() {
        let mut repeated = Repeated::default();
        assert_eq!(repeated.again(Instant::now()).as_deref(), Some(""));
        for _ in 0..10 {
            assert_eq!(repeated.again(Instant::now()), None);
        }
        tokio::time::advance(PAUSE).await;
        assert_eq!(repeated.again(Instant::now()).as_deref(), Some(" (and 10 more since)"));
        tokio::time::advance(PAUSE).await;
        assert_eq!(repeated.again(Instant::now()).as_deref(), Some(""));
    }
}
