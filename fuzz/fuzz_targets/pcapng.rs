#![no_main]
//! Captures: what is read can be written, and is read again.

use fourwire_wire::pcapng::{Block, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut again = Vec::new();
    let mut kept = Vec::new();
    for block in Reader::new(bytes).flatten() {
        let at = again.len();
        match block {
            Block::Section(section) => {
                again.resize(at + section.len(), 0xaa);
                section.emit(&mut again[at..]);
            }
            Block::Interface(interface) => {
                again.resize(at + interface.len(), 0xaa);
                interface.emit(&mut again[at..]);
            }
            Block::Packet(packet) => {
                again.resize(at + packet.len(), 0xaa);
                packet.emit(&mut again[at..]);
            }
            Block::SimplePacket { .. } | Block::Other { .. } => continue,
        }
        kept.push(Ok(block));
    }
    assert!(Reader::new(&again).eq(kept));
});
