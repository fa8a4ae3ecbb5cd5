//! Captures in the pcapng format (draft-ietf-opsawg-pcapng), as Wireshark reads and writes them.
//!
//! A capture is a row of blocks: [`Section`], then an [`Interface`] each, then [`Packet`]s. Each is written, little-endian,
//! to the start of a byte slice that has room for its `len`; [`Reader`] reads them back, and those of other programs in
//! both orders of bytes.

mod block;
mod reader;

pub use reader::{Block, Reader};

use core::net::IpAddr;

use crate::bytes::put;
use block::{END_OF_OPTIONS, Writer, option_len, padded};

/// The beginning of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Section<'a> {
    /// The program that has written it; empty: not said.
    pub application: &'a str,
}

/// Where packets were captured. They name it by its place among the interfaces of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// What packets begin with.
    pub link_type: LinkType,
    /// How much of a packet was captured at most, in bytes; zero: all.
    pub snap_len: u32,
    /// The unit of time.
    pub resolution: Resolution,
    /// The interface's name; empty: not said.
    pub name: &'a str,
    /// What is to be said of it; empty: nothing.
    pub description: &'a str,
}

/// A packet (enhanced packet block).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The interface that it was captured at, counted from zero in the section.
    pub interface: u32,
    /// When, in units of the interface's [`Resolution`] from 1970 on.
    pub timestamp: u64,
    /// Its length on the wire, in bytes.
    pub original_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Which way it went.
    pub direction: Option<Direction>,
    /// Which packet it is: the same number wherever the same packet was captured, before and behind a router too.
    pub id: Option<u64>,
    /// What is to be said of it; empty: nothing.
    pub comment: &'a str,
}

/// The names of addresses (name resolution block).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Names<'a> {
    /// An address, and what it is called; no name is longer than 65,000 bytes.
    pub entries: &'a [(IpAddr, &'a str)],
}

/// Which way a packet went at its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It came.
    Inbound,
    /// It went out.
    Outbound,
}

/// What packets begin with (the numbers of tcpdump.org's list of link-layer header types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u16);

impl LinkType {
    /// An Ethernet frame without check sequence.
    pub const ETHERNET: Self = Self(1);
    /// An IPv4 or IPv6 packet.
    pub const RAW_IP: Self = Self(101);
    /// An 802.11 frame.
    pub const WLAN: Self = Self(105);
    /// A radiotap header and an 802.11 frame.
    pub const WLAN_RADIOTAP: Self = Self(127);
}

/// The unit of time of an interface (`if_tsresol`): a negative power of ten, or of two with the upper bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution(pub u8);

impl Resolution {
    /// What an interface has that does not say.
    pub const MICROSECONDS: Self = Self(6);
    /// What we write.
    pub const NANOSECONDS: Self = Self(9);

    /// `timestamp` in nanoseconds; the largest number when that is more.
    pub fn nanoseconds(self, timestamp: u64) -> u64 {
        let exponent = u32::from(self.0 & 0x7f);
        let timestamp = u128::from(timestamp);
        let nanoseconds = match (self.0 & 0x80 != 0, exponent) {
            (true, _) => (timestamp * 1_000_000_000) >> exponent,
            (false, 0..=9) => timestamp * 10u128.pow(9 - exponent),
            (false, _) => 10u128.checked_pow(exponent - 9).map_or(0, |unit| timestamp / unit),
        };
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const NAMES: u32 = 4;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION: u16 = 3;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const PACKET_ID: u16 = 5;
const NAME_OF_V4: u16 = 1;
const NAME_OF_V6: u16 = 2;

/// Type and length in front, length again behind.
const FRAME: usize = 12;

impl Section<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        FRAME + 16 + option_len(self.application.len()) + END_OF_OPTIONS
    }

    /// Never: a block has at least twelve bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the block to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter, or the name longer than 65,535 bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { application } = self;
        let mut block = Writer::new(&mut bytes[..self.len()], SECTION);
        block.write(&BYTE_ORDER.to_le_bytes());
        // Version 1.0.
        block.write(&[1, 0, 0, 0]);
        // How long the section is will be known when it ends.
        block.write(&[0xff; 8]);
        block.option(SECTION_APPLICATION, application.as_bytes());
        block.finish();
    }
}

impl Interface<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        let texts = option_len(self.name.len()) + option_len(self.description.len());
        FRAME + 8 + texts + option_len(1) + END_OF_OPTIONS
    }

    /// Never: a block has at least twelve bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the block to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter, or the name or description longer than 65,535 bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { link_type, snap_len, resolution, name, description } = self;
        let mut block = Writer::new(&mut bytes[..self.len()], INTERFACE);
        block.write(&u32::from(link_type.0).to_le_bytes());
        block.write(&snap_len.to_le_bytes());
        block.option(INTERFACE_NAME, name.as_bytes());
        block.option(INTERFACE_DESCRIPTION, description.as_bytes());
        block.option(INTERFACE_RESOLUTION, &[resolution.0]);
        block.finish();
    }
}

