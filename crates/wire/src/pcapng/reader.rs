//! Reads captures, whoever wrote them.

use super::block::padded;
use super::{
    BYTE_ORDER, COMMENT, Direction, FRAME, INTERFACE, INTERFACE_DESCRIPTION, INTERFACE_NAME,
    INTERFACE_RESOLUTION, Interface, LinkType, PACKET, PACKET_FLAGS, PACKET_ID, Packet, Resolution, SECTION,
    SECTION_APPLICATION, SIMPLE_PACKET, Section,
};
use crate::Error;
use crate::bytes::array;

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// A section begins: interfaces are counted from zero again.
    Section(Section<'a>),
    /// One more interface.
    Interface(Interface<'a>),
    /// A packet.
    Packet(Packet<'a>),
    /// A packet of the first interface, with nothing said of it.
    SimplePacket {
        /// Its length on the wire, in bytes.
        original_len: u32,
        /// What was captured of it.
        data: &'a [u8],
    },
    /// Any other, as it is: name resolution, statistics, keys.
    Other {
        /// Its type.
        kind: u32,
        /// What is between its lengths.
        body: &'a [u8],
    },
}

/// Goes through the blocks of a capture.
///
/// [`Error::Truncated`] in place of a last block that is not whole, as a capture has that broke off, and
/// [`Error::Malformed`] in place of what is no block; nothing after either. An option that is malformed ends the options.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// How the section's numbers are to be read; `None` before the first section.
    order: Option<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16_at(self, bytes: &[u8], at: usize) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(array(bytes, at)),
            Self::Big => u16::from_be_bytes(array(bytes, at)),
        }
    }

    fn u32_at(self, bytes: &[u8], at: usize) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(array(bytes, at)),
            Self::Big => u32::from_be_bytes(array(bytes, at)),
        }
    }

    fn u64_at(self, bytes: &[u8], at: usize) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(array(bytes, at)),
            Self::Big => u64::from_be_bytes(array(bytes, at)),
        }
    }

    /// The options in `bytes`.
    fn options(self, mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
        core::iter::from_fn(move || {
            let (head, rest) = bytes.split_at_checked(4)?;
            let (code, len) = (self.u16_at(head, 0), usize::from(self.u16_at(head, 2)));
            let value = rest.get(..len).filter(|_| code != 0)?;
            bytes = rest.get(padded(len)..).unwrap_or_default();
            Some((code, value))
        })
    }

    /// The text of the first option `code`, if it is one.
    fn text(self, options: &[u8], code: u16) -> &str {
        let value = self.options(options).find(|(found, _)| *found == code);
        value.and_then(|(_, value)| core::str::from_utf8(value).ok()).unwrap_or_default()
    }

    fn block(self, kind: u32, body: &[u8]) -> Option<Block<'_>> {
        Some(match kind {
            SECTION => {
                let application = self.text(body.get(16..)?, SECTION_APPLICATION);
                Block::Section(Section { application })
            }
            INTERFACE => {
                let (fixed, options) = body.split_at_checked(8)?;
                let resolution = self.options(options).find_map(|option| match option {
                    (INTERFACE_RESOLUTION, &[resolution]) => Some(Resolution(resolution)),
                    _ => None,
                });
                Block::Interface(Interface {
                    link_type: LinkType(self.u16_at(fixed, 0)),
                    snap_len: self.u32_at(fixed, 4),
                    resolution: resolution.unwrap_or(Resolution::MICROSECONDS),
                    name: self.text(options, INTERFACE_NAME),
                    description: self.text(options, INTERFACE_DESCRIPTION),
                })
            }
            PACKET => {
                let (fixed, rest) = body.split_at_checked(20)?;
                let data = rest.get(..usize::try_from(self.u32_at(fixed, 12)).ok()?)?;
                let options = rest.get(padded(data.len())..).unwrap_or_default();
                let direction = self.options(options).find_map(|option| match option {
                    (PACKET_FLAGS, flags) if flags.len() == 4 => match self.u32_at(flags, 0) & 3 {
                        1 => Some(Direction::Inbound),
                        2 => Some(Direction::Outbound),
                        _ => None,
                    },
                    _ => None,
                });
                let id = self.options(options).find_map(|option| match option {
                    (PACKET_ID, id) if id.len() == 8 => Some(self.u64_at(id, 0)),
                    _ => None,
                });
                Block::Packet(Packet {
                    interface: self.u32_at(fixed, 0),
                    timestamp: u64::from(self.u32_at(fixed, 4)) << 32 | u64::from(self.u32_at(fixed, 8)),
                    original_len: self.u32_at(fixed, 16),
                    data,
                    direction,
                    id,
                    comment: self.text(options, COMMENT),
                })
            }
            SIMPLE_PACKET => {
                let (fixed, rest) = body.split_at_checked(4)?;
                let original_len = self.u32_at(fixed, 0);
                let len = usize::try_from(original_len).unwrap_or(usize::MAX);
                Block::SimplePacket { original_len, data: &rest[..len.min(rest.len())] }
            }
            kind => Block::Other { kind, body },
        })
    }
}

impl<'a> Reader<'a> {
    /// Reads `capture`, a whole file.
    pub fn new(capture: &'a [u8]) -> Self {
        Self { rest: capture, order: None }
    }

    fn read(&mut self) -> Result<Block<'a>, Error> {
        let head = self.rest.get(..8).ok_or(Error::Truncated)?;
        // The type of a section is the same in both orders.
        if Order::Little.u32_at(head, 0) == SECTION {
            let magic = self.rest.get(8..12).ok_or(Error::Truncated)?;
            self.order =
                [Order::Little, Order::Big].into_iter().find(|order| order.u32_at(magic, 0) == BYTE_ORDER);
        }
        let order = self.order.ok_or(Error::Malformed)?;
        let len = usize::try_from(order.u32_at(head, 4)).map_err(|_| Error::Truncated)?;
        if len < FRAME || !len.is_multiple_of(4) {
            return Err(Error::Malformed);
        }
        let (block, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        if block[len - 4..] != head[4..] {
            return Err(Error::Malformed);
        }
        order.block(order.u32_at(head, 0), &block[8..len - 4]).ok_or(Error::Malformed)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Block<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let block = self.read();
        if block.is_err() {
            self.rest = &[];
        }
        Some(block)
    }
}
