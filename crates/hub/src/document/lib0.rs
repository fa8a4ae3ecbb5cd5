//! lib0's encoding, which all of Yjs is written in: numbers seven bits at a time, the lowest first; bytes and texts
//! after their length.

use bytes::Bytes;

/// What is not as lib0 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are cut off or damaged")]
pub(crate) struct Malformed;

/// Reads from the front. Nothing is allocated for a length before that many bytes are known to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that were not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    /// A number of at most 53 bits: more a JavaScript client cannot have meant.
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if number >> 53 == 0 { Ok(number) } else { Err(Malformed) };
            }
        }
        Err(Malformed)
    }

    pub(crate) fn number32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// A number of things to come, each of which takes at least a byte.
    pub(crate) fn count(&mut self) -> Result<u32, Malformed> {
        let count = self.number32()?;
        if count as usize <= self.left() { Ok(count) } else { Err(Malformed) }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }
}

/// Writes to the end.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    #[must_use]
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.put(number);
        self
    }

    #[must_use]
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.reserve(bytes.len() + 8);
        self.put(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn done(self) -> Bytes {
        self.0.into()
    }

    fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(number in 0..1_u64 << 53, text in ".{0,40}") {
            let written = Writer::default().number(number).text(&text).number(33).done();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.number(), Ok(33));
            prop_assert_eq!(reader.byte(), Err(Malformed));
        }

        #[test]
        fn nothing_read_is_longer_than_what_is_there(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(read) = reader.bytes() {
                prop_assert!(read.len() < bytes.len());
            }
        }
    }

    #[test]
    fn numbers_are_those_of_lib0() {
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[128, 1]),
            (300, &[172, 2]),
            (1 << 32, &[128, 128, 128, 128, 16]),
        ] {
            assert_eq!(&Writer::default().number(number).done()[..], bytes);
        }
        assert_eq!(Reader::new(&[0xff; 9]).number(), Err(Malformed));
        // 2^53: one more than JavaScript counts to.
        assert_eq!(Reader::new(&[128, 128, 128, 128, 128, 128, 128, 16]).number(), Err(Malformed));
    }
}
