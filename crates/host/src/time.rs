//! Points in time that do not come from the operating system, and waiting for them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Add, AddAssign, Sub};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::{Runtime, Timer};

/// Waits until the clock of `runtime` reaches `deadline`.
pub async fn sleep_until<R: Runtime>(runtime: &R, deadline: Instant) {
    let mut timer = runtime.timer();
    timer.set(Some(deadline));
    poll_fn(|context| timer.poll_expired(context)).await;
}

/// Waits for `duration` on the clock of `runtime`.
pub async fn sleep<R: Runtime>(runtime: &R, duration: Duration) {
    sleep_until(runtime, runtime.now() + duration).await;
}

/// Runs `future` until it is done or the clock of `runtime` reaches `deadline`.
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first; the future is dropped then.
pub async fn timeout_at<R: Runtime, F: Future>(
    runtime: &R,
    deadline: Instant,
    future: F,
) -> Result<F::Output, Elapsed> {
    let mut timer = runtime.timer();
    timer.set(Some(deadline));
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        timer.poll_expired(context).map(|()| Err(Elapsed))
    })
    .await
}

/// A deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the deadline passed")
    }
}

impl std::error::Error for Elapsed {}

/// A point on a host's monotonic clock, in nanoseconds since that host's own origin.
///
/// Instants of different hosts are not comparable unless the hosts say so (all shards of a machine share one origin).
/// Arithmetic saturates: 2^64 nanoseconds are 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ORIGIN: Self = Self(0);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(duration)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A point on the wall clock, in nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted.
///
/// It may jump: use it to tell people the time, never to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// The time `nanos` nanoseconds after 1970-01-01 00:00 UTC.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The time `millis` milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since 1970-01-01 00:00 UTC.
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since 1970-01-01 00:00 UTC.
    pub const fn unix_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since 1970-01-01 00:00 UTC.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ORIGIN - Duration::MAX, Instant::ORIGIN);
        assert_eq!(Instant::ORIGIN.since(end), Duration::ZERO);
        assert_eq!(end.since(Instant::from_nanos(u64::MAX - 7)), Duration::from_nanos(7));
    }

    #[test]
    fn instants_print_as_seconds() {
        assert_eq!(format!("{:?}", Instant::from_nanos(1_000_000_042)), "1.000000042s");
    }
}
