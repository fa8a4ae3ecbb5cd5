//! Masking (RFC 6455, section 5.3): the same operation both ways.

use super::simd;

/// Below this many bytes the widest vectors are not worth the question whether the processor has them.
const WIDE_FROM: usize = 256;

/// Applies `mask` to `bytes`, which begin `offset` bytes into the frame's payload.
#[inline]
pub(crate) fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let mask = at(mask, offset);
    if bytes.len() < WIDE_FROM || !simd::unmask(mask, bytes) {
        words(mask, bytes);
    }
}

/// The mask as it falls on the bytes from `offset` on.
#[inline]
pub(super) fn at(mask: [u8; 4], offset: u64) -> [u8; 4] {
    u32::from_le_bytes(mask).rotate_right(8 * (offset % 4) as u32).to_le_bytes()
}

/// The operation in words, in blocks of which the compiler makes the vector instructions of whoever calls it.
#[inline(always)]
pub(super) fn words(mask: [u8; 4], bytes: &mut [u8]) {
    let word = u64::from(u32::from_ne_bytes(mask));
    let word = word | word << 32;
    let (blocks, rest) = bytes.as_chunks_mut::<64>();
    for block in blocks {
        for chunk in block.as_chunks_mut::<8>().0 {
            *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition_at_any_offset(
            mask: [u8; 4],
            offset in 0_u64..100,
            skip in 0_usize..64,
            bytes in proptest::collection::vec(any::<u8>(), 0..1000),
        ) {
            let expected: Vec<u8> =
                bytes.iter().zip(offset..).map(|(byte, at)| byte ^ mask[(at % 4) as usize]).collect();
            // At any alignment, and nothing before or behind.
            let mut around = vec![0xA5; skip + bytes.len() + 64];
            around[skip..skip + bytes.len()].copy_from_slice(&bytes);
            super::apply(mask, offset, &mut around[skip..skip + bytes.len()]);
            prop_assert_eq!(&around[skip..skip + bytes.len()], expected);
            prop_assert!(around[..skip].iter().all(|&byte| byte == 0xA5));
            prop_assert!(around[skip + bytes.len()..].iter().all(|&byte| byte == 0xA5));
        }
    }
}
