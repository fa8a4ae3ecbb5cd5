//! Happy eyeballs (RFC 8305): which of a server's addresses answers first.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use host::{Host, Instant, Timer};

/// After so long without an answer the next address is tried too (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// Why none of a server's addresses could be reached, each with its own reason.
#[derive(Debug)]
pub struct Unreachable(Vec<(SocketAddr, Option<io::Error>)>);

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            formatter.write_str(if index == 0 { "" } else { "; " })?;
            match error {
                Some(error) => write!(formatter, "cannot connect to {address}: {error}")?,
                None => write!(formatter, "connecting to {address} took too long")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

type Attempt<C> = Pin<Box<dyn Future<Output = io::Result<C>> + Send>>;

/// Connects to whichever of `addresses` answers first. They are tried in their order, but the address families take
/// turns; the next one joins when the one before has failed, or has not answered for 250 ms. Up to 8 are tried.
///
/// # Errors
///
/// When all have failed, or `deadline` passes.
pub async fn connect<H: Host>(
    host: &H,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(SocketAddr, H::Connection), Unreachable> {
    let mut waiting = in_turns(addresses);
    waiting.truncate(ADDRESSES);
    let mut attempts: Vec<(SocketAddr, Attempt<H::Connection>)> = Vec::new();
    let mut failures: Vec<(SocketAddr, Option<io::Error>)> = Vec::new();
    let mut timer = host.timer();
    let mut next = host.now();
    let connected = poll_fn(|context| {
        loop {
            let mut failed = false;
            let mut at = 0;
            while let Some((address, attempt)) = attempts.get_mut(at) {
                match attempt.as_mut().poll(context) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(connection)) => return Poll::Ready(Some((*address, connection))),
                    Poll::Ready(Err(error)) => {
                        failures.push((*address, Some(error)));
                        drop(attempts.remove(at));
                        failed = true;
                    }
                }
            }
            let now = host.now();
            if now >= deadline {
                return Poll::Ready(None);
            }
            if (failed || attempts.is_empty() || now >= next)
                && let Some(address) = waiting.pop_front()
            {
                let host = host.clone();
                attempts.push((address, Box::pin(async move { host.connect(address).await })));
                next = now + ATTEMPT_DELAY;
                continue;
            }
            if attempts.is_empty() {
                return Poll::Ready(None);
            }
            timer.set(Some(if waiting.is_empty() { deadline } else { next.min(deadline) }));
            if timer.poll_expired(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    connected.ok_or_else(|| {
        failures.extend(attempts.into_iter().map(|(address, _)| (address, None)));
        Unreachable(failures)
    })
}

/// The addresses of either family in their order, and the families by turns (RFC 8305, section 4).
fn in_turns(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut those): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().partition(|address| address.is_ipv6() == first);
    let mut turns = VecDeque::with_capacity(addresses.len());
    while let Some(address) = these.pop_front() {
        turns.push_back(address);
        if !those.is_empty() {
            std::mem::swap(&mut these, &mut those);
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_and_none_is_left_out() {
        let turns = |texts: &[&str]| {
            let addresses: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            in_turns(&addresses).iter().map(|address| address.port()).collect::<Vec<_>>()
        };
        assert_eq!(turns(&["[::1]:1", "[::2]:2", "[::3]:3", "1.1.1.1:4", "1.1.1.2:5"]), [1, 4, 2, 5, 3]);
        assert_eq!(turns(&["1.1.1.1:1", "[::1]:2", "[::2]:3", "[::3]:4"]), [1, 2, 3, 4]);
        assert_eq!(turns(&["1.1.1.1:1"]), [1]);
        assert!(turns(&[]).is_empty());
    }
}
