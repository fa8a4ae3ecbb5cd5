#![no_main]
//! IPv6: the header is emitted again, and the walks over extension headers for a host and for a reader agree.

use fourwire_wire::{Protocol, ip, ipv6};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, payload)) = ipv6::Header::parse(bytes) else { return };
    let mut again = bytes.to_vec();
    again[..ipv6::Header::LEN].fill(0xaa);
    header.emit(&mut again, payload.len());
    assert_eq!(again, bytes);
    match ipv6::Chain::of(&header, payload) {
        Ok(chain) => {
            assert_eq!(bytes[chain.pointer as usize], chain.protocol.0);
            if let Some(place) = chain.fragment {
                let (fragment, body) = ipv6::Fragment::parse(&payload[place.offset..]).unwrap();
                assert_eq!((fragment, body), (place.header, &payload[chain.offset..]));
                assert_eq!(bytes[place.pointer as usize], Protocol::FRAGMENT.0);
                let _ = ipv6::is_whole_chain(&fragment, body);
            } else if chain.protocol != Protocol::AUTHENTICATION {
                let packet = ip::Packet::parse(bytes).unwrap();
                assert_eq!((packet.protocol, packet.payload), (chain.protocol, &payload[chain.offset..]));
            }
        }
        Err(ipv6::Problem::Answer { code, pointer }) => {
            assert!(!header.destination.is_multicast() || code == ipv6::ParameterProblem::UnrecognizedOption);
            assert!((pointer as usize) < ipv6::Header::LEN + payload.len());
        }
        Err(ipv6::Problem::Discard) => {}
    }
});
