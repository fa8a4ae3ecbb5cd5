#![no_main]
//! TCP and its options: what is understood can be said again, up to SACK blocks without room.

use fourwire_wire::{checksum::Sum, tcp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, payload)) = tcp::Header::parse(bytes) else { return };
    assert!(bytes.ends_with(payload));
    let mut again = vec![0xaa; header.len()];
    assert!(again.len() <= tcp::Header::MAX_LEN);
    header.emit(&mut again);
    let (read, rest) = tcp::Header::parse(&again).unwrap();
    // Others pack options closer than we: then the last blocks may find no room.
    let mut expected = header;
    expected.options.sack = tcp::SackBlocks::default();
    let blocks = header.options.sack.as_slice();
    let kept = read.options.sack.as_slice().len();
    blocks[..kept].iter().for_each(|&block| expected.options.sack.push(block));
    assert_eq!((read, rest.len()), (expected, 0));
    assert!(kept == blocks.len() || again.len() + 8 > tcp::Header::MAX_LEN);
    tcp::fill_checksum(&mut again, Sum::default());
    assert!(tcp::is_whole(&again, Sum::default()));
});
