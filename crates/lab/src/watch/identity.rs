//! Whether a packet that a machine sends is one that it has received.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};
use wire::ethernet::Header;
use wire::{Protocol, ip};

use super::Stamp;

/// Packets that a machine has received and that are known again; a packet waits no longer than so many others pass.
const REMEMBERED: usize = 4_096;

/// What a machine has received.
#[derive(Default)]
pub(super) struct Passing {
    packets: BTreeMap<Identity, Stamp>,
    order: VecDeque<Identity>,
}

/// What routers leave alone, those that translate addresses, too.
type Identity = [u8; 16];

impl Passing {
    pub(super) fn add(&mut self, frame: &[u8], stamp: Stamp) {
        for identity in identities(frame).into_iter().flatten() {
            if self.packets.insert(identity, stamp).is_none() {
                self.order.push_back(identity);
            }
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.packets.remove(&oldest);
            }
        }
    }

    pub(super) fn find(&mut self, frame: &[u8]) -> Option<Stamp> {
        let mut known = identities(frame).into_iter().flatten();
        known.find_map(|identity| self.packets.get(&identity).copied())
    }
}

/// By what a packet is known again: by what it carries, but for its ports and checksum; and, where routers may cut it, by
/// what its fragments have in common. `None` for what is no packet, or never leaves its link.
fn identities(frame: &[u8]) -> [Option<Identity>; 2] {
    let Ok((header, bytes)) = Header::parse(frame) else { return [None; 2] };
    let Ok(packet) = ip::Packet::parse(bytes).or_else(|_| ip::Packet::parse_quoted(bytes)) else {
        return [None; 2];
    };
    if header.destination.is_multicast() {
        return [None; 2];
    }
    let is_fragment = packet.more_fragments || packet.fragment_offset > 0;
    let whole = (!is_fragment).then(|| {
        let mut hash = Sha256::new();
        hash.update([packet.protocol.0]);
        for (at, byte) in packet.payload.chunks(2).enumerate() {
            if !is_changed(packet.protocol, packet.payload, at * 2) {
                hash.update(byte);
            }
        }
        short(hash)
    });
    let is_cut = packet.source.is_ipv4() && bytes[6] & 0x40 == 0;
    let pieces = (is_fragment || is_cut).then(|| {
        let mut hash = Sha256::new();
        hash.update(b"pieces");
        // Version 4 has its identification in front; version 6 in a header of its own, and only the sender cuts.
        hash.update(if packet.source.is_ipv4() { &bytes[4..6] } else { &[] });
        hash.update(format!("{} {} {}", packet.source, packet.destination, packet.protocol.0));
        short(hash)
    });
    [whole, pieces]
}

/// Whether a translator changes the word at `at`.
fn is_changed(protocol: Protocol, payload: &[u8], at: usize) -> bool {
    match protocol {
        Protocol::TCP => matches!(at, 0 | 2 | 16),
        Protocol::UDP => matches!(at, 0 | 2 | 6),
        // An identifier; and in what an error quotes, addresses and checksums.
        Protocol::ICMP if payload.first().is_some_and(|kind| matches!(kind, 0 | 8)) => matches!(at, 2 | 4),
        Protocol::ICMP => at == 2 || (16..36).contains(&at),
        _ => false,
    }
}

fn short(hash: Sha256) -> Identity {
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.finalize()[..16]);
    identity
}
