//! UDP (RFC 768).

use crate::Error;
use crate::bytes::{put, u16_at};
use crate::checksum::Sum;

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From which port; zero when no answer is wanted.
    pub source_port: u16,
    /// To which port.
    pub destination_port: u16,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// The header of `datagram` and its payload, whose checksum is checked against `pseudo_header`. IPv4 may leave the
    /// checksum out, IPv6 may not (RFC 8200 section 8.1): `may_omit`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `datagram` is shorter than it says, [`Error::Malformed`] for a length of less than
    /// eight, [`Error::Checksum`].
    pub fn parse(datagram: &[u8], pseudo_header: Sum, may_omit: bool) -> Result<(Self, &[u8]), Error> {
        let (header, payload) = Self::parse_unchecked(datagram)?;
        let omitted = u16_at(datagram, 6) == 0;
        let datagram = &datagram[..Self::LEN + payload.len()];
        if (omitted && !may_omit) || (!omitted && !pseudo_header.and(datagram).is_whole()) {
            return Err(Error::Checksum);
        }
        Ok((header, payload))
    }

    /// The header of `datagram` and its payload, whose checksum somebody else has looked at: a device, or the sender when
    /// it is on this machine.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `datagram` is shorter than it says, [`Error::Malformed`] for a length of less than
    /// eight.
    pub fn parse_unchecked(datagram: &[u8]) -> Result<(Self, &[u8]), Error> {
        let fixed = datagram.get(..Self::LEN).ok_or(Error::Truncated)?;
        let len = usize::from(u16_at(fixed, 4));
        if len < Self::LEN {
            return Err(Error::Malformed);
        }
        let datagram = datagram.get(..len).ok_or(Error::Truncated)?;
        let header = Self { source_port: u16_at(datagram, 0), destination_port: u16_at(datagram, 2) };
        Ok((header, &datagram[Self::LEN..]))
    }

    /// Writes the header in front of the payload, which fills `datagram` from the eighth byte on.
    ///
    /// # Panics
    ///
    /// When `datagram` is shorter than the header or longer than 65,535 bytes.
    pub fn emit(&self, datagram: &mut [u8], pseudo_header: Sum) {
        let (header, payload) = datagram.split_at_mut(Self::LEN);
        self.emit_over(header, pseudo_header, Sum::of(payload), payload.len());
    }

    /// Writes the header to `header`, for a payload of `len` bytes and that sum, which lies elsewhere.
    ///
    /// # Panics
    ///
    /// When `header` is shorter than one, or both are longer than 65,535 bytes.
    pub fn emit_over(&self, header: &mut [u8], pseudo_header: Sum, payload: Sum, len: usize) {
        let Self { source_port, destination_port } = self;
        let len = u16::try_from(Self::LEN + len).expect("a datagram has 65,535 bytes at most");
        let header = &mut header[..Self::LEN];
        put(header, 0, &source_port.to_be_bytes());
        put(header, 2, &destination_port.to_be_bytes());
        put(header, 4, &len.to_be_bytes());
        put(header, 6, &[0, 0]);
        // Zero says that there is none; its other name in one's complement is all ones.
        let checksum = match pseudo_header.and(header).and_sum(payload).checksum() {
            0 => 0xffff,
            checksum => checksum,
        };
        put(header, 6, &checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;
    use std::vec;

    fn pseudo_header(len: usize) -> Sum {
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 9, 0, last));
        Sum::pseudo_header(address(1), address(2), 17, len)
    }

    #[test]
    fn a_missing_checksum_is_for_ipv4_only() {
        let datagram = [0, 1, 0, 2, 0, 8, 0, 0];
        assert!(Header::parse(&datagram, pseudo_header(8), true).is_ok());
        assert_eq!(Header::parse(&datagram, pseudo_header(8), false), Err(Error::Checksum));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(source_port: u16, destination_port: u16, payload in proptest::collection::vec(any::<u8>(), 0..64), flip in 0usize..512) {
            let header = Header { source_port, destination_port };
            let mut datagram = vec![0; Header::LEN];
            datagram.extend(&payload);
            let sum = pseudo_header(datagram.len());
            header.emit(&mut datagram, sum);
            prop_assert_eq!(Header::parse(&datagram, sum, false), Ok((header, &payload[..])));
            let flip = flip % (datagram.len() * 8);
            datagram[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(Header::parse(&datagram, sum, false).is_err());
            if flip / 8 >= 6 {
                prop_assert!(Header::parse_unchecked(&datagram).is_ok());
            }
        }

        #[test]
        fn any_bytes_are_a_datagram_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Header::parse(&bytes, pseudo_header(bytes.len()), true);
        }
    }
}
