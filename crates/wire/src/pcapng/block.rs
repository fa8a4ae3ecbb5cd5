//! What all blocks have alike: their frame, and options at their end.

use super::put;

/// Length of the option that ends the options.
pub(super) const END_OF_OPTIONS: usize = 4;

/// Everything begins at a multiple of four.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Length of an option with a value of `len` bytes; one with an empty value is left out.
pub(super) fn option_len(len: usize) -> usize {
    if len == 0 { 0 } else { 4 + padded(len) }
}

/// Writes a block that fills `bytes`.
pub(super) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(bytes: &'a mut [u8], kind: u32) -> Self {
        let len = u32::try_from(bytes.len()).expect("a block is shorter than 2^32 bytes").to_le_bytes();
        let end = bytes.len() - 4;
        put(bytes, end, &len);
        put(bytes, 0, &kind.to_le_bytes());
        put(bytes, 4, &len);
        Self { bytes, at: 8 }
    }

    pub(super) fn write(&mut self, field: &[u8]) {
        put(self.bytes, self.at, field);
        let end = self.at + field.len();
        self.at = padded(end);
        self.bytes[end..self.at].fill(0);
    }

    pub(super) fn option(&mut self, code: u16, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.record(code, &[value]);
    }

    /// As an option, of a value in pieces that are not all empty.
    pub(super) fn record(&mut self, code: u16, value: &[&[u8]]) {
        let len: usize = value.iter().map(|piece| piece.len()).sum();
        let len = u16::try_from(len).expect("a record has 65,535 bytes at most");
        let ([a, b], [c, d]) = (code.to_le_bytes(), len.to_le_bytes());
        self.write(&[a, b, c, d]);
        let start = self.at;
        for piece in value {
            put(self.bytes, self.at, piece);
            self.at += piece.len();
        }
        let end = self.at;
        self.at = start + padded(end - start);
        self.bytes[end..self.at].fill(0);
    }

    /// Ends the options, when there is room for an end: without options there is none.
    pub(super) fn finish(self) {
        let end = self.bytes.len() - 4;
        self.bytes[self.at..end].fill(0);
    }
}
