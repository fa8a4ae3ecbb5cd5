//! A direction of a connection, as its sender puts it onto the network for the first time: where its messages begin and end.

use std::collections::VecDeque;
use std::ops::Range;

use host::Instant;

use super::websocket::{self, Header};

/// Bytes of a message that are kept to be shown.
pub(super) const SHOWN: usize = 256;
/// Bytes of an HTTP head that are looked at.
const HEAD: usize = 16 * 1024;
/// Writes of the application that wait to be sent, at most.
const WRITES: usize = 1_024;
/// Messages of a stream that are known again when they are sent again.
const RECENT: usize = 128;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A WebSocket text message.
    Text,
    /// A WebSocket binary message.
    Binary,
    /// A WebSocket ping.
    Ping,
    /// A WebSocket pong.
    Pong,
    /// The end of a WebSocket.
    Close,
    /// The head of an HTTP request or response.
    Http,
    /// What a program wrote at once to a stream of another kind.
    Bytes,
    /// A UDP datagram.
    Datagram,
}

/// A WebSocket frame of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the stream.
    pub at: u64,
    /// Bytes of its header.
    pub header: u64,
    /// Bytes of its payload.
    pub payload: u64,
    /// It is masked, as all are that clients send.
    pub masked: bool,
    /// It is the message's last.
    pub last: bool,
}

/// What of a stream is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Counted from one over all streams, by their first bytes.
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) bytes: Range<u64>,
    pub(super) frames: Vec<Frame>,
    /// Its first bytes, unmasked.
    pub(super) shown: Vec<u8>,
    pub(super) is_compressed: bool,
    pub(super) written: Option<Instant>,
}

/// The sender's end of a direction.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The sequence number of its first byte.
    first: Option<u32>,
    /// So much of it was seen.
    seen: u64,
    mode: Mode,
    /// What the application wrote, and when: a write ends here.
    writes: VecDeque<(u64, Instant)>,
    current: Option<Found>,
    /// The last messages that were whole, by number and place.
    recent: VecDeque<(u64, Range<u64>)>,
    mask_at: u64,
}

#[derive(Debug, Default)]
enum Mode {
    /// Nothing was said yet.
    #[default]
    Silent,
    /// An HTTP head, as far as it came.
    Head(Vec<u8>),
    /// Nothing that is known here: the program's writes are its messages.
    Plain,
    /// WebSocket: the header that is coming, or the frame that it began with what is missing of it.
    WebSocket { header: Vec<u8>, frame: Option<(Header, u64)> },
}

impl Stream {
    /// A SYN with this sequence number: the stream begins anew.
    pub(super) fn open(&mut self, sequence: u32) {
        *self = Self { first: Some(sequence.wrapping_add(1)), ..Self::default() };
    }

    /// The application wrote so far.
    pub(super) fn wrote(&mut self, end: u64, now: Instant) {
        if self.writes.len() == WRITES {
            self.writes.pop_front();
        }
        self.writes.push_back((end, now));
    }

    /// Which bytes of the stream a segment carries. `None` when its beginning was not seen.
    pub(super) fn place(&self, sequence: u32, len: usize) -> Option<Range<u64>> {
        let low = sequence.wrapping_sub(self.first?);
        // The place that is nearest to what was seen.
        let ahead = low.wrapping_sub(self.seen as u32) as i32;
        let start = self.seen.checked_add_signed(ahead.into())?;
        Some(start..start + len as u64)
    }

    /// Takes what a segment carries beyond what was seen before, and tells what messages that made whole.
    pub(super) fn take(&mut self, place: &Range<u64>, bytes: &[u8], numbered: &mut u64) -> Vec<Found> {
        let mut found = Vec::new();
        let known = self.seen.saturating_sub(place.start);
        if place.start > self.seen || known >= bytes.len() as u64 {
            return found;
        }
        let mut rest = &bytes[known as usize..];
        while !rest.is_empty() {
            let taken = self.step(rest, &mut found, numbered);
            rest = &rest[taken..];
        }
        for whole in &found {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((whole.number, whole.bytes.clone()));
        }
        found
    }

    /// The first and the last message of which `place` has bytes.
    pub(super) fn messages(&self, place: &Range<u64>) -> Option<(u64, u64)> {
        let whole =
            self.recent.iter().filter(|(_, bytes)| bytes.start < place.end && bytes.end > place.start);
        let under_way = self.current.iter().filter(|current| current.bytes.start < place.end);
        let mut numbers = whole.map(|(number, _)| *number).chain(under_way.map(|current| current.number));
        let first = numbers.next()?;
        Some((first, numbers.last().unwrap_or(first)))
    }

