//! Masking (RFC 6455, section 5.3): the same operation both ways.

/// Applies `mask` to `bytes`, which begin `offset` bytes into the frame's payload.
pub(crate) fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let key = u32::from_le_bytes(mask).rotate_right(8 * (offset % 4) as u32);
    let word = u64::from(u32::from_ne_bytes(key.to_le_bytes()));
    let word = word | word << 32;
    // Blocks of words, so that the compiler makes vector instructions of them.
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
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
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let expected: Vec<u8> =
                bytes.iter().zip(offset..).map(|(byte, at)| byte ^ mask[(at % 4) as usize]).collect();
            let mut masked = bytes;
            super::apply(mask, offset, &mut masked);
            prop_assert_eq!(masked, expected);
        }
    }
}
