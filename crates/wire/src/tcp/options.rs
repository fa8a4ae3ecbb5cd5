//! What a segment says beside its header: RFC 9293 section 3.2, RFC 7323, RFC 2018.

use super::SeqNumber;
use crate::bytes::{put, u16_at, u32_at};

/// The options of a segment that are understood. Others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// The largest payload that the sender of this segment takes, in bytes (MSS).
    pub max_segment_size: Option<u16>,
    /// By how many bits windows are to be shifted, as it stands; more than 14 counts as 14 (RFC 7323 section 2.3).
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are welcome.
    pub sack_permitted: bool,
    /// When the segment was sent, and what was heard of the other side's clock.
    pub timestamps: Option<Timestamps>,
    /// What was received beyond the acknowledgment.
    pub sack: SackBlocks,
}

/// RFC 7323 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock (TSval).
    pub value: u32,
    /// The latest of the other side's clock (TSecr).
    pub echo: u32,
}

/// Bytes from `start` up to, and not with, `end` were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SackBlock {
    /// The first.
    pub start: SeqNumber,
    /// After the last.
    pub end: SeqNumber,
}

/// Up to four blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SackBlocks {
    blocks: [SackBlock; 4],
    count: u8,
}

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

impl Options {
    /// The options in `bytes`, up to the first that is malformed. One that comes twice counts as it came last.
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((&kind, rest)) = bytes.split_first() {
            if kind == END {
                break;
            }
            if kind == NOP {
                bytes = rest;
                continue;
            }
            let Some(&len) = rest.first() else { break };
            let Some(data) = bytes.get(2..usize::from(len)) else { break };
            bytes = &bytes[usize::from(len)..];
            match (kind, data.len()) {
                (MSS, 2) => options.max_segment_size = Some(u16_at(data, 0)),
                (WINDOW_SCALE, 1) => options.window_scale = Some(data[0]),
                (SACK_PERMITTED, 0) => options.sack_permitted = true,
                (SACK, 8 | 16 | 24 | 32) => {
                    options.sack = SackBlocks::default();
                    for block in data.chunks_exact(8) {
                        let (start, end) = (SeqNumber(u32_at(block, 0)), SeqNumber(u32_at(block, 4)));
                        options.sack.push(SackBlock { start, end });
                    }
                }
                (TIMESTAMPS, 8) => {
                    options.timestamps = Some(Timestamps { value: u32_at(data, 0), echo: u32_at(data, 4) });
                }
                _ => {}
            }
        }
        options
    }

    /// Length in bytes with padding. SACK blocks that do not fit 40 bytes beside the rest do not count: they are left
    /// out, from the last on.
    pub(super) fn len(&self) -> usize {
        let len = self.len_before_sack();
        match self.fitting_blocks(len) {
            0 => len,
            blocks => len + 4 + 8 * blocks,
        }
    }

    /// Writes the options to `bytes`, which is [`len`](Self::len) bytes long. Each is padded to a multiple of four in
    /// front, so that its words are aligned (RFC 7323, appendix A).
    pub(super) fn emit(&self, bytes: &mut [u8]) {
        let mut at = 0;
        let mut write = |field: &[u8]| {
            put(bytes, at, field);
            at += field.len();
        };
        if let Some(size) = self.max_segment_size {
            write(&[MSS, 4]);
            write(&size.to_be_bytes());
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => write(&[SACK_PERMITTED, 2]),
            (true, None) => write(&[NOP, NOP, SACK_PERMITTED, 2]),
            (false, Some(_)) => write(&[NOP, NOP]),
            (false, None) => {}
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            write(&[TIMESTAMPS, 10]);
            write(&value.to_be_bytes());
            write(&echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            write(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        let blocks = self.fitting_blocks(self.len_before_sack());
        if blocks > 0 {
            write(&[NOP, NOP, SACK, (2 + 8 * blocks) as u8]);
            for SackBlock { start, end } in &self.sack.as_slice()[..blocks] {
                write(&start.0.to_be_bytes());
                write(&end.0.to_be_bytes());
            }
        }
    }

    fn len_before_sack(&self) -> usize {
        let mss = if self.max_segment_size.is_some() { 4 } else { 0 };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        let timestamps = match (self.sack_permitted, self.timestamps) {
            (_, Some(_)) => 12,
            (true, None) => 4,
            (false, None) => 0,
        };
        mss + timestamps + scale
    }

    fn fitting_blocks(&self, len: usize) -> usize {
        self.sack.as_slice().len().min((40 - len).saturating_sub(4) / 8)
    }
}

impl SackBlocks {
    /// Adds a block after the others; the fifth is not taken.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(place) = self.blocks.get_mut(usize::from(self.count)) {
            *place = block;
            self.count += 1;
        }
    }

    /// The blocks in their order.
    pub fn as_slice(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    prop_compose! {
        /// Options that fit 40 bytes.
        pub(in super::super) fn options()(
            max_segment_size: Option<u16>, window_scale: Option<u8>, sack_permitted: bool,
            clock: Option<(u32, u32)>, numbers in proptest::collection::vec(any::<(u32, u32)>(), 0..=4),
        ) -> Options {
            let mut options = Options {
                max_segment_size,
                window_scale,
                sack_permitted,
                timestamps: clock.map(|(value, echo)| Timestamps { value, echo }),
                sack: SackBlocks::default(),
            };
            let room = options.fitting(numbers.len());
            for (start, end) in numbers.into_iter().take(room) {
                options.sack.push(SackBlock { start: SeqNumber(start), end: SeqNumber(end) });
            }
            options
        }
    }

    impl Options {
        fn fitting(&self, wanted: usize) -> usize {
            wanted.min((40 - self.len_before_sack()).saturating_sub(4) / 8)
        }
    }

    #[test]
    fn the_options_of_a_linux_syn_are_read() {
        let bytes = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
        let options = Options::parse(&bytes);
        let expected = Options {
            max_segment_size: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 9, echo: 0 }),
            sack: SackBlocks::default(),
        };
        assert_eq!(options, expected);
        let mut again = [0; 20];
        assert_eq!(options.len(), again.len());
        options.emit(&mut again);
        assert_eq!(again, bytes, "and written as Linux writes them");
    }

    #[test]
    fn malformed_options_end_the_list() {
        for bytes in [&[2u8, 4, 5][..], &[2], &[3, 0, 7], &[3, 1, 7], &[254, 200, 1]] {
            assert_eq!(Options::parse(bytes), Options::default(), "{bytes:?}");
        }
        // A length that does not fit its kind is passed over.
        assert_eq!(Options::parse(&[2, 3, 9, 4, 2]).max_segment_size, None);
        assert!(Options::parse(&[2, 3, 9, 4, 2]).sack_permitted);
    }

    #[test]
    fn blocks_that_were_packed_closer_than_we_pack_are_left_out() {
        let mut bytes = vec![TIMESTAMPS, 10, 0, 0, 0, 1, 0, 0, 0, 2, WINDOW_SCALE, 3, 7, SACK, 26];
        bytes.extend([9; 24]);
        bytes.push(END);
        let options = Options::parse(&bytes);
        assert_eq!((bytes.len(), options.sack.as_slice().len()), (40, 3));
        let mut again = [0; 40];
        let len = options.len();
        options.emit(&mut again[..len]);
        let read = Options::parse(&again[..len]);
        assert_eq!(read.sack.as_slice(), &options.sack.as_slice()[..2]);
        assert_eq!(Options { sack: options.sack, ..read }, options);
    }

    #[test]
    fn three_blocks_fit_beside_timestamps() {
        let mut options =
            Options { timestamps: Some(Timestamps { value: 1, echo: 2 }), ..Options::default() };
        for at in 0..5 {
            options.sack.push(SackBlock { start: SeqNumber(at * 10), end: SeqNumber(at * 10 + 5) });
        }
        let mut bytes = [0; 40];
        assert_eq!(options.len(), 40);
        options.emit(&mut bytes);
        assert_eq!(Options::parse(&bytes).sack.as_slice(), &options.sack.as_slice()[..3]);
    }
}
