#![no_main]
//! IGMP, its checksum mended first: what is parsed is emitted and parsed again.

use fourwire_wire::{checksum::Sum, igmp::Message};
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
    if let Message::ReportV3(records) = message {
        assert_eq!(records.iter().count(), usize::from(records.count()));
    }
});
