//! Neighbour discovery for IPv6 (RFC 4861): the messages as [`icmpv6`](crate::icmpv6) carries them.

mod options;

pub use options::{NdpOption, Options, Prefix, Servers};

use core::net::Ipv6Addr;

use crate::Error;
use crate::bytes::{array, put, u16_at, u32_at};

/// A neighbour discovery message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Routers shall advertise themselves at once.
    RouterSolicitation {
        /// The source's link-layer address may be among them.
        options: Options<'a>,
    },
    /// Here is a router.
    RouterAdvertisement {
        /// What it says in fixed fields.
        router: Router,
        /// Prefixes, MTU, DNS servers, the router's link-layer address.
        options: Options<'a>,
    },
    /// Who has the target address?
    NeighborSolicitation {
        /// Not multicast.
        target: Ipv6Addr,
        /// The source's link-layer address, unless it has none yet.
        options: Options<'a>,
    },
    /// The sender has.
    NeighborAdvertisement {
        /// The sender forwards packets.
        router: bool,
        /// The sender was asked.
        solicited: bool,
        /// What is known of its link-layer address is out of date.
        replace: bool,
        /// Whose link-layer address is told. Not multicast.
        target: Ipv6Addr,
        /// The target's link-layer address.
        options: Options<'a>,
    },
    /// There is a shorter way.
    Redirect {
        /// A router's link-local address, or the destination itself, which is then a neighbour.
        target: Ipv6Addr,
        /// For packets to here. Not multicast.
        destination: Ipv6Addr,
        /// The target's link-layer address, the packet that went the longer way.
        options: Options<'a>,
    },
}

/// The fixed fields of a router advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Router {
    /// The hop limit to send with; zero: not said.
    pub hop_limit: u8,
    /// Addresses come from DHCPv6.
    pub managed: bool,
    /// Other things come from DHCPv6.
    pub other: bool,
    /// For how long it is a default router, in seconds; zero: it is none.
    pub lifetime: u16,
    /// For how long a neighbour that was heard counts as reachable, in milliseconds; zero: not said.
    pub reachable_time: u32,
    /// Between solicitations, in milliseconds; zero: not said.
    pub retransmit_timer: u32,
}

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

impl<'a> Message<'a> {
    /// Whether an ICMPv6 message of type `kind` is of neighbour discovery.
    pub(crate) fn has_type(kind: u8) -> bool {
        (ROUTER_SOLICITATION..=REDIRECT).contains(&kind)
    }

    /// The message of type `kind` with what follows the checksum.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::Malformed`] for what is to be discarded by RFC 4861 sections 6.1, 7.1 and 8.1,
    /// as far as the message itself tells; [`is_valid_in`](Self::is_valid_in) is for the rest.
    pub(crate) fn parse(kind: u8, code: u8, body: &'a [u8]) -> Result<Self, Error> {
        if code != 0 {
            return Err(Error::Malformed);
        }
        let fixed_len = match kind {
            ROUTER_SOLICITATION => 4,
            ROUTER_ADVERTISEMENT => 12,
            REDIRECT => 36,
            _ => 20,
        };
        let (fixed, options) = body.split_at_checked(fixed_len).ok_or(Error::Truncated)?;
        let options = Options::parse(options)?;
        let address = |at| Ipv6Addr::from(array::<16>(fixed, at));
        let not_multicast = |address: Ipv6Addr| match address.is_multicast() {
            true => Err(Error::Malformed),
            false => Ok(address),
        };
        Ok(match kind {
            ROUTER_SOLICITATION => Self::RouterSolicitation { options },
            ROUTER_ADVERTISEMENT => {
                let router = Router {
                    hop_limit: fixed[0],
                    managed: fixed[1] & 0x80 != 0,
                    other: fixed[1] & 0x40 != 0,
                    lifetime: u16_at(fixed, 2),
                    reachable_time: u32_at(fixed, 4),
                    retransmit_timer: u32_at(fixed, 8),
                };
                Self::RouterAdvertisement { router, options }
            }
            NEIGHBOR_SOLICITATION => {
                Self::NeighborSolicitation { target: not_multicast(address(4))?, options }
            }
            NEIGHBOR_ADVERTISEMENT => Self::NeighborAdvertisement {
                router: fixed[0] & 0x80 != 0,
                solicited: fixed[0] & 0x40 != 0,
                replace: fixed[0] & 0x20 != 0,
                target: not_multicast(address(4))?,
                options,
            },
            REDIRECT => {
                let (target, destination) = (address(4), not_multicast(address(20))?);
                if target != destination && !target.is_unicast_link_local() {
                    return Err(Error::Malformed);
                }
                Self::Redirect { target, destination, options }
            }
            _ => return Err(Error::Malformed),
        })
    }

