//! What systemd is told: that the daemon is ready, alive, stopping. Without systemd, nobody.

use std::time::Duration;

use sd_notify::NotifyState;

/// Says that everything is bound and running.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the daemon drains and ends.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Feeds the watchdog, if there is one, for as long as this runtime gets its work done.
pub(crate) async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval(half(limit));
    loop {
        beat.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}

/// As sd_watchdog_enabled(3) recommends; at least a millisecond, which an interval needs.
fn half(limit: Duration) -> Duration {
    (limit / 2).max(Duration::from_millis(1))
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
