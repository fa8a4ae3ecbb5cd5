//! DHCP options (RFC 2132).

use core::net::Ipv4Addr;

use crate::Error;
use crate::bytes::{array, put, u16_at, u32_at};

/// The codes of options, as a client lists those that it wants.
pub mod code {
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Default routers.
    pub const ROUTERS: u8 = 3;
    /// DNS servers.
    pub const DNS_SERVERS: u8 = 6;
    /// The client's name.
    pub const HOST_NAME: u8 = 12;
    /// The client's domain.
    pub const DOMAIN_NAME: u8 = 15;
    /// What the link takes.
    pub const INTERFACE_MTU: u8 = 26;
    /// The subnet's broadcast address.
    pub const BROADCAST_ADDRESS: u8 = 28;
    /// The address that the client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// For how long an address is lent.
    pub const LEASE_TIME: u8 = 51;
    /// Which message it is.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Which server.
    pub const SERVER_IDENTIFIER: u8 = 54;
    /// Which options are wanted.
    pub const PARAMETER_REQUEST: u8 = 55;
    /// What went wrong, in words.
    pub const MESSAGE: u8 = 56;
    /// The longest message that is taken.
    pub const MAX_MESSAGE_SIZE: u8 = 57;
    /// When to ask for more time (T1).
    pub const RENEWAL_TIME: u8 = 58;
    /// When to ask anybody for more time (T2).
    pub const REBINDING_TIME: u8 = 59;
    /// Which client.
    pub const CLIENT_IDENTIFIER: u8 = 61;
}

const PAD: u8 = 0;
const OVERLOAD: u8 = 52;
pub(super) const END: u8 = 255;

/// The options of a message as they are on the wire, each within its field. Those in the fields of file name and server
/// name are among them when "option overload" says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    fields: [&'a [u8]; 3],
}

