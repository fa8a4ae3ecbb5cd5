//! The options of neighbour discovery (RFC 4861 section 4.6, RFC 8106).

use core::net::Ipv6Addr;

use crate::bytes::{array, put, u32_at};
use crate::{Error, MacAddress};

/// Options as they are on the wire, whole and none of length zero. As many as the packet has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options<'a>(&'a [u8]);

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The sender's address on the link, which is an Ethernet.
    SourceLinkAddress(MacAddress),
    /// The target's address on the link, which is an Ethernet.
    TargetLinkAddress(MacAddress),
    /// Addresses of the link.
    Prefix(Prefix),
    /// The packet that is redirected: as much of it as fits. Padded with zeros to a multiple of eight bytes when it is
    /// written, and so it is read.
    Redirected(&'a [u8]),
    /// What the link takes, in bytes.
    Mtu(u32),
    /// Ties an advertisement to a solicitation (RFC 3971).
    Nonce(&'a [u8]),
    /// Recursive DNS servers (RFC 8106).
    DnsServers {
        /// For how long, in seconds; all bits one: for ever.
        lifetime: u32,
        /// At least one.
        servers: Servers<'a>,
    },
    /// Any other, or one of these of another length: to be passed over.
    Other {
        /// Its type.
        kind: u8,
        /// What follows its length.
        data: &'a [u8],
    },
}

/// Prefix information (RFC 4861 section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Bits of the prefix that count: up to 128.
    pub len: u8,
    /// Addresses with it are neighbours.
    pub on_link: bool,
    /// Hosts may make themselves addresses with it (RFC 4862).
    pub autonomous: bool,
    /// For how long it is valid, in seconds; all bits one: for ever.
    pub valid_lifetime: u32,
    /// For how long addresses made with it are preferred, in seconds.
    pub preferred_lifetime: u32,
    /// Bits beyond `len` do not count.
    pub prefix: Ipv6Addr,
}

/// Addresses of DNS servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servers<'a>(&'a [u8]);

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED: u8 = 4;
const MTU: u8 = 5;
const NONCE: u8 = 14;
const DNS_SERVERS: u8 = 25;

impl<'a> Options<'a> {
    /// Options that were written one behind the other, by [`NdpOption::emit`] or by somebody else.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a length of zero, [`Error::Truncated`] for one beyond the end.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = split(rest)?.2;
        }
        Ok(Self(bytes))
    }

    /// The options as they are on the wire.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The options one by one.
    pub fn iter(self) -> impl Iterator<Item = NdpOption<'a>> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (kind, data, tail) = split(rest).ok()?;
            rest = tail;
            Some(NdpOption::of(kind, data))
        })
    }

    /// The first source link-layer address.
    pub fn source_link_address(self) -> Option<MacAddress> {
        self.iter().find_map(|option| match option {
            NdpOption::SourceLinkAddress(address) => Some(address),
            _ => None,
        })
    }

    /// The first target link-layer address.
    pub fn target_link_address(self) -> Option<MacAddress> {
        self.iter().find_map(|option| match option {
            NdpOption::TargetLinkAddress(address) => Some(address),
            _ => None,
        })
    }
}

/// The type of the first option, what follows its length, and what follows it.
fn split(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Error> {
    let (&kind, &units) = bytes.first().zip(bytes.get(1)).ok_or(Error::Truncated)?;
    if units == 0 {
        return Err(Error::Malformed);
    }
    let (option, rest) = bytes.split_at_checked(usize::from(units) * 8).ok_or(Error::Truncated)?;
    Ok((kind, &option[2..], rest))
}

impl<'a> NdpOption<'a> {
    fn of(kind: u8, data: &'a [u8]) -> Self {
        match (kind, data.len()) {
            (SOURCE_LINK_ADDRESS, 6) => Self::SourceLinkAddress(MacAddress(array(data, 0))),
            (TARGET_LINK_ADDRESS, 6) => Self::TargetLinkAddress(MacAddress(array(data, 0))),
            (PREFIX, 30) if data[0] <= 128 => Self::Prefix(Prefix {
                len: data[0],
                on_link: data[1] & 0x80 != 0,
                autonomous: data[1] & 0x40 != 0,
                valid_lifetime: u32_at(data, 2),
                preferred_lifetime: u32_at(data, 6),
                prefix: Ipv6Addr::from(array::<16>(data, 14)),
            }),
            (REDIRECTED, _) => Self::Redirected(&data[6..]),
            (MTU, 6) => Self::Mtu(u32_at(data, 2)),
            (NONCE, _) => Self::Nonce(data),
            (DNS_SERVERS, len) if len >= 22 && len % 16 == 6 => {
                Self::DnsServers { lifetime: u32_at(data, 2), servers: Servers(&data[6..]) }
            }
            _ => Self::Other { kind, data },
        }
    }

    /// Length in bytes: a multiple of eight.
    pub fn len(&self) -> usize {
        let len = match self {
            Self::SourceLinkAddress(_) | Self::TargetLinkAddress(_) | Self::Mtu(_) => 8,
            Self::Prefix(_) => 32,
            Self::Redirected(packet) => 8 + packet.len(),
            Self::DnsServers { servers, .. } => 8 + servers.0.len(),
            Self::Nonce(data) | Self::Other { data, .. } => 2 + data.len(),
        };
        len.next_multiple_of(8)
    }

    /// Never: an option has at least eight bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the option, with padding, to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter, or the option longer than 2,040 bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..self.len()];
        let units = u8::try_from(bytes.len() / 8).expect("an option has 2,040 bytes at most");
        bytes.fill(0);
        let kind = match self {
            Self::SourceLinkAddress(address) => {
                put(bytes, 2, &address.0);
                SOURCE_LINK_ADDRESS
            }
            Self::TargetLinkAddress(address) => {
                put(bytes, 2, &address.0);
                TARGET_LINK_ADDRESS
            }
            Self::Prefix(prefix) => {
                let Prefix { len, on_link, autonomous, valid_lifetime, preferred_lifetime, prefix } = prefix;
                put(bytes, 2, &[*len, u8::from(*on_link) << 7 | u8::from(*autonomous) << 6]);
                put(bytes, 4, &valid_lifetime.to_be_bytes());
                put(bytes, 8, &preferred_lifetime.to_be_bytes());
                put(bytes, 16, &prefix.octets());
                PREFIX
            }
            Self::Redirected(packet) => {
                put(bytes, 8, packet);
                REDIRECTED
            }
            Self::Mtu(mtu) => {
                put(bytes, 4, &mtu.to_be_bytes());
                MTU
            }
            Self::Nonce(data) => {
                put(bytes, 2, data);
                NONCE
            }
            Self::DnsServers { lifetime, servers } => {
                put(bytes, 4, &lifetime.to_be_bytes());
                put(bytes, 8, servers.0);
                DNS_SERVERS
            }
            Self::Other { kind, data } => {
                put(bytes, 2, data);
                *kind
            }
        };
        put(bytes, 0, &[kind, units]);
    }
}

