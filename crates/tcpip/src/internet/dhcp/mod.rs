//! A DHCP client for IPv4 (RFC 2131, with the identifier of RFC 4361, checked as RFC 6842 asks), as a value.
//!
//! It says what is to be sent, when to look again, and which lease holds. Whether somebody else has the address is for
//! the layer around it to find out (RFC 5227).

mod lease;
mod lifecycle;
mod message;
#[cfg(test)]
mod tests;

pub use lease::Lease;

use std::net::Ipv4Addr;
use std::time::Duration;

use host::{Instant, Random};
use wire::MacAddress;
use wire::dhcpv4::{DhcpOption, Header, MessageType, Operation};

/// Between two messages at first, and at most (RFC 2131 section 4.1); each a second more or less.
const FIRST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(64);
/// Requests before the offer counts as taken back.
const REQUESTS: u32 = 4;
/// After a conflict, at least (RFC 2131 section 3.1, step 5).
const AFTER_CONFLICT: Duration = Duration::from_secs(10);
/// Between two requests for more time, at least (RFC 2131 section 4.4.5).
const PATIENCE: Duration = Duration::from_secs(60);

/// How a client asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The address that it had before and would like again.
    pub previous: Option<Ipv4Addr>,
    /// What it calls itself; at most 63 bytes are sent.
    pub host_name: Option<String>,
    /// It waits a random part of this before the first message, so that hosts that start together do not ask together.
    pub delay: Duration,
}

/// The states of RFC 2131 figure 5.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Has nothing. Discovers at its deadline.
    Init,
    /// Waits for offers.
    Selecting,
    /// Has asked for what was offered.
    Requesting { server: Ipv4Addr, address: Ipv4Addr },
    /// Has asked for what it had before.
    Rebooting { address: Ipv4Addr },
    /// It is being found out whether somebody else has the address.
    Probing(Lease),
    /// Has a lease.
    Bound(Lease),
    /// Has asked its server for more time.
    Renewing(Lease),
    /// Has asked everybody for more time.
    Rebinding(Lease),
    /// Wants nothing any more.
    Released,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send `message` from port 68 to port 67.
    Send { from: Ipv4Addr, to: Ipv4Addr, message: Vec<u8> },
    /// Find out whether somebody has the address of this lease.
    Probe(Lease),
    /// The lease goes on with new times and what else it says.
    Renewed(Lease),
    /// The address is ours no more.
    Lost(Ipv4Addr),
}

/// A client on one interface.
#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    mac: MacAddress,
    random: Random,
    state: State,
    /// When to do the next thing.
    deadline: Option<Instant>,
    /// Messages sent in this state.
    sent: u32,
    /// What came to nothing since a lease held.
    failures: u32,
    transaction: u32,
    /// When this attempt began: leases count from the request, elapsed seconds from the first message.
    began: Instant,
    requested: Instant,
}

