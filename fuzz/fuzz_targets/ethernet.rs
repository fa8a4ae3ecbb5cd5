#![no_main]
//! Ethernet: what is parsed is emitted again, byte by byte.

use fourwire_wire::ethernet::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, payload)) = Header::parse(bytes) {
        let mut again = bytes.to_vec();
        again[..Header::LEN].fill(0xaa);
        header.emit(&mut again);
        assert_eq!(again, bytes);
        assert_eq!(payload, &bytes[Header::LEN..]);
    }
});