impl<'a> Servers<'a> {
    /// Addresses as they are on the wire, one behind the other; `None` when they are none, or not whole.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(16)).then_some(Self(bytes))
    }

    /// The addresses.
    pub fn iter(self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        self.0.chunks_exact(16).map(|address| Ipv6Addr::from(array::<16>(address, 0)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    prop_compose! {
        /// Bytes that are options.
        pub(in super::super) fn options()(
            parts in proptest::collection::vec((any::<u8>(), 1u8..5, proptest::collection::vec(any::<u8>(), 30)), 0..5),
        ) -> Vec<u8> {
            let mut bytes = Vec::new();
            for (kind, units, data) in parts {
                bytes.extend([kind % 26, units]);
                bytes.extend(&data[..usize::from(units) * 8 - 2]);
            }
            bytes
        }
    }

    fn first(bytes: &[u8]) -> Option<NdpOption<'_>> {
        Options::parse(bytes).unwrap().iter().next()
    }

    fn written(option: NdpOption<'_>) -> Vec<u8> {
        let mut bytes = vec![0xaa; option.len()];
        option.emit(&mut bytes);
        bytes
    }

    #[test]
    fn the_options_of_a_router_are_read() {
        let prefix = Prefix {
            len: 64,
            on_link: true,
            autonomous: false,
            valid_lifetime: 86_400,
            preferred_lifetime: 14_400,
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0),
        };
        let servers = [[1; 16], [2; 16]].concat();
        let options = [
            NdpOption::SourceLinkAddress(MacAddress([2, 0, 0, 0, 0, 9])),
            NdpOption::Mtu(1400),
            NdpOption::Nonce(&[1, 2, 3, 4, 5, 6]),
            NdpOption::Prefix(prefix),
            NdpOption::DnsServers { lifetime: 600, servers: Servers::new(&servers).unwrap() },
        ];
        let bytes: Vec<u8> = options.iter().flat_map(|&option| written(option)).collect();
        assert_eq!(bytes[16..24], [14, 1, 1, 2, 3, 4, 5, 6]);
        assert_eq!(bytes[24..32], [3, 4, 64, 0x80, 0, 1, 0x51, 0x80]);
        let read = Options::parse(&bytes).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), options);
        assert_eq!(read.source_link_address(), Some(MacAddress([2, 0, 0, 0, 0, 9])));
        assert_eq!(read.target_link_address(), None);
    }

    #[test]
    fn a_length_of_zero_is_malformed() {
        assert_eq!(Options::parse(&[1, 1, 0, 0, 0, 0, 0, 0, 5, 0]), Err(Error::Malformed));
        assert_eq!(Options::parse(&[1, 2, 0, 0, 0, 0, 0, 0]), Err(Error::Truncated));
        assert_eq!(Options::parse(&[1]), Err(Error::Truncated));
    }

    #[test]
    fn a_prefix_has_128_bits_at_most() {
        let mut bytes = [0; 32];
        bytes[..3].copy_from_slice(&[3, 4, 128]);
        assert!(matches!(first(&bytes), Some(NdpOption::Prefix(Prefix { len: 128, .. }))));
        bytes[2] = 129;
        assert!(matches!(first(&bytes), Some(NdpOption::Other { kind: 3, .. })));
    }

    #[test]
    fn a_length_that_does_not_fit_the_type_is_passed_over() {
        for (kind, units) in [(1, 2), (3, 3), (5, 2), (25, 1), (25, 2)] {
            let mut bytes = vec![0; units * 8];
            bytes[..2].copy_from_slice(&[kind, units as u8]);
            assert_eq!(first(&bytes), Some(NdpOption::Other { kind, data: &bytes[2..] }));
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(bytes in options()) {
            for option in Options::parse(&bytes).unwrap().iter() {
                let again = written(option);
                prop_assert_eq!(Options::parse(&again).unwrap().iter().next(), Some(option));
            }
        }

        #[test]
        fn any_bytes_are_options_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(options) = Options::parse(&bytes) {
                let len: usize = options.iter().map(|option| option.len()).sum();
                prop_assert_eq!(len, bytes.len());
            }
        }
    }
}
