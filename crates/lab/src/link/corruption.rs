//! Bits that flip on the wire, where a checksum must catch it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use host::Random;
use wire::{Protocol, ip};

use super::impairments::Framing;

/// Flips one bit of the IP packet in `frame`, among those that a checksum covers. The error gives a frame back that has no
/// such checksum: not an IP packet, or one with nothing behind its headers that could tell.
pub(super) fn corrupt(framing: Framing, frame: Bytes, random: &mut Random) -> Result<Bytes, Bytes> {
    let Some(covered) = covered(framing, &frame) else { return Err(frame) };
    let bit = random.below(covered.len() as u64 * 8) as usize;
    let mut bytes = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    bytes[covered.start + bit / 8] ^= 1 << (bit % 8);
    Ok(bytes.freeze())
}

/// The bytes of `frame` that a checksum of the Internet protocols covers.
fn covered(framing: Framing, frame: &[u8]) -> Option<Range<usize>> {
    let start = framing.packet_offset(frame)?;
    let packet = ip::Packet::parse(&frame[start..]).ok()?;
    let payload = packet.payload.as_ptr() as usize - frame.as_ptr() as usize;
    let payload = payload..payload + packet.payload.len();
    let has_checksum = match packet.protocol {
        Protocol::TCP | Protocol::ICMP | Protocol::IGMP | Protocol::ICMPV6 => true,
        // Zero is none (RFC 768), which only IPv4 allows.
        Protocol::UDP => {
            packet.fragment_offset > 0 || packet.payload.get(6..8).is_some_and(|sum| sum != [0, 0])
        }
        _ => false,
    } && !payload.is_empty();
    match (packet.source.is_ipv4(), has_checksum) {
        // IPv4's own checksum covers its header.
        (true, true) => Some(start..payload.end),
        (true, false) => Some(start..payload.start),
        (false, true) => Some(payload),
        (false, false) => None,
    }
}
