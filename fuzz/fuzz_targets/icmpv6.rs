#![no_main]
//! ICMPv6 with neighbour and multicast listener discovery, its checksum mended first: what is parsed is emitted and
//! parsed again.

use fourwire_wire::{checksum::Sum, icmpv6::Message, ndp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let checksum = Sum::of(&bytes).checksum().to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
    }
    let Ok(message) = Message::parse(&bytes, Sum::default()) else { return };
    let mut again = vec![0xaa; message.len()];
    message.emit(&mut again, Sum::default());
    assert_eq!(Message::parse(&again, Sum::default()), Ok(message));
    match message {
        Message::Neighbor(message) => {
            let mut len = 0;
            for option in message.options().iter() {
                let mut again = vec![0xaa; option.len()];
                option.emit(&mut again);
                assert_eq!(ndp::Options::parse(&again).unwrap().iter().next(), Some(option));
                len += again.len();
            }
            assert_eq!(len, message.options().as_bytes().len());
        }
        Message::Multicast(fourwire_wire::mld::Message::ReportV2(records)) => {
            assert_eq!(records.iter().count(), usize::from(records.count()));
        }
        _ => {}
    }
});
