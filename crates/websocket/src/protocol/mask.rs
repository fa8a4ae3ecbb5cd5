//! Masking (RFC 6455, section 5.3): the same operation both ways.

/// Applies `mask` to `bytes`, which begin `offset` bytes into the frame's payload.
pub(crate) fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let mut key = mask;
    key.rotate_left((offset % 4) as usize);
    // A whole block at a time, so that the compiler makes vector instructions of it.
    let mut block_key = [0; 32];
    for (byte, key) in block_key.iter_mut().zip(key.iter().cycle()) {
        *byte = *key;
    }
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
    for block in blocks {
        for (byte, key) in block.iter_mut().zip(&block_key) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(&block_key) {
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