impl Packet<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        let flags = if self.direction.is_some() { option_len(4) } else { 0 };
        let id = if self.id.is_some() { option_len(8) } else { 0 };
        let options = match flags + id + option_len(self.comment.len()) {
            0 => 0,
            len => len + END_OF_OPTIONS,
        };
        FRAME + 20 + padded(self.data.len()) + options
    }

    /// Never: a block has at least twelve bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the block to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter, the comment longer than 65,535 bytes, or the block longer than 2^32.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { interface, timestamp, original_len, data, direction, id, comment } = self;
        let mut block = Writer::new(&mut bytes[..self.len()], PACKET);
        block.write(&interface.to_le_bytes());
        block.write(&((timestamp >> 32) as u32).to_le_bytes());
        block.write(&(*timestamp as u32).to_le_bytes());
        block.write(&(data.len() as u32).to_le_bytes());
        block.write(&original_len.to_le_bytes());
        block.write(data);
        block.option(COMMENT, comment.as_bytes());
        match direction {
            None => {}
            Some(Direction::Inbound) => block.option(PACKET_FLAGS, &[1, 0, 0, 0]),
            Some(Direction::Outbound) => block.option(PACKET_FLAGS, &[2, 0, 0, 0]),
        }
        if let Some(id) = id {
            block.option(PACKET_ID, &id.to_le_bytes());
        }
        block.finish();
    }
}

impl Names<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        let record = |(address, name): &(IpAddr, &str)| option_len(octets(address) + name.len() + 1);
        // A record ends the records, as an option ends the options.
        FRAME + self.entries.iter().map(record).sum::<usize>() + END_OF_OPTIONS
    }

    /// Never: a block has at least twelve bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the block to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter, a name longer than 65,000 bytes, or the block longer than 2^32.
    pub fn emit(&self, bytes: &mut [u8]) {
        let mut block = Writer::new(&mut bytes[..self.len()], NAMES);
        for (address, name) in self.entries {
            let mut octets = [0; 16];
            let (code, octets) = match address {
                IpAddr::V4(v4) => {
                    octets[..4].copy_from_slice(&v4.octets());
                    (NAME_OF_V4, &octets[..4])
                }
                IpAddr::V6(v6) => {
                    octets = v6.octets();
                    (NAME_OF_V6, &octets[..])
                }
            };
            block.record(code, &[octets, name.as_bytes(), &[0]]);
        }
        block.finish();
    }
}

