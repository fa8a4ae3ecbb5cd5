//! The extension headers of a packet, one by one (RFC 8200 section 4).

use super::{Fragment, Header, Options};
use crate::{Error, Protocol};

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// For every node on the way; always the first.
    HopByHop(Options<'a>),
    /// For the destination, or for those that a routing header names.
    Destination(Options<'a>),
    /// Which way to go.
    Routing(Routing<'a>),
    /// The packet is a part of a larger one, or could have been.
    Fragment(Fragment),
    /// IP authentication (RFC 4302): what follows its length, not looked at.
    Authentication(&'a [u8]),
}

/// A routing header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing<'a> {
    /// Which kind of way. All are unknown here, type 0 because it does harm (RFC 5095).
    pub kind: u8,
    /// How many nodes are still to be visited.
    pub segments_left: u8,
    /// What is of that kind.
    pub data: &'a [u8],
}

/// Goes through the extension headers of a packet, eight at most: no sender needs more, and each costs.
///
/// Ends at the first header that is not one of them, and behind the header of a fragment other than the first, where the
/// middle of something begins. [`protocol`](Self::protocol) and [`offset`](Self::offset) say then what follows, and
/// where. [`Error::Truncated`] in place of a header that ends beyond the packet and [`Error::Malformed`] in place of the
/// ninth, and nothing after it.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    payload: &'a [u8],
    protocol: Protocol,
    offset: usize,
    pointer: u32,
    count: u8,
    ended: bool,
}

/// Extension headers in one packet (RFC 8504 section 5.3 leaves the number to the host).
const MAX_HEADERS: u8 = 8;

impl<'a> Extensions<'a> {
    /// Those of a packet with this header and payload.
    pub fn of(header: &Header, payload: &'a [u8]) -> Self {
        Self { payload, protocol: header.next_header, offset: 0, pointer: 6, count: 0, ended: false }
    }

    /// Those in the `body` of a first fragment. Offsets count from the body on.
    pub(super) fn of_fragment(fragment: &Fragment, body: &'a [u8]) -> Self {
        // A hop-by-hop header cannot stand here: as if there had been one header before.
        Self {
            payload: body,
            protocol: fragment.next_header,
            offset: 0,
            pointer: 0,
            count: 1,
            ended: fragment.offset != 0,
        }
    }

    /// What comes next: after the last extension header, what the packet carries.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where in the payload it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where in the packet the field stands that names it.
    pub fn pointer(&self) -> u32 {
        self.pointer
    }

    /// Takes `len` bytes of a header that names the next one in its first byte.
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let header = self.payload.get(self.offset..)?.get(..len)?;
        self.pointer = (Header::LEN + self.offset) as u32;
        self.offset += len;
        self.protocol = Protocol(*header.first()?);
        Some(header)
    }

    fn parse(&mut self) -> Option<Extension<'a>> {
        let protocol = self.protocol;
        let rest = self.payload.get(self.offset..)?;
        if protocol == Protocol::FRAGMENT {
            let (fragment, _) = Fragment::parse(rest).ok()?;
            self.take(Fragment::LEN)?;
            self.ended = fragment.offset != 0;
            return Some(Extension::Fragment(fragment));
        }
        let units = usize::from(*rest.get(1)?);
        // The one header that counts in words of four bytes, less two (RFC 4302 section 2.2).
        if protocol == Protocol::AUTHENTICATION {
            return self.take((units + 2) * 4).map(|header| Extension::Authentication(&header[2..]));
        }
        let header = self.take((units + 1) * 8)?;
        if protocol == Protocol::ROUTING {
            let routing = Routing { kind: header[2], segments_left: header[3], data: &header[4..] };
            return Some(Extension::Routing(routing));
        }
        let options = Options::new(&header[2..], self.pointer + 2);
        Some(match protocol {
            Protocol::HOP_BY_HOP => Extension::HopByHop(options),
            _ => Extension::Destination(options),
        })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_extension = match self.protocol {
            // Anywhere else it is what no node knows.
            Protocol::HOP_BY_HOP => self.count == 0,
            Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTHENTICATION
            | Protocol::DESTINATION_OPTIONS => true,
            _ => false,
        };
        if self.ended || !is_extension {
            return None;
        }
        if self.count == MAX_HEADERS {
            self.ended = true;
            return Some(Err(Error::Malformed));
        }
        self.count += 1;
        let extension = self.parse();
        self.ended |= extension.is_none();
        Some(extension.ok_or(Error::Truncated))
    }
}
