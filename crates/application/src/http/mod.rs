//! HTTP/1.1 (RFC 9110, RFC 9112) on hyper, over any [`host::Connection`].
//!
//! hyper knows the grammar; what surrounds it is ours:
//!
//! - **Time.** hyper is given no timer and no date. Every deadline (for a head, for a request, for a connection that
//!   idles, for a peer that does not read) is kept on the clock of the host, and `Date` comes from its wall clock. So
//!   nothing of the real machine reaches a simulated one. (hyper still refreshes its own cached date from the system
//!   clock now and then; with automatic dates off, nobody sees it.)
//! - **Refusals.** hyper's own answers to what it cannot parse have no body and no date. [`server`] answers in their
//!   place, with the status that fits and a sentence that says what was wrong, and tells the caller why
//!   ([`Problem`]), to be counted.
//! - **The end.** A connection that we close first is closed in the lingering way of RFC 9112 section 9.6, so that the
//!   last answer is not lost to a reset.
//! - **Upgrades.** A connection that was upgraded comes back bare, with the bytes that were read too far, and costs
//!   nothing of HTTP from then on.

mod body;
pub mod client;
mod io;
mod problem;
pub mod server;

pub use body::{Body, BodyError, RequestBody};
pub use problem::Problem;

use host::WallTime;
use http::HeaderValue;
use std::time::{Duration, SystemTime};

/// `time` as the `Date` header wants it (RFC 9110 section 5.6.7).
pub fn date(time: WallTime) -> HeaderValue {
    // httpdate knows the years up to 9999.
    let seconds = time.unix_seconds().min(253_402_300_799);
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_fixed_length_and_never_fail() {
        assert_eq!(date(WallTime::from_unix_millis(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(WallTime::from_unix_nanos(u64::MAX)), "Sun, 21 Jul 2554 23:34:33 GMT");
    }
}
