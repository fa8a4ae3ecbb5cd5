//! The Internet checksum (RFC 1071), and its update in place (RFC 1624).

use core::net::IpAddr;

/// A sum of 16-bit words that is being added up. Parts may be added in any order; each must start at an even offset of
/// what is summed, and only the last may have an odd length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of `bytes`; an odd last byte is followed by a zero (RFC 1071 section 4.1).
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().and(bytes)
    }

    /// This sum and that of `bytes`.
    #[inline]
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        Self(add(self.0, words(bytes)))
    }

    /// This sum and one word in the host's order, such as a length or a protocol number.
    #[inline]
    #[must_use]
    pub fn and_word(self, word: u16) -> Self {
        Self(add(self.0, u64::from(word.to_be())))
    }

    /// The pseudo-header of UDP, TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1), for a segment of `length`
    /// bytes. Both addresses are of one family.
    #[must_use]
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let sum = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::of(&source.octets()).and(&destination.octets())
            }
            (source, destination) => {
                let (IpAddr::V6(source), IpAddr::V6(destination)) = (to_v6(source), to_v6(destination))
                else {
                    return Self::default();
                };
                Self::of(&source.octets()).and(&destination.octets())
            }
        };
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
        let mut sum = self.0;
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }
}

/// `checksum` after a word that it covers changed from `old` to `new` (RFC 1624, equation 3).
#[inline]
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of `bytes` as 64-bit words in the machine's own order: a one's complement sum does not care about the order
/// of bytes within words, as long as the result is read in the same one (RFC 1071 section 2B).
///
/// Four independent accumulators of 32-bit words: the compiler makes vector instructions of them.
#[inline]
fn words(bytes: &[u8]) -> u64 {
    let mut lanes = [0u64; 8];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            // No overflow: 2^32 words would have to be longer than memory.
            *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut sum = lanes.iter().fold(0, |sum, &lane| add(sum, lane));
    let mut pairs = blocks.remainder().chunks_exact(2);
    for pair in &mut pairs {
        sum = add(sum, u64::from(u16::from_ne_bytes([pair[0], pair[1]])));
    }
    if let [last] = pairs.remainder() {
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

fn to_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        v6 => v6,
    }
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
        fn the_fast_sum_is_the_naive_one(bytes in proptest::collection::vec(any::<u8>(), 0..400), split in 0usize..400) {
            let split = split.min(bytes.len()) & !1;
            let (head, tail) = bytes.split_at(split);
            prop_assert_eq!(Sum::of(head).and(tail).checksum(), naive(&bytes));
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
