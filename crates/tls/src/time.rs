//! The time of day for certificates, from a runtime.

use std::fmt;
use std::time::Duration;

use host::Runtime;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

pub(crate) struct WallClock<R>(pub(crate) R);

impl<R: Runtime> TimeProvider for WallClock<R> {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.wall_clock().unix_seconds())))
    }
}

impl<R> fmt::Debug for WallClock<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WallClock")
    }
}
