#![no_main]
//! The checksum: the fast sum of three parts is the slow one of the whole; the check sequence likewise.

use fourwire_wire::checksum::{Sum, update};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let slow = !bytes.chunks(2).fold(0u32, |sum, pair| {
        let sum = sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        (sum & 0xffff) + (sum >> 16)
    }) as u16;
    let (first, second) = bytes.split_at(bytes.first().map_or(0, |&at| usize::from(at) % bytes.len()));
    let (second, third) = second.split_at(second.last().map_or(0, |&at| usize::from(at) % second.len()));
    assert_eq!(Sum::of(bytes).checksum(), slow);
    assert_eq!(Sum::of(first).and(second).and(third).checksum(), slow);
    assert_eq!(Sum::of(first).and_sum(Sum::of(second).and(third)).checksum(), slow);
    if let [a, b, ..] = *bytes {
        let (old, new) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([b, !a]));
        let mut changed = bytes.to_vec();
        changed[..2].copy_from_slice(&new.to_be_bytes());
        let (updated, again) = (update(slow, old, new), Sum::of(&changed).checksum());
        assert!(updated == again || (updated ^ again) == 0xffff && (updated == 0 || again == 0));
    }
});
