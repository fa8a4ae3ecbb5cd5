//! What the client sends, and when again.

use std::net::Ipv4Addr;
use std::time::Duration;

use host::Instant;
use wire::dhcpv4::{DhcpOption, Header, MessageType, Operation, Writer, code};

use super::{Action, Client, FIRST, LONGEST, Lease, PATIENCE, State, host};

/// Room for a message: what every relay takes.
const ROOM: usize = 548;
/// A label of a name (RFC 1035 section 2.3.4).
const LABEL: usize = 63;

impl Client {
    pub(super) fn discover(&mut self, now: Instant) -> Option<Action> {
        if self.sent == 0 {
            self.transaction = self.random.next_u32();
        }
        let message = self.message(now, MessageType::Discover, Ipv4Addr::UNSPECIFIED, &[]);
        self.again(now);
        Some(Action::Send { from: Ipv4Addr::UNSPECIFIED, to: Ipv4Addr::BROADCAST, message })
    }

    /// Asks for `address`, of `server` where one has offered it.
    pub(super) fn request(
        &mut self,
        now: Instant,
        address: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
    ) -> Option<Action> {
        let options = address.map(DhcpOption::RequestedAddress).into_iter();
        let options: Vec<_> = options.chain(server.map(DhcpOption::ServerIdentifier)).collect();
        let message = self.message(now, MessageType::Request, Ipv4Addr::UNSPECIFIED, &options);
        self.requested = now;
        self.again(now);
        Some(Action::Send { from: Ipv4Addr::UNSPECIFIED, to: Ipv4Addr::BROADCAST, message })
    }

    /// Asks for more time: the server, or everybody.
    pub(super) fn extend(&mut self, now: Instant, lease: &Lease) -> Option<Action> {
        if self.sent == 0 {
            self.transaction = self.random.next_u32();
            self.began = now;
        }
        let (to, end) = match self.state {
            State::Rebinding(_) => (Ipv4Addr::BROADCAST, lease.expires),
            _ => (lease.server, lease.rebind),
        };
        let message = self.message(now, MessageType::Request, host(lease), &[]);
        self.requested = now;
        self.sent += 1;
        // Half of what is left, and the end of it: then the next state has its turn.
        self.deadline = end.map(|end| {
            let left = end.since(now);
            if left <= PATIENCE { end } else { now + (left / 2).max(PATIENCE) }
        });
        Some(Action::Send { from: host(lease), to, message })
    }

    /// The next message in this state: after twice the time, a second more or less.
    fn again(&mut self, now: Instant) {
        let time = (FIRST * 2_u32.pow(self.sent.min(4))).min(LONGEST);
        self.sent = self.sent.saturating_add(1);
        let jitter = Duration::from_nanos(self.random.below(2_000_000_000));
        self.deadline = Some(now + time - Duration::from_secs(1) + jitter);
    }

    pub(super) fn message(
        &mut self,
        now: Instant,
        kind: MessageType,
        client: Ipv4Addr,
        options: &[DhcpOption<'_>],
    ) -> Vec<u8> {
        let header = Header {
            operation: Operation::Request,
            hops: 0,
            transaction: self.transaction,
            seconds: now.since(self.began).as_secs().min(u16::MAX.into()) as u16,
            // Without an address only what goes to everybody comes up here.
            broadcast: client.is_unspecified(),
            client,
            your: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay: Ipv4Addr::UNSPECIFIED,
            hardware: self.mac,
        };
        let identifier = self.identifier();
        let name = self.config.host_name.as_deref().unwrap_or_default().as_bytes();
        let name = &name[..name.len().min(LABEL)];
        let asks = matches!(kind, MessageType::Discover | MessageType::Request);
        let mut message = vec![0; ROOM];
        let len = Writer::new(&mut message, &header).map_or(0, |mut writer| {
            let first = [DhcpOption::MessageType(kind), DhcpOption::ClientIdentifier(&identifier)];
            let named = asks && !name.is_empty();
            let last = [
                asks.then_some(DhcpOption::ParameterRequest(&WANTED)),
                asks.then_some(DhcpOption::MaxMessageSize(1_500)),
                named.then_some(DhcpOption::HostName(name)),
            ];
            for option in first.iter().chain(options).chain(last.iter().flatten()) {
                // There is room for them all.
                let _ = writer.push(option);
            }
            writer.finish()
        });
        message.truncate(len);
        message
    }

    /// Type 255, one identity of the many that a client could have, and what it is made of: our address on the link
    /// (RFC 4361 section 6.1, RFC 8415 section 11.4).
    pub(super) fn identifier(&self) -> [u8; 15] {
        let mut identifier = [255, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0];
        identifier[1..5].copy_from_slice(&self.mac.0[2..]);
        identifier[9..].copy_from_slice(&self.mac.0);
        identifier
    }
}

const WANTED: [u8; 9] = [
    code::SUBNET_MASK,
    code::ROUTERS,
    code::DNS_SERVERS,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::LEASE_TIME,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];
