//! Which flow a frame belongs to.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;
use wire::ip;

use super::impairments::Framing;

/// A hash of the flow that `frame` belongs to: addresses, protocol and, where the packet is whole, ports (RFC 8290 section
/// 4.1.1). Frames without an IP packet are one flow. Who does not know the key cannot make flows collide.
pub(super) fn hash(framing: Framing, frame: &[u8], key: &[u8; 16]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    let packet = framing.packet_offset(frame).and_then(|start| ip::Packet::parse(&frame[start..]).ok());
    if let Some(packet) = packet {
        for address in [packet.source, packet.destination] {
            match address {
                IpAddr::V4(address) => hasher.write(&address.octets()),
                IpAddr::V6(address) => hasher.write(&address.octets()),
            }
        }
        hasher.write_u8(packet.protocol.0);
        // The later fragments of a packet do not say their ports: none of them may go by them, or they part.
        let is_whole = !packet.more_fragments && packet.fragment_offset == 0;
        if let Some((source, destination)) = packet.ports().filter(|_| is_whole) {
            hasher.write_u32(u32::from(source) << 16 | u32::from(destination));
        }
    }
    hasher.finish()
}
