#![no_main]
//! Radiotap: what is understood can be said again.

use fourwire_wire::radiotap::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, frame)) = Header::parse(bytes) else { return };
    assert!(bytes.ends_with(frame));
    let mut again = vec![0xaa; header.len()];
    assert!(again.len() <= Header::MAX_LEN);
    header.emit(&mut again);
    assert_eq!(Header::parse(&again), Ok((header, &[][..])));
});
