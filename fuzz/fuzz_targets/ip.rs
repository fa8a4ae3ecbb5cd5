#![no_main]
//! Packets of either version from outside: what is whole is quoted the same way.

use fourwire_wire::ip::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (whole, quoted) = (Packet::parse(bytes), Packet::parse_quoted(bytes));
    if let Ok(whole) = whole {
        let quoted = quoted.unwrap();
        assert!(quoted.payload.starts_with(whole.payload));
        assert_eq!(Packet { payload: whole.payload, ..quoted }, whole);
        assert!(whole.sequence().is_none() || whole.ports().is_some());
    }
});
