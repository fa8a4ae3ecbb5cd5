//! Asking other hosts whether they are there, and answering them (RFC 792, RFC 4443 section 4).

use std::collections::VecDeque;
use std::net::IpAddr;

use host::Instant;
use wire::checksum::Sum;
use wire::icmpv4::{self, Echo};
use wire::{Protocol, icmpv6, ipv4};

use super::{Failure, Layer, Problem, SendError, Sending};
use crate::{Descending, Transmit};

/// Requests whose failure is believed; of older ones nobody hears any more.
const MAX_ASKED: usize = 1024;

/// An echo request to be sent: a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoRequest<'a> {
    /// Whom to ask.
    pub destination: IpAddr,
    /// From which of our addresses; `None` for the one that RFC 6724 chooses.
    pub source: Option<IpAddr>,
    /// Which pinger asks.
    pub identifier: u16,
    /// Its which request.
    pub sequence: u16,
    /// TTL or hop limit; `None` for the host's default.
    pub ttl: Option<u8>,
    /// What is to come back.
    pub data: &'a [u8],
}

/// The requests that were sent last.
#[derive(Debug, Default)]
pub(super) struct Asked(VecDeque<(IpAddr, u16, u16)>);

impl Asked {
    fn note(&mut self, destination: IpAddr, identifier: u16, sequence: u16) {
        if self.0.len() == MAX_ASKED {
            self.0.pop_front();
        }
        self.0.push_back((destination, identifier, sequence));
    }
}

impl Layer {
    /// Sends an echo request; the answer comes as [`Received::EchoReply`](super::Received::EchoReply).
    ///
    /// # Errors
    ///
    /// As [`SendError`] says.
    pub fn echo(
        &mut self,
        now: Instant,
        request: &EchoRequest<'_>,
        out: &mut dyn Transmit,
    ) -> Result<(), SendError> {
        let EchoRequest { destination, source, identifier, sequence, ttl, data } = *request;
        let source = self.path(now, destination, source, None)?.source;
        if data.len() > 65_535 - ipv4::Header::MIN_LEN - icmpv4::Message::MIN_LEN {
            return Err(SendError::TooBig(u16::MAX));
        }
        let echo = Echo { identifier, sequence, data };
        self.asked.note(destination, identifier, sequence);
        self.send_echo(now, source, destination, &echo, true, ttl, out)
    }

    /// Whether `failure` is about an echo request of ours: then which pinger's, and its which. What it says of the path is
    /// then believed (RFC 5927).
    pub fn echo_failed(&mut self, now: Instant, failure: &Failure) -> Option<(u16, u16)> {
        let kind = match failure.protocol {
            Protocol::ICMP => 8,
            Protocol::ICMPV6 => 128,
            _ => return None,
        };
        let [first, _, _, _, identifier @ .., sequence_high, sequence_low] =
            failure.transport.first_chunk::<8>()?;
        let identifier = u16::from_be_bytes(*identifier);
        let sequence = u16::from_be_bytes([*sequence_high, *sequence_low]);
        let asked = (failure.destination, identifier, sequence);
        if *first != kind || !self.asked.0.contains(&asked) {
            return None;
        }
        if let Problem::TooBig(mtu) = failure.problem {
            self.packet_too_big(now, failure.destination, mtu);
        }
        Some((identifier, sequence))
    }

    /// An echo request or reply.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn send_echo(
        &mut self,
        now: Instant,
        source: IpAddr,
        destination: IpAddr,
        echo: &Echo<'_>,
        request: bool,
        ttl: Option<u8>,
        out: &mut dyn Transmit,
    ) -> Result<(), SendError> {
        let mut bytes = vec![0; icmpv4::Message::MIN_LEN + echo.data.len()];
        let protocol = if source.is_ipv4() {
            let message = match request {
                true => icmpv4::Message::EchoRequest(*echo),
                false => icmpv4::Message::EchoReply(*echo),
            };
            message.emit(&mut bytes);
            Protocol::ICMP
        } else {
            let message = match request {
                true => icmpv6::Message::EchoRequest(*echo),
                false => icmpv6::Message::EchoReply(*echo),
            };
            let pseudo = Sum::pseudo_header(source, destination, Protocol::ICMPV6.0, bytes.len());
            message.emit(&mut bytes, pseudo);
            Protocol::ICMPV6
        };
        let sending = Sending {
            source,
            destination,
            protocol,
            ttl,
            traffic_class: 0,
            dont_fragment: false,
            interface: None,
        };
        self.send(now, &sending, &mut Descending::new([&bytes, &[]]), out)
    }
}
