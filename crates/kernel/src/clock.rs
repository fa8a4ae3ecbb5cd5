//! One origin for the clocks of all shards.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use host::{Instant, WallTime};

/// When this process first asked for the time. All shards count from here, so that their instants compare.
static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();

fn origin() -> std::time::Instant {
    *ORIGIN.get_or_init(std::time::Instant::now)
}

pub(crate) fn now() -> Instant {
    // The origin first: read the other way round, the very first instant would lie before it.
    let origin = origin();
    Instant::from_nanos(nanos(std::time::Instant::now().saturating_duration_since(origin)))
}

pub(crate) fn wall_clock() -> WallTime {
    WallTime::from_unix_nanos(nanos(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
    ))
}

/// `instant` on tokio's clock. What lies beyond that clock's end is as far away as makes no difference.
pub(crate) fn to_tokio(instant: Instant) -> tokio::time::Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    let origin = origin();
    let after = Duration::from_nanos(instant.as_nanos());
    tokio::time::Instant::from_std(origin.checked_add(after).unwrap_or_else(|| origin + FAR))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
