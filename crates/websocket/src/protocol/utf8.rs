//! Checking UTF-8 that comes in pieces cut anywhere, failing at the first byte that cannot be right.

use super::mask;
use super::simd::{self, Checked};

/// Without vectors that do both, text is unmasked and checked in blocks of this many bytes, which stay in the
/// processor's nearest cache between the one and the other.
const BLOCK: usize = 4 << 10;

/// Up to this many bytes a look for ASCII is worth it before the vector code is set up.
const SHORT: usize = 256;

/// The checker's memory: the beginning of a character whose end has not come yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Utf8 {
    begun: [u8; 4],
    len: u8,
}

/// What was checked is not, and cannot become, UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Utf8 {
    /// Unmasks the next piece, which begins `offset` bytes into its frame, and checks it, in one pass. When it fails, not
    /// all of it may have been unmasked.
    pub(crate) fn unmask(&mut self, mask: [u8; 4], offset: u64, bytes: &mut [u8]) -> Result<(), Invalid> {
        let (begun, bytes) = bytes.split_at_mut(self.wants().min(bytes.len()));
        mask::apply(mask, offset, begun);
        self.push(begun)?;
        let mask = mask::at(mask, offset + begun.len() as u64);
        if bytes.len() > SHORT && self.is_complete() {
            match simd::unmask_text(mask, bytes) {
                None => {}
                Some(Checked::Invalid) => return Err(Invalid),
                Some(Checked::Valid(len)) => {
                    let checked = len - unfinished(&bytes[..len]);
                    mask::words(mask, &mut bytes[len..]);
                    return self.push(&bytes[checked..]);
                }
            }
        }
        self.unmask_in_blocks(mask, bytes)
    }

    fn unmask_in_blocks(&mut self, mask: [u8; 4], bytes: &mut [u8]) -> Result<(), Invalid> {
        for block in bytes.chunks_mut(BLOCK) {
            mask::apply(mask, 0, block);
            self.push(block)?;
        }
        Ok(())
    }

    /// Checks the next piece.
    #[inline]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Invalid> {
        while self.len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.begun[usize::from(self.len)] = byte;
            self.len += 1;
            match std::str::from_utf8(&self.begun[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Invalid),
            }
        }
        if bytes.len() <= SHORT && bytes.is_ascii() {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                let begun = &bytes[error.valid_up_to()..];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.len = begun.len() as u8;
                Ok(())
            }
            Err(_) => Err(Invalid),
        }
    }

    /// Whether no character is begun: at a message's end it must be so.
    pub(crate) fn is_complete(self) -> bool {
        self.len == 0
    }

    /// The most bytes that may be missing of the character that is begun.
    fn wants(self) -> usize {
        if self.len == 0 { 0 } else { 4 - usize::from(self.len) }
    }
}

/// How many bytes at the end of `text`, which is valid so far, are the beginning of a character.
fn unfinished(text: &[u8]) -> usize {
    let last = text.iter().rev().take(3).zip(1..).find(|(byte, _)| **byte & 0xC0 != 0x80);
    match last {
        Some((0xC0..=0xDF, len @ ..2)) | Some((0xE0..=0xEF, len @ ..3)) | Some((0xF0.., len @ ..4)) => len,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes can be read before it is certain that the text is not UTF-8; `None` when it is valid so far.
    fn fails_after(bytes: &[u8]) -> Option<usize> {
        let valid = std::str::from_utf8(bytes).err()?.valid_up_to();
        (valid + 1..=bytes.len()).find(
            |&end| matches!(std::str::from_utf8(&bytes[valid..end]), Err(error) if error.error_len().is_some()),
        )
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be_right() {
        for (bytes, after) in [
            (&b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65"[..], 13),
            (b"\xc0\x80", 1),
            (b"\xed\xa0\x80", 2),
            (b"\xf4\x90", 2),
            (b"\xf5", 1),
            (b"\x80", 1),
            (b"\xe2\x82\x28", 3),
        ] {
            let mut utf8 = Utf8::default();
            let failed = bytes.iter().position(|&byte| utf8.push(&[byte]).is_err());
            assert_eq!(failed.map(|index| index + 1), Some(after), "{bytes:x?}");
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Way {
        Unmasked,
        OnePass,
        Blocks,
    }

    fn almost_text() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![any::<String>(), "[a-z]{0,300}", "[aß€😀]{0,300}", "a{0,90}[a-zß€😀]{0,400}"];
        (text, proptest::option::of((any::<prop::sample::Index>(), any::<u8>()))).prop_map(|(text, spoil)| {
            let mut bytes = text.into_bytes();
            if let Some((index, byte)) = spoil
                && !bytes.is_empty()
            {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library_however_it_is_cut(
            bytes in almost_text(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
            key: [u8; 4],
            way in prop_oneof![Just(Way::Unmasked), Just(Way::OnePass), Just(Way::Blocks)],
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut utf8 = Utf8::default();
            let mut masked = bytes.clone();
            mask::apply(key, 0, &mut masked);
            let mut failed_in = None;
            for piece in cuts.windows(2) {
                let (at, whole) = (piece[0] as u64, &mut masked[piece[0]..piece[1]]);
                let checked = match way {
                    Way::Unmasked => utf8.push(&bytes[piece[0]..piece[1]]),
                    Way::OnePass => utf8.unmask(key, at, whole),
                    Way::Blocks => utf8.unmask_in_blocks(mask::at(key, at), whole),
                };
                if checked.is_err() {
                    failed_in = Some(piece[0]..=piece[1]);
                    break;
                }
                prop_assert!(way == Way::Unmasked || masked[..piece[1]] == bytes[..piece[1]]);
            }
            match (fails_after(&bytes), failed_in) {
                (None, None) => prop_assert_eq!(utf8.is_complete(), std::str::from_utf8(&bytes).is_ok()),
                (Some(after), Some(piece)) => prop_assert!(piece.contains(&after), "{after} is not in {piece:?}"),
                (expected, found) => prop_assert!(false, "expected {expected:?}, found {found:?}"),
            }
        }
    }
}
