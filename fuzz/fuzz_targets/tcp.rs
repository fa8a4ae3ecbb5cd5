#![no_main]
//! TCP and its options: what is understood can be said again.

use fourwire_wire::{checksum::Sum, tcp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, payload)) = tcp::Header::parse(bytes) else { return };
    assert!(bytes.ends_with(payload));
    let mut again = vec![0xaa; header.len()];
    assert!(again.len() <= tcp::Header::MAX_LEN);
    header.emit(&mut again);
    let (read, rest) = tcp::Header::parse(&again).unwrap();
    assert_eq!((read, rest.len()), (header, 0));
    tcp::fill_checksum(&mut again, Sum::default());
    assert!(tcp::is_whole(&again, Sum::default()));
});