    /// Whether the message may come in a packet with these fields: the part of the rules of RFC 4861 sections 6.1, 7.1
    /// and 8.1 that looks at the IP header.
    #[must_use]
    pub fn is_valid_in(&self, source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8) -> bool {
        // No router has forwarded it.
        hop_limit == 255
            && match self {
                Self::RouterSolicitation { options } => {
                    !source.is_unspecified() || options.source_link_address().is_none()
                }
                Self::NeighborSolicitation { options, .. } => {
                    !source.is_unspecified()
                        || (is_solicited_node(destination) && options.source_link_address().is_none())
                }
                Self::NeighborAdvertisement { solicited, .. } => !(*solicited && destination.is_multicast()),
                Self::RouterAdvertisement { .. } | Self::Redirect { .. } => source.is_unicast_link_local(),
            }
    }

    /// The options that it carries.
    pub fn options(&self) -> Options<'a> {
        match *self {
            Self::RouterSolicitation { options }
            | Self::RouterAdvertisement { options, .. }
            | Self::NeighborSolicitation { options, .. }
            | Self::NeighborAdvertisement { options, .. }
            | Self::Redirect { options, .. } => options,
        }
    }

    /// Length in bytes of what follows the checksum.
    pub(crate) fn body_len(&self) -> usize {
        let fixed = match self {
            Self::RouterSolicitation { .. } => 4,
            Self::RouterAdvertisement { .. } => 12,
            Self::NeighborSolicitation { .. } | Self::NeighborAdvertisement { .. } => 20,
            Self::Redirect { .. } => 36,
        };
        fixed + self.options().as_bytes().len()
    }

    /// Writes what follows the checksum to `body`, which has that length, and says the message's type.
    pub(crate) fn emit(&self, body: &mut [u8]) -> u8 {
        let options = self.options().as_bytes();
        let at = body.len() - options.len();
        put(body, at, options);
        put(body, 0, &[0; 4]);
        match self {
            Self::RouterSolicitation { .. } => ROUTER_SOLICITATION,
            Self::RouterAdvertisement { router, .. } => {
                let Router { hop_limit, managed, other, lifetime, reachable_time, retransmit_timer } = router;
                put(body, 0, &[*hop_limit, u8::from(*managed) << 7 | u8::from(*other) << 6]);
                put(body, 2, &lifetime.to_be_bytes());
                put(body, 4, &reachable_time.to_be_bytes());
                put(body, 8, &retransmit_timer.to_be_bytes());
                ROUTER_ADVERTISEMENT
            }
            Self::NeighborSolicitation { target, .. } => {
                put(body, 4, &target.octets());
                NEIGHBOR_SOLICITATION
            }
            Self::NeighborAdvertisement { router, solicited, replace, target, .. } => {
                body[0] = u8::from(*router) << 7 | u8::from(*solicited) << 6 | u8::from(*replace) << 5;
                put(body, 4, &target.octets());
                NEIGHBOR_ADVERTISEMENT
            }
            Self::Redirect { target, destination, .. } => {
                put(body, 4, &target.octets());
                put(body, 20, &destination.octets());
                REDIRECT
            }
        }
    }
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    crate::ipv6::solicited_node(address) == address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacAddress;
    use crate::checksum::Sum;
    use crate::icmpv6;
    use proptest::prelude::*;
    use std::vec;

    const NODE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    fn body(target: Ipv6Addr, rest: &[u8]) -> vec::Vec<u8> {
        [&[0; 4], &target.octets()[..], rest].concat()
    }

    #[test]
    fn a_message_that_is_not_valid_is_an_error() {
        let parse = |kind, code, body: &[u8]| Message::parse(kind, code, body).map(drop);
        assert_eq!(parse(NEIGHBOR_SOLICITATION, 0, &body(OTHER, &[])), Ok(()));
        assert_eq!(parse(NEIGHBOR_SOLICITATION, 1, &body(OTHER, &[])), Err(Error::Malformed), "code");
        assert_eq!(parse(NEIGHBOR_SOLICITATION, 0, &[0; 19]), Err(Error::Truncated));
        assert_eq!(parse(NEIGHBOR_SOLICITATION, 0, &body(GROUP, &[])), Err(Error::Malformed));
        assert_eq!(parse(NEIGHBOR_ADVERTISEMENT, 0, &body(GROUP, &[])), Err(Error::Malformed));
        assert_eq!(parse(ROUTER_SOLICITATION, 0, &[0; 12]), Err(Error::Malformed), "option length zero");
        assert_eq!(parse(ROUTER_ADVERTISEMENT, 0, &[0; 11]), Err(Error::Truncated));
        assert_eq!(parse(REDIRECT, 0, &body(NODE, &OTHER.octets())), Ok(()));
        assert_eq!(parse(REDIRECT, 0, &body(OTHER, &OTHER.octets())), Ok(()));
        assert_eq!(parse(REDIRECT, 0, &body(OTHER, &NODE.octets())), Err(Error::Malformed));
        assert_eq!(parse(REDIRECT, 0, &body(NODE, &GROUP.octets())), Err(Error::Malformed));
    }

    #[test]
    fn the_packet_decides_too() {
        let own = NdpOption::SourceLinkAddress(MacAddress([2, 0, 0, 0, 0, 1]));
        let mut bytes = [0; 8];
        own.emit(&mut bytes);
        let (with, without) = (Options::parse(&bytes).unwrap(), Options::default());
        let nobody = Ipv6Addr::UNSPECIFIED;
        let asked = crate::ipv6::solicited_node(OTHER);
        let ask = |options| Message::NeighborSolicitation { target: OTHER, options };
        assert!(ask(with).is_valid_in(NODE, OTHER, 255));
        assert!(!ask(with).is_valid_in(NODE, OTHER, 254), "it was forwarded");
        assert!(ask(without).is_valid_in(nobody, asked, 255), "duplicate address detection");
        assert!(!ask(without).is_valid_in(nobody, OTHER, 255));
        assert!(!ask(with).is_valid_in(nobody, asked, 255));
        let answer = |solicited| Message::NeighborAdvertisement {
            router: false,
            solicited,
            replace: true,
            target: OTHER,
            options: without,
        };
        assert!(answer(false).is_valid_in(NODE, GROUP, 255) && !answer(true).is_valid_in(NODE, GROUP, 255));
        let router = Message::RouterAdvertisement { router: Router::default(), options: with };
        assert!(router.is_valid_in(NODE, GROUP, 255) && !router.is_valid_in(OTHER, GROUP, 255));
        assert!(!Message::RouterSolicitation { options: with }.is_valid_in(nobody, GROUP, 255));
        assert!(Message::RouterSolicitation { options: without }.is_valid_in(nobody, GROUP, 255));
    }

    prop_compose! {
        fn router()(hop_limit: u8, managed: bool, other: bool, lifetime: u16, reachable_time: u32, retransmit_timer: u32) -> Router {
            Router { hop_limit, managed, other, lifetime, reachable_time, retransmit_timer }
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            kind in 0u8..5, router in router(), flags: (bool, bool, bool), target: u128, destination: u128,
            options in options::tests::options(),
        ) {
            let target = Ipv6Addr::from(target >> 1);
            let options = Options::parse(&options).unwrap();
            let message = match kind {
                0 => Message::RouterSolicitation { options },
                1 => Message::RouterAdvertisement { router, options },
                2 => Message::NeighborSolicitation { target, options },
                3 => Message::NeighborAdvertisement { router: flags.0, solicited: flags.1, replace: flags.2, target, options },
                _ => Message::Redirect { target: NODE, destination: Ipv6Addr::from(destination >> 1), options },
            };
            let message = icmpv6::Message::Neighbor(message);
            let mut bytes = vec![0xaa; message.len()];
            message.emit(&mut bytes, Sum::default());
            prop_assert_eq!(icmpv6::Message::parse(&bytes, Sum::default()), Ok(message));
        }
    }
}
