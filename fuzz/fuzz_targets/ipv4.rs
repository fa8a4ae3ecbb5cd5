#![no_main]
//! IPv4, its checksum mended first: what is parsed is emitted again, byte by byte.

use fourwire_wire::{checksum::Sum, ipv4};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some(&first) = bytes.first() {
        let len = (usize::from(first & 0x0f) * 4).min(bytes.len());
        if len >= 12 {
            bytes[10..12].fill(0);
            let checksum = Sum::of(&bytes[..len]).checksum().to_be_bytes();
            bytes[10..12].copy_from_slice(&checksum);
        }
    }
    if let Ok((header, payload)) = ipv4::Header::parse(&bytes) {
        let mut again = vec![0xaa; header.len()];
        header.emit(&mut again, payload.len());
        assert_eq!(again, bytes[..header.len()]);
        assert!(header.options.iter().count() <= 40);
        let (quoted, rest) = ipv4::Header::parse_quoted(&bytes).unwrap();
        assert_eq!(quoted, header);
        assert!(rest.starts_with(payload));
    }
});
