//! The Internet checksum (RFC 1071), and its update in place (RFC 1624).

use core::net::IpAddr;

/// A sum of 16-bit words that is being added up, part by part. It knows whether an odd number of bytes has been added, so
/// that a part that begins in the middle of a word is added as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    sum: u64,
    is_odd: bool,
}

impl Sum {
    /// The sum of `bytes`; when no part follows, an odd last byte is followed by a zero (RFC 1071 section 4.1).
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { sum: words(bytes), is_odd: bytes.len() % 2 == 1 }
    }

    /// This sum and that of the `bytes` that follow.
    #[inline]
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        self.and_sum(Self::of(bytes))
    }

    /// This sum and that of bytes that follow, which has been made before.
    #[inline]
    #[must_use]
    pub fn and_sum(self, following: Self) -> Self {
        // In the middle of a word, what is the upper byte of each word elsewhere is the lower one here.
        let shift = if self.is_odd { 8 } else { 0 };
        Self { sum: add(self.sum, following.sum.rotate_left(shift)), is_odd: self.is_odd != following.is_odd }
    }

    /// This sum and one word in the host's order, such as a length or a protocol number.
    #[inline]
    #[must_use]
    pub fn and_word(self, word: u16) -> Self {
        self.and_sum(Self { sum: u64::from(word.to_be()), is_odd: false })
    }

    /// The pseudo-header of UDP, TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1), for a segment of `length`
    /// bytes. Both addresses are of one family.
    #[must_use]
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let sum = address(source).and_sum(address(destination));
        let length = length as u32;
        sum.and_word(u16::from(protocol)).and_word((length >> 16) as u16).and_word(length as u16)
    }

    /// The checksum field that belongs to this sum, in the host's order.
    #[inline]
    #[must_use]
    pub fn checksum(self) -> u16 {
        !self.folded()
    }

    /// Whether bytes that contain their own checksum are whole.
    #[inline]
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.folded() == 0xffff
    }

    fn folded(self) -> u16 {
        let mut sum = self.sum;
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }
}

/// `checksum` after a word that it covers changed from `old` to `new` (RFC 1624, equation 3).
///
/// UDP's checksum is not touched when it is zero, for then there is none, and becomes all ones when the result is zero.
#[inline]
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    fold(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

/// `checksum` after two words that it covers, a sequence number for instance, changed from `old` to `new`. They begin at
/// an even offset.
#[inline]
#[must_use]
pub fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let (old, new) = (!old, new);
    let words = (old >> 16) + (old & 0xffff) + (new >> 16) + (new & 0xffff);
    fold(u32::from(!checksum) + words)
}

/// `checksum` after an address that it covers, in a header or a pseudo-header, changed from `old` to `new`. They may be of
/// different families, as RFC 6146 translates one into the other.
#[must_use]
pub fn update_address(checksum: u16, old: IpAddr, new: IpAddr) -> u16 {
    let old = address(old).folded();
    update(checksum, old, address(new).folded())
}

fn address(address: IpAddr) -> Sum {
    match address {
        IpAddr::V4(v4) => Sum::of(&v4.octets()),
        IpAddr::V6(v6) => Sum::of(&v6.octets()),
    }
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of `bytes` as 64-bit words in the machine's own order: a one's complement sum does not care about the order
/// of bytes within words, as long as the result is read in the same one (RFC 1071 section 2B).
///
/// Two chains of additions that carry into a second word. For whole segments that is a little faster than vector
/// instructions, which have no carry and are to be widened first (`benches/checksum.rs`).
#[inline]
fn words(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut chains = [0u128; 2];
    for block in blocks {
        for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
            // No overflow: 2^64 words would have to be longer than memory.
            chains[at % 2] += u128::from(u64::from_ne_bytes(*word));
        }
    }
    let total = chains[0] + chains[1];
    let mut sum = add(total as u64, (total >> 64) as u64);
    let (wide, rest) = rest.as_chunks::<8>();
    for word in wide {
        sum = add(sum, u64::from_ne_bytes(*word));
    }
    let (pairs, rest) = rest.as_chunks::<2>();
    for pair in pairs {
        sum = add(sum, u64::from(u16::from_ne_bytes(*pair)));
    }
    if let [last] = rest {
        sum = add(sum, u64::from(u16::from_ne_bytes([*last, 0])));
    }
    sum
}