fn octets(address: &IpAddr) -> usize {
    if address.is_ipv4() { 4 } else { 16 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn capture(section: &Section<'_>, interface: &Interface<'_>, packets: &[Packet<'_>]) -> Vec<u8> {
        let mut bytes = vec![0xaa; section.len() + interface.len()];
        section.emit(&mut bytes);
        interface.emit(&mut bytes[section.len()..]);
        for packet in packets {
            let at = bytes.len();
            bytes.resize(at + packet.len(), 0xaa);
            packet.emit(&mut bytes[at..]);
        }
        bytes
    }

    fn interface(name: &str) -> Interface<'_> {
        Interface {
            link_type: LinkType::ETHERNET,
            snap_len: 0,
            resolution: Resolution::NANOSECONDS,
            name,
            description: "",
        }
    }

    #[test]
    fn blocks_are_as_the_draft_draws_them() {
        let packet = Packet {
            interface: 0,
            timestamp: 0x1_0000_0002,
            original_len: 9,
            data: &[7; 5],
            direction: Some(Direction::Outbound),
            id: None,
            comment: "hi",
        };
        let mut bytes = vec![0; packet.len()];
        packet.emit(&mut bytes);
        let mut expected =
            vec![6, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9, 0];
        expected.extend([0, 0, 7, 7, 7, 7, 7, 0, 0, 0, 1, 0, 2, 0, b'h', b'i', 0, 0, 2, 0, 4, 0, 2, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 60, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn names_are_records_of_an_address_and_a_text() {
        let entries =
            [(IpAddr::from([10, 0, 0, 1]), "ann"), (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]), "bob")];
        let names = Names { entries: &entries };
        let mut bytes = vec![0xaa; names.len()];
        names.emit(&mut bytes);
        let mut expected =
            vec![4, 0, 0, 0, 52, 0, 0, 0, 1, 0, 8, 0, 10, 0, 0, 1, b'a', b'n', b'n', 0, 2, 0, 20, 0];
        expected.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'b', b'o', b'b', 0]);
        expected.extend([0, 0, 0, 0, 52, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_other_order_of_bytes_is_read() {
        let mut bytes = vec![0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0];
        bytes.extend([0xff; 8]);
        bytes.extend([0, 0, 0, 28]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 20, 0, 101, 0, 0, 0, 0, 1, 0, 0, 0, 0, 20]);
        bytes.extend([0, 0, 0, 3, 0, 0, 0, 20, 0, 0, 0, 2, 8, 9, 0, 0, 0, 0, 0, 20]);
        bytes.extend([0, 0, 0, 6, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4]);
        bytes.extend([5, 0, 0, 0, 0, 0, 0, 36]);
        let blocks: Vec<_> = Reader::new(&bytes).map(Result::unwrap).collect();
        let interface = Interface {
            link_type: LinkType::RAW_IP,
            snap_len: 256,
            resolution: Resolution::MICROSECONDS,
            name: "",
            description: "",
        };
        let packet = Packet {
            interface: 0,
            timestamp: 0x1_0000_0002,
            original_len: 4,
            data: &[5],
            direction: None,
            id: None,
            comment: "",
        };
        let expected = [
            Block::Section(Section { application: "" }),
            Block::Interface(interface),
            Block::SimplePacket { original_len: 2, data: &[8, 9] },
            Block::Packet(packet),
        ];
        assert_eq!(blocks, expected);
    }

    #[test]
    fn a_capture_may_break_off() {
        let bytes = capture(&Section::default(), &interface("eth0"), &[]);
        for len in 1..bytes.len() {
            let last = Reader::new(&bytes[..len]).last();
            let is_whole = len == Section::default().len();
            assert_eq!(last == Some(Err(Error::Truncated)), !is_whole, "{len} bytes");
        }
        assert_eq!(Reader::new(&[]).next(), None);
        assert_eq!(Reader::new(&[1, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]).next(), Some(Err(Error::Malformed)));
        let mut lengths = bytes;
        lengths[Section::default().len() - 4] ^= 4;
        assert_eq!(Reader::new(&lengths).next(), Some(Err(Error::Malformed)), "the lengths differ");
    }

    #[test]
    fn time_has_many_units() {
        assert_eq!(Resolution::NANOSECONDS.nanoseconds(u64::MAX), u64::MAX);
        assert_eq!(Resolution::MICROSECONDS.nanoseconds(3), 3_000);
        assert_eq!(Resolution(0).nanoseconds(u64::MAX), u64::MAX);
        assert_eq!(Resolution(12).nanoseconds(7_999), 7);
        assert_eq!(Resolution(127).nanoseconds(u64::MAX), 0);
        assert_eq!(Resolution(0x80 | 10).nanoseconds(512), 500_000_000);
        assert_eq!(Resolution(0xff).nanoseconds(u64::MAX), 0);
    }

    prop_compose! {
        fn parts()(
            data in proptest::collection::vec(any::<u8>(), 0..50), comment in "[a-zà-ÿ ]{0,9}",
            direction in proptest::option::of(any::<bool>()), timestamp: u64, interface: u32, original_len: u32,
            id: Option<u64>,
        ) -> (Vec<u8>, String, Option<Direction>, u64, u32, u32, Option<u64>) {
            let direction = direction.map(|out| if out { Direction::Outbound } else { Direction::Inbound });
            (data, comment, direction, timestamp, interface, original_len, id)
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            parts in proptest::collection::vec(parts(), 0..4), application in "[a-z]{0,9}", name in "[a-z]{0,9}", description in "[a-z]{0,9}",
        ) {
            let packets: Vec<_> = parts.iter().map(|(data, comment, direction, timestamp, interface, original_len, id)| Packet {
                interface: *interface, timestamp: *timestamp, original_len: *original_len, data, direction: *direction, id: *id, comment,
            }).collect();
            let (section, interface) = (Section { application: &application }, Interface { description: &description, ..interface(&name) });
            let bytes = capture(&section, &interface, &packets);
            let read: Vec<_> = Reader::new(&bytes).collect();
            let expected: Vec<_> = [Block::Section(section), Block::Interface(interface)]
                .into_iter().chain(packets.into_iter().map(Block::Packet)).map(Ok).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_blocks_that_end(
            damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6), tail in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let packet = Packet { interface: 0, timestamp: 1, original_len: 3, data: &[1, 2, 3], direction: Some(Direction::Inbound), id: Some(7), comment: "c" };
            let mut bytes = capture(&Section::default(), &interface("a"), &[packet, packet]);
            bytes.extend(tail);
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            prop_assert!(Reader::new(&bytes).count() <= bytes.len() / 12 + 1);
        }
    }
}