impl Client {
    pub(super) fn new(now: Instant, config: Config, mac: MacAddress, mut random: Random) -> Self {
        let delay = Duration::from_nanos(random.below(config.delay.as_nanos().max(1) as u64));
        Self {
            state: State::Init,
            deadline: Some(now + delay),
            sent: 0,
            failures: 0,
            transaction: random.next_u32(),
            began: now,
            requested: now,
            config,
            mac,
            random,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The lease that holds.
    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) => Some(lease),
            _ => None,
        }
    }

    /// The address that is being made sure of, or that is ours.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Probing(lease) => Some(host(lease)),
            _ => self.lease().map(host),
        }
    }

    /// Does one thing that is due; call until there is none.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        match self.state.clone() {
            State::Init => match self.config.previous.take() {
                Some(address) => {
                    self.enter(State::Rebooting { address });
                    self.began = now;
                    self.request(now, Some(address), None)
                }
                None => {
                    self.enter(State::Selecting);
                    self.began = now;
                    self.discover(now)
                }
            },
            State::Selecting => self.discover(now),
            State::Requesting { server, address } if self.sent < REQUESTS => {
                self.request(now, Some(address), Some(server))
            }
            State::Rebooting { address } if self.sent < REQUESTS / 2 => {
                self.request(now, Some(address), None)
            }
            State::Requesting { .. } | State::Rebooting { .. } => {
                self.restart(now, Duration::ZERO);
                None
            }
            State::Bound(lease) => {
                self.enter(State::Renewing(lease.clone()));
                self.extend(now, &lease)
            }
            State::Renewing(lease) | State::Rebinding(lease) if is_over(now, lease.expires) => {
                self.restart(now, Duration::ZERO);
                Some(Action::Lost(host(&lease)))
            }
            State::Renewing(lease) => {
                if is_over(now, lease.rebind) {
                    self.enter(State::Rebinding(lease.clone()));
                }
                self.extend(now, &lease)
            }
            State::Rebinding(lease) => self.extend(now, &lease),
            State::Probing(_) | State::Released => {
                self.deadline = None;
                None
            }
        }
    }

    /// A datagram came to port 68 from port 67.
    pub(super) fn receive(&mut self, now: Instant, payload: &[u8]) -> Option<Action> {
        let (header, options) = Header::parse(payload).ok()?;
        let ours = header.operation == Operation::Reply
            && header.transaction == self.transaction
            && header.hardware == self.mac
            // RFC 6842: a server that says for whom says it right.
            && options.iter().all(|option| match option {
                DhcpOption::ClientIdentifier(identifier) => identifier == self.identifier(),
                _ => true,
            });
        let server = options.iter().find_map(|option| match option {
            DhcpOption::ServerIdentifier(server) => Some(server),
            _ => None,
        })?;
        if !ours {
            return None;
        }
        let of = |since| Lease::of(since, server, &header, options);
        match (options.message_type()?, self.state.clone()) {
            (MessageType::Offer, State::Selecting) => {
                let address = host(&of(now)?);
                self.enter(State::Requesting { server, address });
                self.request(now, Some(address), Some(server))
            }
            (MessageType::Ack, State::Requesting { server: asked, address }) => {
                let lease = of(self.requested)?;
                (server == asked && host(&lease) == address).then(|| self.probe(lease))
            }
            (MessageType::Ack, State::Rebooting { address }) => {
                let lease = of(self.requested)?;
                (host(&lease) == address).then(|| self.probe(lease))
            }
            (MessageType::Ack, State::Renewing(held)) => {
                let lease = of(self.requested)?;
                (server == held.server && lease.address == held.address).then(|| self.renewed(lease))
            }
            (MessageType::Ack, State::Rebinding(held)) => {
                let lease = of(self.requested)?;
                (lease.address == held.address).then(|| self.renewed(lease))
            }
            (MessageType::Nak, State::Requesting { server: asked, .. }) if server == asked => {
                self.refused(now);
                None
            }
            (MessageType::Nak, State::Rebooting { .. }) => {
                self.refused(now);
                None
            }
            (MessageType::Nak, State::Renewing(lease)) if server == lease.server => {
                self.refused(now);
                Some(Action::Lost(host(&lease)))
            }
            (MessageType::Nak, State::Rebinding(lease)) => {
                self.refused(now);
                Some(Action::Lost(host(&lease)))
            }
            _ => None,
        }
    }

    /// Nobody else has the address that was probed for.
    pub(super) fn ready(&mut self, now: Instant) {
        if let State::Probing(lease) = &self.state {
            let lease = lease.clone();
            self.hold(now, lease);
        }
    }

    /// Somebody else has the address: it is given back, and another one asked for.
    pub(super) fn conflict(&mut self, now: Instant) -> Option<Action> {
        let lease = match &self.state {
            State::Probing(lease) => lease.clone(),
            _ => return None,
        };
        let message = self.message(
            now,
            MessageType::Decline,
            Ipv4Addr::UNSPECIFIED,
            &[DhcpOption::RequestedAddress(host(&lease)), DhcpOption::ServerIdentifier(lease.server)],
        );
        self.failures += 1;
        self.restart(now, AFTER_CONFLICT);
        Some(Action::Send { from: Ipv4Addr::UNSPECIFIED, to: Ipv4Addr::BROADCAST, message })
    }

    /// The address is needed no more.
    pub(super) fn release(&mut self, now: Instant) -> Option<Action> {
        let lease = self.lease().cloned();
        self.enter(State::Released);
        self.deadline = None;
        let lease = lease?;
        self.transaction = self.random.next_u32();
        let options = [DhcpOption::ServerIdentifier(lease.server)];
        let message = self.message(now, MessageType::Release, host(&lease), &options);
        Some(Action::Send { from: host(&lease), to: lease.server, message })
    }
}

fn host(lease: &Lease) -> Ipv4Addr {
    match lease.address.address {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn is_over(now: Instant, at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= now)
}
