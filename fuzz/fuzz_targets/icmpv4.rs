#![no_main]
//! ICMP, its checksum mended first: what is parsed is emitted and parsed again.

use fourwire_wire::{checksum::Sum, icmpv4::Message, ip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let checksum = Sum::of(&bytes).checksum().to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
    }
    let Ok(message) = Message::parse(&bytes) else { return };
    let mut again = vec![0xaa; message.len()];
    message.emit(&mut again);
    assert_eq!(Message::parse(&again), Ok(message));
    if let Message::Unreachable { quoted, .. } = message {
        let _ = ip::Packet::parse_quoted(quoted);
    }
});
