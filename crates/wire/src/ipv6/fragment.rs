//! The fragment header (RFC 8200 section 4.5).

use crate::bytes::{put, u16_at, u32_at};
use crate::{Error, Protocol};

/// A fragment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What the fragmentable part of the original packet begins with; of meaning in the first fragment.
    pub next_header: Protocol,
    /// Where in the fragmentable part this fragment begins: in bytes, a multiple of eight, below 65,536.
    pub offset: u16,
    /// This is not the packet's last fragment.
    pub more_fragments: bool,
    /// Tells the fragments of one packet from those of another.
    pub identification: u32,
}

impl Fragment {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// The header at the start of `bytes` and what follows it.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than eight bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, rest) = bytes.split_at_checked(Self::LEN).ok_or(Error::Truncated)?;
        let place = u16_at(header, 2);
        let parsed = Self {
            next_header: Protocol(header[0]),
            offset: place & 0xfff8,
            more_fragments: place & 1 != 0,
            identification: u32_at(header, 4),
        };
        Ok((parsed, rest))
    }

    /// Writes the header to the first [`LEN`](Self::LEN) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { next_header, offset, more_fragments, identification } = self;
        let place = offset & 0xfff8 | u16::from(*more_fragments);
        put(bytes, 0, &[next_header.0, 0]);
        put(bytes, 2, &place.to_be_bytes());
        put(bytes, 4, &identification.to_be_bytes());
    }

    /// Whether the fragment is the whole packet: it is taken by itself, whatever others there are (RFC 6946).
    pub fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more_fragments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(mut bytes: [u8; 10], len in 0usize..10) {
            // Reserved bits are sent as zero and not looked at.
            bytes[1] = 0;
            bytes[3] &= !6;
            match Fragment::parse(&bytes[..len]) {
                Ok((fragment, rest)) => {
                    let mut again = [0xaa; Fragment::LEN];
                    fragment.emit(&mut again);
                    prop_assert_eq!(&again, &bytes[..8]);
                    prop_assert_eq!(rest, &bytes[8..len]);
                }
                Err(error) => prop_assert!(error == Error::Truncated && len < 8),
            }
        }
    }
}
