#![no_main]
//! 802.11 data frames with LLC: what is parsed is emitted again.

use fourwire_wire::{fcs, llc, wlan::Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = fcs::check(bytes);
    let Ok((header, payload)) = Header::parse(bytes) else { return };
    let mut again = vec![0xaa; header.len()];
    header.emit(&mut again);
    assert_eq!(payload.len() + again.len(), bytes.len());
    let (read, rest) = Header::parse(&again).unwrap();
    assert_eq!((read, rest.len()), (header, 0));
    if let Ok((ether_type, _)) = llc::parse(payload) {
        let mut again = [0xaa; llc::LEN];
        llc::emit(&mut again, ether_type);
        assert_eq!(again, payload[..llc::LEN]);
    }
});
