//! Unmasking with AVX2, and unmasking and checking UTF-8 in the same pass over the bytes. The one file with `unsafe`.
//!
//! Two things are unsafe here, and this is what makes them sound:
//!
//! - *Calling a function that needs AVX2.* Each is called only behind [`is_x86_feature_detected!`], which asks the
//!   processor once and remembers.
//! - *Vectors read from and written to memory.* Every pointer comes from a `&mut [u8; 32]` that
//!   [`as_chunks_mut`](slice::as_chunks_mut) made, so that all 32 bytes are inside the slice and nobody else looks at
//!   them; the instructions ask for no alignment.
//!
//! The validator is the one of Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte" (2021): three
//! tables of sixteen, looked up by the halves of two neighbouring bytes, name all faults that two bytes can show; what is
//! left is whether a third or fourth byte of a character stands where one must.

/// What a pass over text found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// This many bytes were unmasked: a whole number of blocks, and all of it valid, but for a character that may have
    /// been begun in its last three bytes.
    Valid(usize),
    /// It is not UTF-8.
    Invalid,
}

/// Unmasks `bytes`. False, and nothing is done, where there is no AVX2.
#[inline]
pub(super) fn unmask(mask: [u8; 4], bytes: &mut [u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { avx2::unmask(mask, bytes) };
        return true;
    }
    let _ = (mask, bytes);
    false
}

