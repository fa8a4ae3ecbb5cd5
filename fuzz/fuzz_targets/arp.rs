#![no_main]
//! ARP: what is parsed is emitted again, byte by byte.

use fourwire_wire::arp::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::parse(bytes) {
        let mut again = [0xaa; Packet::LEN];
        packet.emit(&mut again);
        assert_eq!(again, bytes[..Packet::LEN]);
    }
});