    /// Takes the next piece of `bytes`: one byte at least.
    fn step(&mut self, bytes: &[u8], found: &mut Vec<Found>, numbered: &mut u64) -> usize {
        match &mut self.mode {
            Mode::Silent => {
                let is_http =
                    bytes.starts_with(b"HTTP/") || bytes.first().is_some_and(u8::is_ascii_uppercase);
                self.mode = if is_http { Mode::Head(Vec::new()) } else { Mode::Plain };
                self.step(bytes, found, numbered)
            }
            Mode::Head(head) => {
                let before = head.len();
                head.extend(bytes);
                let end = head.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
                let taken = end.map_or(bytes.len(), |end| end - before);
                let text = head[..end.unwrap_or(head.len())].to_vec();
                let is_too_long = text.len() > HEAD;
                self.begin(Kind::Http, numbered).shown = text[..text.len().min(SHOWN)].to_vec();
                self.seen += taken as u64;
                if end.is_some() || is_too_long {
                    self.mode = if upgrades(&text) {
                        Mode::WebSocket { header: Vec::new(), frame: None }
                    } else {
                        Mode::Plain
                    };
                    found.extend(self.end());
                }
                taken
            }
            Mode::Plain => {
                let end = self.writes.iter().map(|(end, _)| *end).find(|end| *end > self.seen);
                let taken = end.map_or(bytes.len(), |end| bytes.len().min((end - self.seen) as usize));
                let shown = &mut self.begin(Kind::Bytes, numbered).shown;
                let room = SHOWN.saturating_sub(shown.len());
                shown.extend(&bytes[..taken.min(room)]);
                self.seen += taken as u64;
                if end.is_none_or(|end| end == self.seen) {
                    found.extend(self.end());
                }
                taken
            }
            Mode::WebSocket { frame: None, header } => {
                let needed = websocket::LONGEST - header.len();
                let before = header.len();
                header.extend(&bytes[..bytes.len().min(needed)]);
                let Some(parsed) = Header::parse(header) else {
                    self.seen += bytes.len() as u64;
                    return bytes.len();
                };
                let taken = parsed.len - before;
                let at = self.seen - before as u64;
                self.mode = Mode::WebSocket { header: Vec::new(), frame: Some((parsed, parsed.payload)) };
                self.frame(at, &parsed, numbered);
                self.seen += taken as u64;
                self.mask_at = 0;
                if parsed.payload == 0 {
                    self.frame_end(&parsed, found);
                }
                taken
            }
            Mode::WebSocket { frame: Some((header, missing)), .. } => {
                let taken = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
                *missing -= taken as u64;
                let (header, is_whole) = (*header, *missing == 0);
                let start = self.mask_at;
                if let Some(current) = &mut self.current {
                    let room = SHOWN.saturating_sub(current.shown.len());
                    let mask = |at: usize| header.mask.map_or(0, |mask| mask[(start as usize + at) % 4]);
                    let shown = bytes[..taken].iter().take(room).enumerate();
                    current.shown.extend(shown.map(|(at, byte)| byte ^ mask(at)));
                }
                self.mask_at += taken as u64;
                self.seen += taken as u64;
                if is_whole {
                    self.frame_end(&header, found);
                }
                taken
            }
        }
    }

    /// A WebSocket frame begins at `at`. A control frame between those of a message is told as a part of it.
    fn frame(&mut self, at: u64, header: &Header, numbered: &mut u64) {
        let kind = match header.opcode {
            1 => Kind::Text,
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => Kind::Binary,
        };
        if self.current.is_none() {
            self.begin(kind, numbered);
        }
        let current = self.current.as_mut().expect("begun just now");
        if current.frames.is_empty() {
            current.bytes.start = at;
        }
        current.is_compressed |= header.is_compressed;
        let (masked, last) = (header.mask.is_some(), header.is_last);
        current.frames.push(Frame { at, header: header.len as u64, payload: header.payload, masked, last });
    }

    fn frame_end(&mut self, header: &Header, found: &mut Vec<Found>) {
        self.mode = Mode::WebSocket { header: Vec::new(), frame: None };
        let alone = self.current.as_ref().is_some_and(|current| current.frames.len() == 1);
        if header.is_last && (!header.is_control() || alone) {
            found.extend(self.end());
        }
    }

    fn begin(&mut self, kind: Kind, numbered: &mut u64) -> &mut Found {
        let at = self.seen;
        let written = self.writes.iter().find(|(end, _)| *end > at).map(|(_, when)| *when);
        self.current.get_or_insert_with(|| {
            *numbered += 1;
            Found {
                number: *numbered,
                kind,
                bytes: at..at,
                frames: Vec::new(),
                shown: Vec::new(),
                is_compressed: false,
                written,
            }
        })
    }

