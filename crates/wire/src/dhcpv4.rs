//! DHCP messages for IPv4 over Ethernet (RFC 2131): the fixed part here, options (RFC 2132) in [`Options`].

mod options;

pub use options::{Addresses, DhcpOption, MessageType, Options, code};

use core::net::Ipv4Addr;

use crate::bytes::{array, put, u16_at, u32_at};
use crate::{Error, MacAddress};

/// The fixed part of a DHCP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From a client or from a server.
    pub operation: Operation,
    /// Relays that it has passed.
    pub hops: u8,
    /// Ties an answer to its question (xid).
    pub transaction: u32,
    /// Since the client began, in seconds.
    pub seconds: u16,
    /// Answers shall be broadcast: the client cannot take others yet.
    pub broadcast: bool,
    /// The client's address, when it has one that it may use (ciaddr).
    pub client: Ipv4Addr,
    /// The address that the client gets (yiaddr).
    pub your: Ipv4Addr,
    /// The server of the client's next step, for machines without disks (siaddr).
    pub next_server: Ipv4Addr,
    /// The relay, when there is one (giaddr).
    pub relay: Ipv4Addr,
    /// The client's address on its link (chaddr).
    pub hardware: MacAddress,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A client.
    Request,
    /// A server.
    Reply,
}

/// The port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// The port of clients.
pub const CLIENT_PORT: u16 = 68;

/// Hardware type Ethernet, and the length of its addresses.
const ETHERNET: [u8; 2] = [1, 6];
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

impl Header {
    /// Length in bytes, with the cookie that says that options follow.
    pub const LEN: usize = 240;

    /// The fixed part and the options of `message`, the whole payload of a datagram.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than 240 bytes, [`Error::Malformed`] for other hardware, an operation that is
    /// neither, no options (BOOTP), or options that end beyond their field.
    pub fn parse(message: &[u8]) -> Result<(Self, Options<'_>), Error> {
        let (header, options) = message.split_at_checked(Self::LEN).ok_or(Error::Truncated)?;
        let operation = match header[0] {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Error::Malformed),
        };
        if header[1..3] != ETHERNET || header[FILE.end..] != COOKIE {
            return Err(Error::Malformed);
        }
        let address = |at| Ipv4Addr::from(array::<4>(header, at));
        let parsed = Self {
            operation,
            hops: header[3],
            transaction: u32_at(header, 4),
            seconds: u16_at(header, 8),
            broadcast: header[10] & 0x80 != 0,
            client: address(12),
            your: address(16),
            next_server: address(20),
            relay: address(24),
            hardware: MacAddress(array(header, 28)),
        };
        Ok((parsed, Options::parse(options, &header[FILE], &header[SERVER_NAME])?))
    }

    /// Writes the fixed part to the first [`LEN`](Self::LEN) bytes of `message`, without server name and file.
    ///
    /// # Panics
    ///
    /// When `message` is shorter.
    pub fn emit(&self, message: &mut [u8]) {
        let Self {
            operation,
            hops,
            transaction,
            seconds,
            broadcast,
            client,
            your,
            next_server,
            relay,
            hardware,
        } = self;
        let header = &mut message[..Self::LEN];
        header.fill(0);
        header[0] = if *operation == Operation::Request { 1 } else { 2 };
        put(header, 1, &ETHERNET);
        header[3] = *hops;
        put(header, 4, &transaction.to_be_bytes());
        put(header, 8, &seconds.to_be_bytes());
        header[10] = u8::from(*broadcast) << 7;
        put(header, 12, &client.octets());
        put(header, 16, &your.octets());
        put(header, 20, &next_server.octets());
        put(header, 24, &relay.octets());
        put(header, 28, &hardware.0);
        put(header, FILE.end, &COOKIE);
    }
}

