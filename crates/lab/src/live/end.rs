//! An end of a wire, as a host holds it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use ::wire::MacAddress;
use ::wire::ethernet::{EtherType, Header};
use bytes::Bytes;
use host::Runtime;
use stack::Device;
use stack::device::Received;
use tcpip::Descending;

use super::wire::Wire;
use crate::link::Way;

/// An end of a [`Wire`]: a point-to-point device that carries a host's IP packets in Ethernet frames. Both ends know each
/// other's hardware address, so that none has to be asked for.
pub struct WireEnd<R: Runtime> {
    wire: Wire<R>,
    /// By which way what we send goes.
    out: Way,
    mtu: u16,
}

/// The near and the far end's hardware address: locally administered, of one station (IEEE 802, clause 8).
const NEAR: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const FAR: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

impl<R: Runtime> WireEnd<R> {
    /// The near and the far end of `wire`, for packets of up to `mtu` bytes.
    pub fn pair(wire: &Wire<R>, mtu: u16) -> [Self; 2] {
        [Way::Out, Way::In].map(|out| Self { wire: wire.clone(), out, mtu })
    }

    fn back(&self) -> Way {
        match self.out {
            Way::Out => Way::In,
            Way::In => Way::Out,
        }
    }

    /// Our address, and the other end's.
    fn addresses(&self) -> [MacAddress; 2] {
        match self.out {
            Way::Out => [NEAR, FAR],
            Way::In => [FAR, NEAR],
        }
    }

    /// The IP packet in a frame; `None` when the frame was damaged so that it is not for us.
    fn open<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let (header, packet) = Header::parse(frame).ok()?;
        let [ours, _] = self.addresses();
        (header.destination == ours && header.ether_type == ether_type(packet)).then_some(packet)
    }
}

impl<R: Runtime> Device for WireEnd<R> {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            let frame = ready!(self.wire.poll_arrival(self.back(), context));
            if let Some(packet) = self.open(&frame)
                && let Some(place) = buffer.get_mut(..packet.len())
            {
                place.copy_from_slice(packet);
                return Poll::Ready(Ok(Received::plain(packet.len())));
            }
        }
    }

    fn transmit(&mut self, packet: &Descending<'_>) -> io::Result<()> {
        if packet.len() > usize::from(self.mtu) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the packet is longer than the wire's MTU"));
        }
        let mut frame = Vec::with_capacity(Header::LEN + packet.len());
        frame.resize(Header::LEN, 0);
        packet.copy_to(&mut frame);
        let [source, destination] = self.addresses();
        Header { destination, source, ether_type: ether_type(&frame[Header::LEN..]) }.emit(&mut frame);
        self.wire.offer(self.out, Bytes::from(frame));
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// None: the frames are ours, the packets in them the host's.
    fn mac(&self) -> Option<MacAddress> {
        None
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }
}

fn ether_type(packet: &[u8]) -> EtherType {
    match packet.first() {
        Some(first) if first >> 4 == 6 => EtherType::IPV6,
        _ => EtherType::IPV4,
    }
}

impl<R: Runtime> fmt::Debug for WireEnd<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WireEnd({})", self.addresses()[0])
    }
}