    fn end(&mut self) -> Option<Found> {
        let mut found = self.current.take()?;
        found.bytes.end = self.seen;
        while self.writes.front().is_some_and(|(end, _)| *end <= self.seen) {
            self.writes.pop_front();
        }
        Some(found)
    }
}

/// Whether an HTTP head is one of an upgrade to WebSocket.
fn upgrades(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let is_answer = text.starts_with("http/");
    let says_so = text.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| name == "upgrade" && value.trim() == "websocket")
    });
    says_so && (!is_answer || text.starts_with("http/1.1 101"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n\r\n";
    /// "Hello", masked (RFC 6455 section 5.7).
    const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    fn cut(bytes: &[u8], size: usize) -> Vec<Found> {
        let mut stream = Stream::default();
        stream.open(u32::MAX - 10);
        let (mut found, mut numbered) = (Vec::new(), 0);
        for (number, piece) in bytes.chunks(size).enumerate() {
            let sequence = (u32::MAX - 9).wrapping_add((number * size) as u32);
            let place = stream.place(sequence, piece.len()).unwrap();
            assert_eq!(place.start, (number * size) as u64);
            found.extend(stream.take(&place, piece, &mut numbered));
            assert!(stream.take(&place, piece, &mut numbered).is_empty(), "what comes again is known");
        }
        found
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let mut bytes = UPGRADE.to_vec();
        bytes.extend(HELLO);
        // A ping between, then a message in two frames, of which the second is empty.
        bytes.extend([0x89, 0x80, 0, 0, 0, 0]);
        bytes.extend([0x02, 0x83, 0, 0, 0, 0, 1, 2, 3, 0x80, 0x80, 0, 0, 0, 0]);
        for size in 1..=bytes.len() {
            let found = cut(&bytes, size);
            let kinds: Vec<_> = found.iter().map(|found| found.kind).collect();
            assert_eq!(kinds, [Kind::Http, Kind::Text, Kind::Ping, Kind::Binary], "pieces of {size}");
            assert_eq!(found[1].shown, b"Hello");
            let start = UPGRADE.len() as u64;
            assert_eq!(found[1].bytes, start..start + 11);
            assert_eq!(found[3].frames.len(), 2);
            assert_eq!(found[3].bytes.end, bytes.len() as u64);
        }
    }

    proptest! {
        /// Whatever is said, and however it is cut: each message is found once, in its place, and says what was said.
        #[test]
        fn any_messages_are_found(
            said in proptest::collection::vec((any::<bool>(), any::<[u8; 4]>(), proptest::collection::vec(any::<u8>(), 0..400)), 0..12),
            size in 1usize..600,
        ) {
            let mut bytes = UPGRADE.to_vec();
            let mut expected = Vec::new();
            for (is_masked, mask, payload) in &said {
                let start = bytes.len() as u64;
                bytes.push(0x82);
                let flag = if *is_masked { 0x80 } else { 0 };
                match payload.len() {
                    len @ ..126 => bytes.push(flag | len as u8),
                    len => {
                        bytes.push(flag | 126);
                        bytes.extend((len as u16).to_be_bytes());
                    }
                }
                let mask = if *is_masked { bytes.extend(mask); *mask } else { [0; 4] };
                bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
                expected.push((start..bytes.len() as u64, payload[..payload.len().min(SHOWN)].to_vec()));
            }
            let found: Vec<_> =
                cut(&bytes, size).into_iter().skip(1).map(|found| (found.bytes, found.shown)).collect();
            prop_assert_eq!(found, expected);
        }

        /// Any bytes are borne, in any order and as often as they come.
        #[test]
        fn any_bytes_are_borne(pieces in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 0..100)), 0..30)) {
            let mut stream = Stream::default();
            stream.open(u32::MAX);
            stream.take(&(0..UPGRADE.len() as u64), UPGRADE, &mut 0);
            for (sequence, bytes) in pieces {
                if let Some(place) = stream.place(sequence % 200, bytes.len()) {
                    stream.take(&place, &bytes, &mut 0);
                }
            }
        }
    }

    #[test]
    fn what_is_no_websocket_is_told_by_its_writes() {
        let mut stream = Stream::default();
        stream.open(0);
        let at = Instant::from_nanos;
        stream.wrote(3, at(1));
        stream.wrote(10, at(2));
        let found = stream.take(&(0..10), b"onetwothre", &mut 0);
        let told: Vec<_> = found.iter().map(|found| (found.bytes.clone(), found.written)).collect();
        assert_eq!(told, [(0..3, Some(at(1))), (3..10, Some(at(2)))]);
    }
}