/// Writes a message: the fixed part, then one option after the other.
#[derive(Debug)]
pub struct Writer<'a> {
    message: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// What relays and servers from before DHCP expect at least, in bytes (RFC 1542 section 2.1).
    pub const MIN_LEN: usize = 300;

    /// Begins a message in `message`; `None` when that is shorter than [`MIN_LEN`](Self::MIN_LEN).
    pub fn new(message: &'a mut [u8], header: &Header) -> Option<Self> {
        if message.len() < Self::MIN_LEN {
            return None;
        }
        header.emit(message);
        Some(Self { message, at: Header::LEN })
    }

    /// Adds an option; `None`, and nothing is written, when there is no room for it, or it has more than 255 bytes.
    pub fn push(&mut self, option: &DhcpOption<'_>) -> Option<&mut Self> {
        // One byte is for the end.
        let room = self.message.len() - 1;
        self.at += option.emit(&mut self.message[self.at..room])?;
        Some(self)
    }

    /// Ends the options and fills the message up to its least length. How long it is, in bytes.
    pub fn finish(self) -> usize {
        let Self { message, at } = self;
        let end = (at + 1).max(Self::MIN_LEN);
        message[at..end].fill(0);
        message[at] = options::END;
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn header() -> Header {
        Header {
            operation: Operation::Request,
            hops: 0,
            transaction: 0xdead_beef,
            seconds: 3,
            broadcast: true,
            client: Ipv4Addr::UNSPECIFIED,
            your: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay: Ipv4Addr::UNSPECIFIED,
            hardware: MacAddress([2, 0, 0, 0, 0, 1]),
        }
    }

    #[test]
    fn a_client_asks() {
        let mut message = [0xaa; 576];
        let mut writer = Writer::new(&mut message, &header()).unwrap();
        writer
            .push(&DhcpOption::MessageType(MessageType::Discover))
            .and_then(|writer| {
                writer.push(&DhcpOption::ParameterRequest(&[code::SUBNET_MASK, code::ROUTERS]))
            })
            .unwrap();
        let len = writer.finish();
        assert_eq!(len, 300);
        let message = &message[..len];
        assert_eq!(message[236..249], [99, 130, 83, 99, 53, 1, 1, 55, 2, 1, 3, 255, 0]);
        let (read, options) = Header::parse(message).unwrap();
        assert_eq!(read, header());
        let expected =
            [DhcpOption::MessageType(MessageType::Discover), DhcpOption::ParameterRequest(&[1, 3])];
        assert_eq!(options.iter().collect::<Vec<_>>(), expected);
        assert_eq!(options.message_type(), Some(MessageType::Discover));
    }

    #[test]
    fn there_is_an_end_to_every_message() {
        let mut message = [0; 302];
        let mut writer = Writer::new(&mut message, &header()).unwrap();
        let name = [b'a'; 57];
        assert!(writer.push(&DhcpOption::HostName(&[b'a'; 60])).is_none());
        assert!(writer.push(&DhcpOption::HostName(&name)).is_some());
        assert!(writer.push(&DhcpOption::HostName(&[])).is_some(), "two bytes are left");
        assert!(writer.push(&DhcpOption::HostName(&[])).is_none());
        let len = writer.finish();
        assert_eq!((len, message[301]), (302, options::END));
        assert_eq!(Header::parse(&message).unwrap().1.iter().count(), 2);
        assert!(Writer::new(&mut [0; 299], &header()).is_none());
    }

    #[test]
    fn options_may_lie_in_other_fields() {
        let mut message = vec![0; 300];
        header().emit(&mut message);
        message[240..251].copy_from_slice(&[52, 1, 3, 53, 1, 2, 255, 9, 9, 9, 9]);
        message[108..115].copy_from_slice(&[51, 4, 0, 0, 0, 60, 255]);
        message[44..51].copy_from_slice(&[54, 4, 10, 0, 0, 1, 255]);
        let (_, options) = Header::parse(&message).unwrap();
        let expected = [
            DhcpOption::MessageType(MessageType::Offer),
            DhcpOption::LeaseTime(60),
            DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 0, 1)),
        ];
        assert_eq!(options.iter().collect::<Vec<_>>(), expected);
        message[242] = 1;
        assert_eq!(Header::parse(&message).unwrap().1.iter().count(), 2, "the file only");
        message[109] = 200;
        assert_eq!(Header::parse(&message), Err(Error::Malformed), "an option stays in its field");
    }

    #[test]
    fn what_is_not_dhcp_over_ethernet_is_malformed() {
        let mut message = vec![0; 240];
        header().emit(&mut message);
        assert!(Header::parse(&message).is_ok());
        assert_eq!(Header::parse(&message[..239]), Err(Error::Truncated));
        for at in [0, 1, 2, 236, 239] {
            let mut message = message.clone();
            message[at] = 7;
            assert_eq!(Header::parse(&message), Err(Error::Malformed), "{at}");
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(
            mut bytes in proptest::collection::vec(any::<u8>(), 240), reply: bool,
            tail in proptest::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..100),
        ) {
            bytes[0] = 1 + u8::from(reply);
            bytes[1..3].copy_from_slice(&ETHERNET);
            bytes[236..240].copy_from_slice(&COOKIE);
            bytes.extend(tail);
            let Ok((header, options)) = Header::parse(&bytes) else { return Ok(()) };
            let mut message = vec![0xaa; 1024];
            let mut writer = Writer::new(&mut message, &header).unwrap();
            for option in options.iter() {
                prop_assert!(writer.push(&option).is_some());
            }
            let len = writer.finish();
            let (again, read) = Header::parse(&message[..len]).unwrap();
            prop_assert_eq!(again, header);
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), options.iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Header::parse(&bytes);
        }
    }
}
