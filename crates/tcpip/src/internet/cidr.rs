//! Networks and the ways to them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use host::Instant;

use crate::InterfaceId;

/// An address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits that name the network: 32 or 128 at most.
    pub prefix: u8,
}

impl Cidr {
    /// `address` in a network of `prefix` bits, or of all bits where there are not as many.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix: prefix.min(if address.is_ipv4() { 32 } else { 128 }) }
    }

    /// The network alone: the other bits of the address are zero.
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from(u32::from(v4) & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from(u128::from(v6) & mask).into()
            }
        };
        Self { address, ..*self }
    }

    /// Whether `address` is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        common_bits(self.address, address).is_some_and(|bits| bits >= u32::from(self.prefix))
    }

    /// The address of everybody in this network; none where IPv4 has none, and IPv6 never has.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.prefix < 31 => {
                Some(Ipv4Addr::from(u32::from(v4) | u32::MAX >> self.prefix))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// A text is no address with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network; write an address and the bits that name its network, such as 10.9.0.2/24")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse::<IpAddr>().ok()?, prefix.parse().ok()?);
            let cidr = Self::new(address, prefix);
            (cidr.prefix == prefix).then_some(cidr)
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

/// With how many bits two addresses of one family begin alike.
pub(crate) fn common_bits(a: IpAddr, b: IpAddr) -> Option<u32> {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Some((u32::from(a) ^ u32::from(b)).leading_zeros()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some((u128::from(a) ^ u128::from(b)).leading_zeros()),
        _ => None,
    }
}

/// A way to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which network; zero bits for the default route.
    pub network: Cidr,
    /// The router to go by; `None` when the network is on the link.
    pub gateway: Option<IpAddr>,
    /// By which interface.
    pub interface: InterfaceId,
    /// Among routes to networks of one size the lowest is taken.
    pub metric: u32,
    /// When it ends, for one that was learned.
    pub until: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own() {
        let cidr = Cidr::new("10.1.2.3".parse().unwrap(), 20);
        assert!(cidr.contains("10.1.15.255".parse().unwrap()));
        assert!(!cidr.contains("10.1.16.0".parse().unwrap()));
        assert!(!cidr.contains("::1".parse().unwrap()));
        assert_eq!(cidr.broadcast(), Some("10.1.15.255".parse().unwrap()));
        assert_eq!(Cidr::new("10.0.0.0".parse().unwrap(), 31).broadcast(), None);
        assert!(Cidr::new("0.0.0.0".parse().unwrap(), 0).contains("1.2.3.4".parse().unwrap()));
        assert_eq!(Cidr::new("::".parse().unwrap(), 200).prefix, 128);
        for (text, prefix, network) in [
            ("10.1.2.3", 20, "10.1.0.0/20"),
            ("10.1.2.3", 0, "0.0.0.0/0"),
            ("2001:db8::1", 64, "2001:db8::/64"),
        ] {
            assert_eq!(Cidr::new(text.parse().unwrap(), prefix).network().to_string(), network);
        }
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        for text in ["10.1.2.3/20", "fd00::1/64", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in ["10.1.2.3", "10.1.2.3/33", "fd00::/129", "/8", "a/8", "10.0.0.0/x", "10.0.0.0/8/8"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError(text.to_owned())));
        }
    }
}