/// One option. One that comes twice is to be joined (RFC 2131 section 4.1): that is for who needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpOption<'a> {
    /// The subnet's mask.
    SubnetMask(Ipv4Addr),
    /// Default routers, the best first.
    Routers(Addresses<'a>),
    /// DNS servers, the best first.
    DnsServers(Addresses<'a>),
    /// The client's name.
    HostName(&'a [u8]),
    /// The client's domain.
    DomainName(&'a [u8]),
    /// What the link takes, in bytes.
    InterfaceMtu(u16),
    /// The subnet's broadcast address.
    BroadcastAddress(Ipv4Addr),
    /// The address that the client asks for.
    RequestedAddress(Ipv4Addr),
    /// For how long the address is lent, in seconds; all bits one: for ever.
    LeaseTime(u32),
    /// Which message it is.
    MessageType(MessageType),
    /// Which server.
    ServerIdentifier(Ipv4Addr),
    /// Codes of the options that the client wants.
    ParameterRequest(&'a [u8]),
    /// What went wrong, in words.
    Message(&'a [u8]),
    /// The longest message that the sender takes, in bytes with IP and UDP headers.
    MaxMessageSize(u16),
    /// When to ask for more time (T1), in seconds.
    RenewalTime(u32),
    /// When to ask anybody for more time (T2), in seconds.
    RebindingTime(u32),
    /// Which client: hardware type and address, or what else there is.
    ClientIdentifier(&'a [u8]),
    /// Any other, or one of these of another length: to be passed over.
    Other {
        /// Its code.
        code: u8,
        /// What follows its length.
        data: &'a [u8],
    },
}

/// Which message it is (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// Client: who lends addresses?
    Discover,
    /// Server: this one could be lent.
    Offer,
    /// Client: I take it, or: I keep it.
    Request,
    /// Client: it is in use already.
    Decline,
    /// Server: it is yours.
    Ack,
    /// Server: it is not yours.
    Nak,
    /// Client: I need it no more.
    Release,
    /// Client: I have an address; what else is there to know?
    Inform,
}

/// IPv4 addresses, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a>(&'a [u8]);

impl<'a> Options<'a> {
    pub(super) fn parse(options: &'a [u8], file: &'a [u8], server_name: &'a [u8]) -> Result<Self, Error> {
        let mut overload = 0;
        walk(options, |code, data| {
            if let (OVERLOAD, [value]) = (code, data) {
                overload = *value;
            }
        })?;
        let file = if overload & 1 != 0 { file } else { &[] };
        let server_name = if overload & 2 != 0 { server_name } else { &[] };
        walk(file, |_, _| {})?;
        walk(server_name, |_, _| {})?;
        Ok(Self { fields: [options, file, server_name] })
    }

    /// The options one by one, without padding.
    pub fn iter(self) -> impl Iterator<Item = DhcpOption<'a>> {
        self.fields
            .into_iter()
            .flat_map(|mut rest| {
                core::iter::from_fn(move || {
                    let (code, data, tail) = split(rest).ok()??;
                    rest = tail;
                    Some((code, data))
                })
            })
            // Where options are is not one of them.
            .filter(|(code, _)| *code != OVERLOAD)
            .map(|(code, data)| DhcpOption::of(code, data))
    }

    /// Which message it is; `None` for BOOTP with extensions, and for messages of later times.
    pub fn message_type(self) -> Option<MessageType> {
        self.iter().find_map(|option| match option {
            DhcpOption::MessageType(kind) => Some(kind),
            _ => None,
        })
    }
}

fn walk<'a>(mut field: &'a [u8], mut seen: impl FnMut(u8, &'a [u8])) -> Result<(), Error> {
    while let Some((code, data, rest)) = split(field)? {
        seen(code, data);
        field = rest;
    }
    Ok(())
}

/// The first option of a field: its code, what follows its length, and what follows it. `None` at the end.
#[expect(clippy::type_complexity, reason = "three parts of one slice")]
fn split(field: &[u8]) -> Result<Option<(u8, &[u8], &[u8])>, Error> {
    let padding = field.iter().take_while(|&&code| code == PAD).count();
    match &field[padding..] {
        [] | [END, ..] => Ok(None),
        [_] => Err(Error::Malformed),
        [code, len, rest @ ..] => {
            let (data, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Error::Malformed)?;
            Ok(Some((*code, data, rest)))
        }
    }
}

impl<'a> DhcpOption<'a> {
    fn of(code: u8, data: &'a [u8]) -> Self {
        let address = || Ipv4Addr::from(array::<4>(data, 0));
        match (code, data.len()) {
            (code::SUBNET_MASK, 4) => Self::SubnetMask(address()),
            (code::BROADCAST_ADDRESS, 4) => Self::BroadcastAddress(address()),
            (code::REQUESTED_ADDRESS, 4) => Self::RequestedAddress(address()),
            (code::SERVER_IDENTIFIER, 4) => Self::ServerIdentifier(address()),
            (code::LEASE_TIME, 4) => Self::LeaseTime(u32_at(data, 0)),
            (code::RENEWAL_TIME, 4) => Self::RenewalTime(u32_at(data, 0)),
            (code::REBINDING_TIME, 4) => Self::RebindingTime(u32_at(data, 0)),
            (code::INTERFACE_MTU, 2) => Self::InterfaceMtu(u16_at(data, 0)),
            (code::MAX_MESSAGE_SIZE, 2) => Self::MaxMessageSize(u16_at(data, 0)),
            (code::HOST_NAME, _) => Self::HostName(data),
            (code::DOMAIN_NAME, _) => Self::DomainName(data),
            (code::PARAMETER_REQUEST, _) => Self::ParameterRequest(data),
            (code::MESSAGE, _) => Self::Message(data),
            (code::CLIENT_IDENTIFIER, _) => Self::ClientIdentifier(data),
            (code::ROUTERS, _) => Addresses::new(data).map_or(Self::Other { code, data }, Self::Routers),
            (code::DNS_SERVERS, _) => {
                Addresses::new(data).map_or(Self::Other { code, data }, Self::DnsServers)
            }
            (code::MESSAGE_TYPE, 1) => {
                MessageType::of(data[0]).map_or(Self::Other { code, data }, Self::MessageType)
            }
            _ => Self::Other { code, data },
        }
    }

    /// Writes the option to the start of `bytes` and says how long it is; `None`, and nothing is written, when there is no
    /// room for it or its code is that of padding or the end.
    pub(super) fn emit(&self, bytes: &mut [u8]) -> Option<usize> {
        let number;
        let (code, data): (u8, &[u8]) = match self {
            Self::SubnetMask(address) => (code::SUBNET_MASK, &address.octets()),
            Self::BroadcastAddress(address) => (code::BROADCAST_ADDRESS, &address.octets()),
            Self::RequestedAddress(address) => (code::REQUESTED_ADDRESS, &address.octets()),
            Self::ServerIdentifier(address) => (code::SERVER_IDENTIFIER, &address.octets()),
            Self::LeaseTime(seconds) => (code::LEASE_TIME, &seconds.to_be_bytes()),
            Self::RenewalTime(seconds) => (code::RENEWAL_TIME, &seconds.to_be_bytes()),
            Self::RebindingTime(seconds) => (code::REBINDING_TIME, &seconds.to_be_bytes()),
            Self::InterfaceMtu(mtu) => (code::INTERFACE_MTU, &mtu.to_be_bytes()),
            Self::MaxMessageSize(size) => (code::MAX_MESSAGE_SIZE, &size.to_be_bytes()),
            Self::HostName(data) => (code::HOST_NAME, data),
            Self::DomainName(data) => (code::DOMAIN_NAME, data),
            Self::ParameterRequest(data) => (code::PARAMETER_REQUEST, data),
            Self::Message(data) => (code::MESSAGE, data),
            Self::ClientIdentifier(data) => (code::CLIENT_IDENTIFIER, data),
            Self::Routers(addresses) => (code::ROUTERS, addresses.0),
            Self::DnsServers(addresses) => (code::DNS_SERVERS, addresses.0),
            Self::MessageType(kind) => {
                number = [kind.number()];
                (code::MESSAGE_TYPE, &number)
            }
            Self::Other { code, data } => (*code, data),
        };
        if matches!(code, PAD | END) {
            return None;
        }
        let len = u8::try_from(data.len()).ok()?;
        let bytes = bytes.get_mut(..2 + data.len())?;
        put(bytes, 0, &[code, len]);
        put(bytes, 2, data);
        Some(bytes.len())
    }
}

impl MessageType {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }

    fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
        }
    }
}

impl<'a> Addresses<'a> {
    /// Addresses as they are on the wire, one behind the other; `None` when they are none, or the last is not whole.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(4)).then_some(Self(bytes))
    }

    /// The addresses.
    pub fn iter(self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        self.0.chunks_exact(4).map(|address| Ipv4Addr::from(array::<4>(address, 0)))
    }
}