/// One's complement addition.
#[inline]
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// RFC 1071 as it reads.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(!Sum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).checksum(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: the field changes from 0x5555 to 0x3285.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_pseudo_header_is_its_bytes() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 168, 7, 9));
        let bytes = [10, 0, 0, 1, 192, 168, 7, 9, 0, 6, 0, 20];
        assert_eq!(Sum::pseudo_header(a.into(), b.into(), 6, 20).checksum(), Sum::of(&bytes).checksum());
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_naive_one(bytes in proptest::collection::vec(any::<u8>(), 0..400), splits: (usize, usize)) {
            let (rest, tail) = bytes.split_at(splits.0 % (bytes.len() + 1));
            let (head, middle) = rest.split_at(splits.1 % (rest.len() + 1));
            prop_assert_eq!(Sum::of(head).and(middle).and(tail).checksum(), naive(&bytes));
            prop_assert_eq!(Sum::of(head).and_sum(Sum::of(middle).and(tail)).checksum(), naive(&bytes));
        }

        #[test]
        fn a_word_is_its_bytes(head in proptest::collection::vec(any::<u8>(), 0..9), word: u16) {
            let bytes = Sum::of(&head).and(&word.to_be_bytes());
            prop_assert_eq!(Sum::of(&head).and_word(word).checksum(), bytes.checksum());
        }

        #[test]
        fn addresses_and_wide_words_update_as_their_words(
            head: [u16; 4], old: u128, new: u128, numbers: (u32, u32), old_is_v4: bool, new_is_v4: bool,
        ) {
            let address = |bits: u128, is_v4: bool| match is_v4 {
                true => IpAddr::from((bits as u32).to_be_bytes()),
                false => IpAddr::from(bits.to_be_bytes()),
            };
            let (old, new) = (address(old, old_is_v4), address(new, new_is_v4));
            let sum = |end: IpAddr, number: u32| {
                let head = head.iter().fold(Sum::default(), |sum, word| sum.and_word(*word));
                super::address(end).and_sum(head).and(&number.to_be_bytes()).checksum()
            };
            let before = sum(old, numbers.0);
            let updated = update_u32(update_address(before, old, new), numbers.0, numbers.1);
            let after = sum(new, numbers.1);
            prop_assert!(updated == after || (updated ^ after) == 0xffff && (updated == 0 || after == 0));
        }

        #[test]
        fn an_update_is_a_new_sum(words in proptest::collection::vec(any::<u16>(), 2..20), at in 0usize..20, new: u16) {
            let at = at % words.len();
            let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
            let before = Sum::of(&bytes(&words)).checksum();
            let mut changed = words.clone();
            changed[at] = new;
            let after = Sum::of(&bytes(&changed)).checksum();
            let updated = update(before, words[at], new);
            // All bits zero and all bits one are the same number in one's complement; only words that are all zero sum
            // up to the first, which no header is.
            prop_assert!(updated == after || (updated ^ after) == 0xffff && (updated == 0 || after == 0));
        }

        #[test]
        fn bytes_with_their_checksum_are_whole(bytes in proptest::collection::vec(any::<u8>(), 2..100), flip in 0usize..800) {
            let mut bytes = bytes;
            if bytes.len() % 2 == 1 {
                bytes.push(0);
            }
            bytes[0] = 0;
            bytes[1] = 0;
            let sum = Sum::of(&bytes).checksum().to_be_bytes();
            bytes[..2].copy_from_slice(&sum);
            prop_assert!(Sum::of(&bytes).is_whole());
            let flip = flip % (bytes.len() * 8);
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!Sum::of(&bytes).is_whole(), "one flipped bit is always seen");
        }
    }
}
