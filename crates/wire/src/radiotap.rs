//! Radiotap: what a receiver of 802.11 frames says beside each of them, in captures (radiotap.org).

use crate::Error;
use crate::bytes::{array, put};

/// The fields that are understood. Others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// When the frame's first bit came, by the receiver's clock, in microseconds.
    pub timestamp: Option<u64>,
    /// Properties of the frame.
    pub flags: Option<Flags>,
    /// In units of 500 kbit/s.
    pub rate: Option<u8>,
    /// Where it was heard.
    pub channel: Option<Channel>,
    /// How loud it was, in dBm.
    pub signal: Option<i8>,
    /// How loud everything else was, in dBm.
    pub noise: Option<i8>,
}

/// Properties of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Sent or received with a short preamble.
    pub const SHORT_PREAMBLE: Self = Self(0x02);
    /// The frame check sequence follows the frame.
    pub const HAS_FCS: Self = Self(0x10);
    /// There are bytes between header and payload, up to a multiple of four.
    pub const PADDED: Self = Self(0x20);
    /// The frame check sequence does not fit.
    pub const BAD_FCS: Self = Self(0x40);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// In MHz.
    pub frequency: u16,
    /// Band and modulation.
    pub flags: u16,
}

/// The frame is in the 2 GHz band: of [`Channel::flags`].
pub const BAND_2GHZ: u16 = 0x0080;
/// The frame is in the 5 GHz band: of [`Channel::flags`].
pub const BAND_5GHZ: u16 = 0x0100;
/// The frame is modulated with OFDM: of [`Channel::flags`].
pub const OFDM: u16 = 0x0040;

/// Alignment and length of the first fields, by their bit in the first word of presence.
const FIELDS: [(usize, usize); 7] = [(8, 8), (1, 1), (1, 1), (2, 4), (2, 2), (1, 1), (1, 1)];
const TIMESTAMP: usize = 0;
const FLAGS: usize = 1;
const RATE: usize = 2;
const CHANNEL: usize = 3;
const SIGNAL: usize = 5;
const NOISE: usize = 6;
/// Another word of presence follows.
const EXTENSION: u32 = 1 << 31;

impl Header {
    /// Length in bytes of the longest that is written.
    pub const MAX_LEN: usize = 24;