/// Unmasks the whole blocks at the front of `bytes`, which begin between two characters, and checks them. `None`, and
/// nothing is done, where there is no AVX2.
#[inline]
pub(super) fn unmask_text(mask: [u8; 4], bytes: &mut [u8]) -> Option<Checked> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return Some(unsafe { avx2::unmask_text(mask, bytes) });
    }
    let _ = (mask, bytes);
    None
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::Checked;
    use crate::protocol::mask;

    /// What two neighbouring bytes can show to be wrong, a bit each.
    const TOO_SHORT: u8 = 1 << 0;
    const TOO_LONG: u8 = 1 << 1;
    const OVERLONG_3: u8 = 1 << 2;
    const TOO_LARGE: u8 = 1 << 3;
    const SURROGATE: u8 = 1 << 4;
    const OVERLONG_2: u8 = 1 << 5;
    const TOO_LARGE_1000: u8 = 1 << 6;
    const OVERLONG_4: u8 = 1 << 6;
    /// Two continuation bytes in a row: right if and only if three or four bytes were announced.
    const TWO_CONTINUE: u8 = 1 << 7;
    /// What the low half of the first byte says nothing about.
    const ANY: u8 = TOO_SHORT | TOO_LONG | TWO_CONTINUE;

    const FIRST_HIGH: [u8; 16] = {
        let mut table = [TOO_LONG; 16];
        table[0x8] = TWO_CONTINUE;
        table[0x9] = TWO_CONTINUE;
        table[0xA] = TWO_CONTINUE;
        table[0xB] = TWO_CONTINUE;
        table[0xC] = TOO_SHORT | OVERLONG_2;
        table[0xD] = TOO_SHORT;
        table[0xE] = TOO_SHORT | OVERLONG_3 | SURROGATE;
        table[0xF] = TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4;
        table
    };
    const FIRST_LOW: [u8; 16] = {
        let mut table = [ANY | TOO_LARGE | TOO_LARGE_1000; 16];
        table[0x0] = ANY | OVERLONG_2 | OVERLONG_3 | OVERLONG_4;
        table[0x1] = ANY | OVERLONG_2;
        table[0x2] = ANY;
        table[0x3] = ANY;
        table[0x4] = ANY | TOO_LARGE;
        table[0xD] |= SURROGATE;
        table
    };
    const SECOND_HIGH: [u8; 16] = {
        let mut table = [TOO_SHORT; 16];
        let continues = TOO_LONG | OVERLONG_2 | TWO_CONTINUE;
        table[0x8] = continues | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4;
        table[0x9] = continues | OVERLONG_3 | TOO_LARGE;
        table[0xA] = continues | SURROGATE | TOO_LARGE;
        table[0xB] = continues | SURROGATE | TOO_LARGE;
        table
    };
    /// The largest bytes that may stand last, last but one and last but two without beginning something unfinished.
    const LARGEST_LAST: [u8; 32] = {
        let mut largest = [0xFF; 32];
        largest[29] = 0xF0 - 1;
        largest[30] = 0xE0 - 1;
        largest[31] = 0xC0 - 1;
        largest
    };

    /// Compiled once more for wider vectors.
    #[target_feature(enable = "avx2")]
    pub(super) fn unmask(mask: [u8; 4], bytes: &mut [u8]) {
        mask::words(mask, bytes);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn unmask_text(mask: [u8; 4], bytes: &mut [u8]) -> Checked {
        let tables = Tables {
            first_high: twice(FIRST_HIGH),
            first_low: twice(FIRST_LOW),
            second_high: twice(SECOND_HIGH),
            largest_last: load(&LARGEST_LAST),
        };
        let mask = _mm256_set1_epi32(i32::from_ne_bytes(mask));
        let (blocks, _) = bytes.as_chunks_mut::<32>();
        let mut faults = _mm256_setzero_si256();
        // The block before, and what it left unfinished.
        let mut before = _mm256_setzero_si256();
        let mut unfinished = _mm256_setzero_si256();
        let handled = blocks.len() * 32;
        let mut pairs = blocks.chunks_exact_mut(2);
        for pair in &mut pairs {
            let first = _mm256_xor_si256(load(&pair[0]), mask);
            let second = _mm256_xor_si256(load(&pair[1]), mask);
            store(first, &mut pair[0]);
            store(second, &mut pair[1]);
            if _mm256_movemask_epi8(_mm256_or_si256(first, second)) == 0 {
                faults = _mm256_or_si256(faults, unfinished);
                unfinished = _mm256_setzero_si256();
            } else {
                faults = _mm256_or_si256(faults, tables.faults(before, first));
                faults = _mm256_or_si256(faults, tables.faults(first, second));
                unfinished = _mm256_subs_epu8(second, tables.largest_last);
            }
            before = second;
        }
        if let [last] = pairs.into_remainder() {
            let block = _mm256_xor_si256(load(last), mask);
            store(block, last);
            faults = _mm256_or_si256(faults, tables.faults(before, block));
        }
        if _mm256_testz_si256(faults, faults) == 1 { Checked::Valid(handled) } else { Checked::Invalid }
    }

    struct Tables {
        first_high: __m256i,
        first_low: __m256i,
        second_high: __m256i,
        largest_last: __m256i,
    }

    impl Tables {
        /// Not zero where `block`, which follows `before`, is wrong.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn faults(&self, before: __m256i, block: __m256i) -> __m256i {
            let across = _mm256_permute2x128_si256::<0x21>(before, block);
            let back_1 = _mm256_alignr_epi8::<15>(block, across);
            let back_2 = _mm256_alignr_epi8::<14>(block, across);
            let back_3 = _mm256_alignr_epi8::<13>(block, across);
            let pairs = _mm256_and_si256(
                _mm256_and_si256(
                    _mm256_shuffle_epi8(self.first_high, high_half(back_1)),
                    _mm256_shuffle_epi8(self.first_low, low_half(back_1)),
                ),
                _mm256_shuffle_epi8(self.second_high, high_half(block)),
            );
            // Of 0xE0 and more the top bit stays when 0x60 is taken away, of 0xF0 and more when 0x70 is: it shows where
            // three bytes were announced two before, or four three before.
            let third = _mm256_subs_epu8(back_2, _mm256_set1_epi8(0x60));
            let fourth = _mm256_subs_epu8(back_3, _mm256_set1_epi8(0x70));
            let must_continue =
                _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(0x80_u8 as i8));
            _mm256_xor_si256(must_continue, pairs)
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn high_half(bytes: __m256i) -> __m256i {
        low_half(_mm256_srli_epi16::<4>(bytes))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn low_half(bytes: __m256i) -> __m256i {
        _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(table: [u8; 16]) -> __m256i {
        let mut both = [0; 32];
        both[..16].copy_from_slice(&table);
        both[16..].copy_from_slice(&table);
        load(&both)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: 32 bytes that can be read, at any alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(vector: __m256i, bytes: &mut [u8; 32]) {
        // SAFETY: 32 bytes that are ours to write, at any alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of four bytes that has each kind of byte at each place, across the border of two blocks: the
    /// verdict is the standard library's.
    #[test]
    fn every_kind_of_byte_at_every_place_of_a_character() {
        const KINDS: [u8; 26] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC,
            0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF,
        ];
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        for sequence in 0..KINDS.len().pow(4) {
            let kind = |place: u32| KINDS[sequence / KINDS.len().pow(place) % KINDS.len()];
            let characters = [kind(0), kind(1), kind(2), kind(3)];
            // Between the two blocks of a pair or between two pairs, more on this side or more on that.
            let start = 28 + 32 * (sequence / 11 % 2) + sequence / 3 % 5;
            let mut plain = [b'a'; 128];
            plain[start..start + 4].copy_from_slice(&characters);
            let mut bytes = plain;
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte ^= mask[index % 4];
            }
            let Some(checked) = unmask_text(mask, &mut bytes) else { return };
            let valid = std::str::from_utf8(&plain).is_ok();
            assert_eq!(checked == Checked::Valid(128), valid, "{characters:x?} at {start}");
            assert_eq!(bytes, plain);
        }
    }
}
