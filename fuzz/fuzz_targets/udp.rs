#![no_main]
//! UDP, its checksum mended first: what is parsed is emitted again, byte by byte.

use fourwire_wire::{checksum::Sum, udp::Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 8 {
        let len = usize::from(u16::from_be_bytes([bytes[4], bytes[5]])).clamp(8, bytes.len());
        bytes[6..8].fill(0);
        let checksum = match Sum::of(&bytes[..len]).checksum() {
            0 => 0xffff,
            checksum => checksum,
        };
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    if let Ok((header, payload)) = Header::parse(&bytes, Sum::default(), false) {
        let len = Header::LEN + payload.len();
        let mut again = bytes[..len].to_vec();
        again[..Header::LEN].fill(0xaa);
        header.emit(&mut again, Sum::default());
        assert_eq!(again, bytes[..len]);
    }
});