    /// The header of `bytes` and the frame behind it.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `bytes` is shorter than it says, [`Error::Malformed`] for another version, and for fields
    /// beyond the header.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let fixed = bytes.get(..8).ok_or(Error::Truncated)?;
        let len = usize::from(u16::from_le_bytes(array(fixed, 2)));
        if fixed[0] != 0 || len < 8 {
            return Err(Error::Malformed);
        }
        let (header, frame) = bytes.split_at_checked(len).ok_or(Error::Truncated)?;
        let mut words = header[4..].chunks_exact(4).map(|word| u32::from_le_bytes(array(word, 0)));
        let present = words.next().ok_or(Error::Malformed)?;
        let mut at = 8usize;
        let mut has_more = present & EXTENSION != 0;
        while has_more {
            has_more = words.next().ok_or(Error::Malformed)? & EXTENSION != 0;
            at += 4;
        }
        let mut fields = [None; FIELDS.len()];
        for (bit, (field, (alignment, len))) in fields.iter_mut().zip(FIELDS).enumerate() {
            if present & 1 << bit != 0 {
                at = at.next_multiple_of(alignment);
                *field = Some(header.get(at..at + len).ok_or(Error::Malformed)?);
                at += len;
            }
        }
        let byte = |bit: usize| fields[bit].map(|field| field[0]);
        let parsed = Self {
            timestamp: fields[TIMESTAMP].map(|field| u64::from_le_bytes(array(field, 0))),
            flags: byte(FLAGS).map(Flags),
            rate: byte(RATE),
            channel: fields[CHANNEL].map(|field| Channel {
                frequency: u16::from_le_bytes(array(field, 0)),
                flags: u16::from_le_bytes(array(field, 2)),
            }),
            signal: byte(SIGNAL).map(|byte| byte as i8),
            noise: byte(NOISE).map(|byte| byte as i8),
        };
        Ok((parsed, frame))
    }

    /// Whether a frame check sequence follows the frame.
    pub fn has_fcs(&self) -> bool {
        self.flags.is_some_and(|flags| flags.contains(Flags::HAS_FCS))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.present().fold(8usize, |at, bit| at.next_multiple_of(FIELDS[bit].0) + FIELDS[bit].1)
    }

    /// Never: a header has at least eight bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { timestamp, flags, rate, channel, signal, noise } = self;
        let len = self.len();
        let header = &mut bytes[..len];
        header.fill(0);
        let present = self.present().fold(0u32, |word, bit| word | 1 << bit);
        put(header, 2, &(len as u16).to_le_bytes());
        put(header, 4, &present.to_le_bytes());
        let mut at = 8usize;
        let mut write = |bit: usize, field: &[u8]| {
            at = at.next_multiple_of(FIELDS[bit].0);
            put(header, at, field);
            at += field.len();
        };
        if let Some(timestamp) = timestamp {
            write(TIMESTAMP, &timestamp.to_le_bytes());
        }
        if let Some(flags) = flags {
            write(FLAGS, &[flags.0]);
        }
        if let Some(rate) = rate {
            write(RATE, &[*rate]);
        }
        if let Some(Channel { frequency, flags }) = channel {
            let [a, b] = frequency.to_le_bytes();
            let [c, d] = flags.to_le_bytes();
            write(CHANNEL, &[a, b, c, d]);
        }
        if let Some(signal) = signal {
            write(SIGNAL, &[*signal as u8]);
        }
        if let Some(noise) = noise {
            write(NOISE, &[*noise as u8]);
        }
    }

    /// The bits of the fields that are there.
    fn present(&self) -> impl Iterator<Item = usize> {
        [
            (TIMESTAMP, self.timestamp.is_some()),
            (FLAGS, self.flags.is_some()),
            (RATE, self.rate.is_some()),
            (CHANNEL, self.channel.is_some()),
            (SIGNAL, self.signal.is_some()),
            (NOISE, self.noise.is_some()),
        ]
        .into_iter()
        .filter_map(|(bit, is_present)| is_present.then_some(bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn fields_are_aligned_behind_all_words_of_presence() {
        // Flags, channel and signal, with two more words of presence.
        let mut bytes = vec![0, 0, 25, 0, 0x2a, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0];
        bytes.extend([0x10, 0xff, 0x6c, 0x09, 0x80, 0, 0xd6, 0, 0, 0xaa]);
        let (header, frame) = Header::parse(&bytes).unwrap();
        let channel = Some(Channel { frequency: 2412, flags: BAND_2GHZ });
        let expected = Header { flags: Some(Flags(0x10)), channel, signal: Some(-42), ..Header::default() };
        assert_eq!((header, frame), (expected, &[0xaa][..]));
        assert!(header.has_fcs());
        bytes[2] = 22;
        assert_eq!(Header::parse(&bytes), Err(Error::Malformed), "the signal lies in the frame");
        bytes[2] = 27;
        assert_eq!(Header::parse(&bytes), Err(Error::Truncated));
    }

    #[test]
    fn words_of_presence_end_with_the_header() {
        let mut bytes = vec![0, 0, 16, 0];
        bytes.extend([0, 0, 0, 0x80].repeat(20));
        assert_eq!(Header::parse(&bytes), Err(Error::Malformed));
        assert_eq!(Header::parse(&[1, 0, 8, 0, 0, 0, 0, 0]), Err(Error::Malformed), "another version");
        assert_eq!(Header::parse(&[0, 0, 7, 0, 0, 0, 0, 0]), Err(Error::Malformed));
    }

    prop_compose! {
        fn header()(
            timestamp: Option<u64>, flags: Option<u8>, rate: Option<u8>, channel: Option<(u16, u16)>,
            signal: Option<i8>, noise: Option<i8>,
        ) -> Header {
            let channel = channel.map(|(frequency, flags)| Channel { frequency, flags });
            Header { timestamp, flags: flags.map(Flags), rate, channel, signal, noise }
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(header in header(), frame in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut bytes = vec![0xaa; header.len()];
            header.emit(&mut bytes);
            prop_assert!(bytes.len() <= Header::MAX_LEN);
            bytes.extend(&frame);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, &frame[..])));
        }

        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), len in 0u8..90) {
            let mut bytes: Vec<u8> = bytes;
            if bytes.len() > 4 {
                bytes[..4].copy_from_slice(&[0, 0, len, 0]);
            }
            let _ = Header::parse(&bytes);
        }
    }
}
