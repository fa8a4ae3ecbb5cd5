//! Logical link control with the subnetwork access protocol (IEEE 802.2, RFC 1042): how links without an EtherType of
//! their own, Wi-Fi among them, say what they carry.

use crate::bytes::{put, u16_at};
use crate::{Error, EtherType};

/// Length in bytes.
pub const LEN: usize = 8;

/// SNAP at both ends, unnumbered information, and the organization whose numbers are EtherTypes.
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

/// What `bytes` carry, and that.
///
/// # Errors
///
/// [`Error::Truncated`] for fewer than eight bytes, [`Error::Unsupported`] for other services, and organizations with
/// numbers of their own.
pub fn parse(bytes: &[u8]) -> Result<(EtherType, &[u8]), Error> {
    let (header, payload) = bytes.split_at_checked(LEN).ok_or(Error::Truncated)?;
    if header[..6] != SNAP {
        return Err(Error::Unsupported);
    }
    Ok((EtherType(u16_at(header, 6)), payload))
}

/// Writes the header to the first [`LEN`] bytes of `bytes`.
///
/// # Panics
///
/// When `bytes` is shorter.
pub fn emit(bytes: &mut [u8], ether_type: EtherType) {
    put(bytes, 0, &SNAP);
    put(bytes, 6, &ether_type.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_services_are_not_ours() {
        // Spanning tree.
        assert_eq!(parse(&[0x42, 0x42, 3, 0, 0, 0, 0, 0]), Err(Error::Unsupported));
        assert_eq!(parse(&[0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0]), Err(Error::Unsupported));
        assert_eq!(parse(&[0xaa; 7]), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(ether_type: u16, payload: [u8; 3]) {
            let mut bytes = [0xaa; LEN + 3];
            emit(&mut bytes, EtherType(ether_type));
            bytes[LEN..].copy_from_slice(&payload);
            prop_assert_eq!(parse(&bytes), Ok((EtherType(ether_type), &payload[..])));
        }
    }
}
