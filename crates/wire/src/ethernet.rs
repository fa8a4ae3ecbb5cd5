//! Ethernet II frames (IEEE 802.3 clause 3, RFC 894), without preamble and frame check sequence.

use core::fmt;
use core::net::IpAddr;

use crate::Error;
use crate::bytes::{array, put, u16_at};

/// An Ethernet II header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub destination: MacAddress,
    /// From whom.
    pub source: MacAddress,
    /// What the payload is.
    pub ether_type: EtherType,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 14;

    /// The header of `frame` and its payload, which may end with padding that the inner length will tell.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than 14 bytes, [`Error::Malformed`] for an IEEE 802.3 length field in place of a
    /// type (less than 1536).
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, payload) = frame.split_at_checked(Self::LEN).ok_or(Error::Truncated)?;
        let ether_type = EtherType(u16_at(header, 12));
        if ether_type.0 < 0x600 {
            return Err(Error::Malformed);
        }
        let (destination, source) = (MacAddress(array(header, 0)), MacAddress(array(header, 6)));
        Ok((Self { destination, source, ether_type }, payload))
    }

    /// Writes the header to the first [`LEN`](Self::LEN) bytes of `frame`.
    ///
    /// # Panics
    ///
    /// When `frame` is shorter.
    pub fn emit(&self, frame: &mut [u8]) {
        let Self { destination, source, ether_type } = self;
        put(frame, 0, &destination.0);
        put(frame, 6, &source.0);
        put(frame, 12, &ether_type.0.to_be_bytes());
    }
}

/// A 48-bit link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Everybody on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Where packets to an IP multicast group go (RFC 1112 section 6.4, RFC 2464 section 7); `None` for what is no group.
    pub fn of_group(group: IpAddr) -> Option<Self> {
        match group {
            IpAddr::V4(v4) if v4.is_multicast() => {
                let [_, a, b, c] = v4.octets();
                Some(Self([0x01, 0x00, 0x5e, a & 0x7f, b, c]))
            }
            IpAddr::V6(v6) if v6.is_multicast() => {
                let [.., a, b, c, d] = v6.octets();
                Some(Self([0x33, 0x33, a, b, c, d]))
            }
            _ => None,
        }
    }

    /// Whether it names a group of stations, everybody among them.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it can be a station's own: neither a group's nor all zero.
    pub const fn is_unicast(self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        !self.is_multicast() && (a | b | c | d | e | f) != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a frame carries (IANA, "IEEE 802 Numbers").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
}

impl fmt::Debug for EtherType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => formatter.write_str("IPv4"),
            Self::ARP => formatter.write_str("ARP"),
            Self::IPV6 => formatter.write_str("IPv6"),
            Self(other) => write!(formatter, "{other:#06x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_802_3_length_is_no_type() {
        let mut frame = [0; 60];
        frame[12..14].copy_from_slice(&46u16.to_be_bytes());
        assert_eq!(Header::parse(&frame), Err(Error::Malformed));
        assert_eq!(Header::parse(&frame[..13]), Err(Error::Truncated));
    }

    #[test]
    fn a_group_has_an_address_on_the_link() {
        let of = |group: &str| MacAddress::of_group(group.parse().unwrap());
        assert_eq!(of("239.129.2.3"), Some(MacAddress([0x01, 0x00, 0x5e, 0x01, 2, 3])));
        assert_eq!(of("ff02::1:ff0e:8c6c"), Some(MacAddress([0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c])));
        assert_eq!((of("10.0.0.1"), of("fe80::1")), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(frame in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((header, payload)) = Header::parse(&frame) {
                let mut again = frame.clone();
                header.emit(&mut again);
                prop_assert_eq!(&again, &frame);
                prop_assert_eq!(payload, &frame[Header::LEN..]);
            }
        }
    }
}
