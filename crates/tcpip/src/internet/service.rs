//! What the internet layer offers to the transport layer, and hands up to it.

use std::borrow::Cow;
use std::net::IpAddr;

use host::Instant;
use wire::Protocol;

use super::ConfigError;
use crate::{Descending, InterfaceId};

/// The internet layer as the transport layer sees it.
pub trait Internet {
    /// How to get to `destination`: from `source` when that is given, else from the address that RFC 6724 chooses.
    ///
    /// # Errors
    ///
    /// [`SendError::NoRoute`], [`SendError::NoAddress`].
    fn path(&mut self, now: Instant, destination: IpAddr, source: Option<IpAddr>) -> Result<Path, SendError>;

    /// Sends what the transport layer put into `packet`: finds the way, cuts it where that is allowed, and hands it to
    /// the link layer.
    ///
    /// # Errors
    ///
    /// As [`SendError`] says. What was dropped further down is no error: networks do that.
    fn send(&mut self, now: Instant, sending: &Sending, packet: &mut Descending<'_>)
    -> Result<(), SendError>;

    /// Whether the device on the way to `destination` takes a frame now.
    fn has_room(&mut self, destination: IpAddr) -> bool;

    /// The largest TCP packet to `destination` that may be longer than the path takes, in bytes with the IP header: it is
    /// cut further down. Zero where none is.
    fn segmented(&mut self, destination: IpAddr) -> u32;

    /// Tells that bytes get through to `destination` and back, so that the neighbour on the way need not be asked
    /// (RFC 4861 section 7.3.1).
    fn confirm(&mut self, now: Instant, destination: IpAddr);

    /// Lowers the path MTU to `destination` after the transport layer found the router's word to fit a live flow
    /// (RFC 1191, RFC 8201, RFC 5927). Returns the path MTU as it is now, in bytes with the IP header.
    fn packet_too_big(&mut self, now: Instant, destination: IpAddr, mtu: u16) -> u16;

    /// Listens to `group` on an interface, by default the one that leads there. Says which; that one is to be
    /// [left](Self::leave) as often as it was joined.
    ///
    /// # Errors
    ///
    /// [`ConfigError::WrongKind`] when it is no group, [`ConfigError::NoInterface`], [`ConfigError::TooMany`].
    fn join(
        &mut self,
        now: Instant,
        on: Option<InterfaceId>,
        group: IpAddr,
    ) -> Result<InterfaceId, ConfigError>;

    /// Listens to `group` on an interface no longer, once it has been left as often as joined.
    fn leave(&mut self, now: Instant, on: InterfaceId, group: IpAddr);
}

/// How to get to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The interface that leads there.
    pub interface: InterfaceId,
    /// The address to send from.
    pub source: IpAddr,
    /// The largest packet that is known to get there, in bytes with the IP header.
    pub mtu: u16,
    /// The largest packet, in bytes with the IP header, that the device cuts into segments itself; `mtu` where it
    /// does not.
    pub segmented: u32,
}

/// What goes with a packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// From whom: one of our addresses (or unspecified, for DHCP and duplicate address detection only).
    pub source: IpAddr,
    /// To whom, of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub protocol: Protocol,
    /// TTL or hop limit; `None` for the host's default of 64.
    pub ttl: Option<u8>,
    /// Differentiated services and ECN bits.
    pub traffic_class: u8,
    /// No router may cut it, and neither do we.
    pub dont_fragment: bool,
    /// By this interface only; needed for link-local and multicast destinations when there are several.
    pub interface: Option<InterfaceId>,
}

/// Why a packet could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No route leads there.
    #[error("no route leads to the destination; add one, or a default gateway")]
    NoRoute,
    /// No address of ours can be its source.
    #[error("this host has no address from which the destination can be reached")]
    NoAddress,
    /// It must not be cut, and the path takes at most this many bytes with the IP header.
    #[error("the packet is too long: at most {0} bytes with its headers get there in one piece")]
    TooBig(u16),
    /// The device takes nothing now.
    #[error("the device has no room now")]
    NoRoom,
}

/// A packet for the transport layer: whole, for one of our addresses or groups.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// Where it came in.
    pub interface: InterfaceId,
    /// From whom: a unicast address, or unspecified.
    pub source: IpAddr,
    /// To which of our addresses, or to which group or broadcast address.
    pub destination: IpAddr,
    /// Whether `destination` is a group's or a broadcast address: never answered by TCP or by ICMP errors.
    pub to_many: bool,
    /// What the payload is.
    pub protocol: Protocol,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
    /// Differentiated services and ECN bits as they arrived (of all fragments: RFC 3168 section 5.3).
    pub traffic_class: u8,
    /// Whether the transport layer's checksum need not be looked at: the device has done so, or the packet never was on
    /// a link.
    pub checked: bool,
    /// The transport layer's segment or datagram; owned when it was put together from fragments.
    pub payload: Cow<'a, [u8]>,
    /// The packet's IP header and first bytes, as an ICMP error quotes them.
    pub quote: Cow<'a, [u8]>,
}

/// An ICMP error about a packet that we are said to have sent. Anybody can forge one: the transport layer compares
/// `transport` with its live flows before it believes (RFC 5927).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError<'a> {
    /// What went wrong.
    pub problem: Problem,
    /// Who says so.
    pub reporter: IpAddr,
    /// From which of our addresses the packet went.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What it carried.
    pub protocol: Protocol,
    /// The first bytes of what it carried: at least eight.
    pub transport: &'a [u8],
}

/// What an ICMP error says, with RFC 1122 section 4.2.3.9 and RFC 5461 in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No way to the network: may pass.
    NetworkUnreachable,
    /// No way to the host: may pass.
    HostUnreachable,
    /// The host does not know the protocol.
    ProtocolUnreachable,
    /// Nobody is at the port.
    PortUnreachable,
    /// A rule forbids it.
    Prohibited,
    /// The packet is too long for a link on the way: at most this many bytes, zero when the router does not say.
    TooBig(u16),
    /// Its TTL ran out: may pass.
    TimeExceeded,
    /// The header was not understood.
    Parameter,
}
