//! What comes out of the internet layer.

use std::net::IpAddr;

use wire::Protocol;

use super::{Delivery, IcmpError, Problem};
use crate::InterfaceId;

/// What became of a frame.
#[derive(Debug)]
pub enum Received<'a> {
    /// It was dropped, answered, kept or forwarded.
    Handled,
    /// It is for the transport layer.
    Deliver(Delivery<'a>),
    /// It says that a packet of ours did not get through: for the transport layer, which decides whether to believe.
    Failure(Failure),
    /// It answers an echo request.
    EchoReply {
        /// Who answers.
        source: IpAddr,
        /// Which pinger asked.
        identifier: u16,
        /// Its which request.
        sequence: u16,
        /// Routers that might still have forwarded it.
        ttl: u8,
        /// What was sent.
        data: Vec<u8>,
    },
}

/// An [`IcmpError`] that owns what it quotes: up to 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub problem: Problem,
    /// Who says so; ourselves where a neighbour did not answer.
    pub reporter: IpAddr,
    /// From which of our addresses the packet went.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What it carried.
    pub protocol: Protocol,
    /// The first bytes of what it carried: at least eight.
    pub transport: Vec<u8>,
}

impl Failure {
    /// As the transport layer takes it.
    pub fn as_error(&self) -> IcmpError<'_> {
        let Self { problem, reporter, source, destination, protocol, ref transport } = *self;
        IcmpError { problem, reporter, source, destination, protocol, transport }
    }
}

/// Something that happened by itself, or that a packet brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nobody else has this address: it can be used.
    AddressReady(InterfaceId, IpAddr),
    /// Somebody else has this address: it cannot be used.
    AddressDuplicate(InterfaceId, IpAddr),
    /// This address is no longer ours: its lifetime ended.
    AddressLost(InterfaceId, IpAddr),
    /// A packet of ours did not reach its next hop: for the transport layer, as [`Received::Failure`].
    Failure(Failure),
}

/// A packet from this host to itself.
#[derive(Debug)]
pub struct Looped {
    pub(super) interface: InterfaceId,
    pub(super) packet: Vec<u8>,
}
