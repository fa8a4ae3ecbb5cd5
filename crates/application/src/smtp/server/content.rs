//! The bytes of a message (RFC 5321 section 4.5.2, RFC 3030).
//!
//! A line ends with CR and LF, and with nothing else. A server that takes a lone LF for an end as well reads two messages
//! where the one before it saw one, and the second is whatever its sender liked ("SMTP smuggling"). So a message with a lone
//! CR or LF is refused as a whole, and only `<CR><LF>.<CR><LF>` is the end of one.

use super::Limits;

/// A message on its way in.
#[derive(Debug)]
pub struct Content {
    bytes: Vec<u8>,
    state: State,
    problem: Option<Problem>,
    line: usize,
    longest_message: usize,
    longest_line: usize,
    longest_header: usize,
    hops: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Dot,
    DotCr,
    Inside,
    Cr,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It has more bytes than may be.
    #[error("the message is larger than may be")]
    TooLarge,
    /// A CR without LF, or the other way round.
    #[error("lines end with CR and LF, and with nothing else")]
    LineEnd,
    /// A line has more bytes than may be.
    #[error("a line is longer than may be")]
    LongLine,
    /// The header has more bytes than may be.
    #[error("the header is longer than may be")]
    LongHeader,
    /// It has been through too many servers.
    #[error("the message runs in a circle")]
    Loop,
    /// There is no memory for it now.
    #[error("there is no room for the message now: try again later")]
    NoRoom,
}

impl Problem {
    /// Reply code and RFC 3463 status.
    pub fn code(self) -> (u16, &'static str) {
        match self {
            Self::TooLarge | Self::LongHeader => (552, "5.3.4"),
            Self::LineEnd | Self::LongLine => (554, "5.6.0"),
            Self::Loop => (554, "5.4.6"),
            Self::NoRoom => (452, "4.3.1"),
        }
    }
}

impl Content {
    /// A message of which nothing has come yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            bytes: Vec::new(),
            state: State::LineStart,
            problem: None,
            line: 0,
            longest_message: limits.message_bytes,
            longest_line: limits.text_line_bytes,
            longest_header: limits.header_bytes,
            hops: limits.hops,
        }
    }

    /// Takes bytes that follow DATA, up to the end of the message: how many belonged to it, and whether that was all.
    pub fn receive(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, &byte) in bytes.iter().enumerate() {
            self.state = match (self.state, byte) {
                (State::LineStart, b'.') => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::DotCr, b'\n') => return (index + 1, true),
                (State::DotCr, byte) => {
                    // The dot was doubled or not, what follows is a lone CR.
                    self.refuse(Problem::LineEnd);
                    self.text(State::Inside, byte)
                }
                (State::Dot, byte) => self.text(State::Inside, byte),
                (state, byte) => self.text(state, byte),
            };
        }
        (bytes.len(), false)
    }

    /// Takes bytes of a chunk (BDAT), where a dot means nothing.
    pub fn receive_chunk(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = self.text(self.state, byte);
        }
    }

    /// Gives the rest up: for a reason that lies outside of it.
    pub fn refuse(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
        self.bytes = Vec::new();
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The whole message.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub fn finish(mut self) -> Result<Vec<u8>, Problem> {
        if self.state == State::Cr {
            self.refuse(Problem::LineEnd);
        }
        let header = header(&self.bytes);
        if header.len() > self.longest_header {
            self.refuse(Problem::LongHeader);
        } else if hops(header) > self.hops {
            self.refuse(Problem::Loop);
        }
        match self.problem {
            None => Ok(self.bytes),
            Some(problem) => Err(problem),
        }
    }

    /// Takes one byte that is no dot with a meaning.
    fn text(&mut self, state: State, byte: u8) -> State {
        match (state, byte) {
            (State::Cr, b'\n') => {
                self.push(b'\r');
                self.push(b'\n');
                self.line = 0;
                State::LineStart
            }
            (State::Cr, byte) => {
                self.refuse(Problem::LineEnd);
                if byte == b'\r' { State::Cr } else { State::Inside }
            }
            (_, b'\r') => State::Cr,
            (_, b'\n') => {
                self.refuse(Problem::LineEnd);
                State::Inside
            }
            (_, byte) => {
                self.line += 1;
                if self.line > self.longest_line {
                    self.refuse(Problem::LongLine);
                }
                self.push(byte);
                State::Inside
            }
        }
    }

    fn push(&mut self, byte: u8) {
        if self.problem.is_some() {
            return;
        }
        if self.bytes.len() >= self.longest_message {
            self.refuse(Problem::TooLarge);
        } else {
            self.bytes.push(byte);
        }
    }
}

/// Everything before the first empty line.
fn header(message: &[u8]) -> &[u8] {
    if message.starts_with(b"\r\n") {
        return &[];
    }
    let end = message.windows(4).position(|window| window == b"\r\n\r\n");
    &message[..end.unwrap_or(message.len())]
}

/// How many servers it has been through.
fn hops(header: &[u8]) -> usize {
    let name = b"received:";
    let lines = header.split(|&byte| byte == b'\n');
    lines.filter(|line| line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(bytes: &[u8]) -> (Result<Vec<u8>, Problem>, usize, bool) {
        let mut content =
            Content::new(&Limits { message_bytes: 1000, text_line_bytes: 100, ..Limits::default() });
        let (taken, ended) = content.receive(bytes);
        (content.finish(), taken, ended)
    }

    #[test]
    fn a_message_ends_with_a_dot_on_its_own_line() {
        let (message, taken, ended) = take(b"a\r\n..b\r\n.c\r\n.\r\nNOOP\r\n");
        assert_eq!(message.unwrap(), b"a\r\n.b\r\nc\r\n");
        assert_eq!((taken, ended), (15, true));
        assert_eq!(take(b".\r\n"), (Ok(Vec::new()), 3, true));
    }

    #[test]
    fn nothing_can_be_smuggled() {
        let second = "MAIL FROM:<eve@example.org>\r\n";
        for end in [
            "\n.\n",
            "\n.\r\n",
            "\r.\r",
            "\r\n.\n",
            "\r\n.\r",
            "\r.\r\n",
            "\r\n\x00.\r\n",
            "\n\n.\r\n",
            "\r\n.\r\r\n",
        ] {
            let text = format!("a{end}{second}.\r\n");
            let (message, taken, ended) = take(text.as_bytes());
            assert_eq!((taken, ended), (text.len(), true), "{end:?} is no end");
            if end != "\r\n\x00.\r\n" {
                assert_eq!(message, Err(Problem::LineEnd), "{end:?}");
            }
        }
    }

    #[test]
    fn messages_are_bounded() {
        let line = "x".repeat(99);
        assert_eq!(take(format!("{}\r\n.\r\n", "x".repeat(101)).as_bytes()).0, Err(Problem::LongLine));
        let large = format!("{line}\r\n").repeat(10) + ".\r\n";
        assert_eq!(take(large.as_bytes()), (Err(Problem::TooLarge), large.len(), true));
        let limits = Limits { header_bytes: 10, hops: 2, ..Limits::default() };
        let finish = |text: &str, limits: &Limits| {
            let mut content = Content::new(limits);
            content.receive_chunk(text.as_bytes());
            content.finish()
        };
        assert_eq!(finish("Subject: long\r\n\r\n", &limits), Err(Problem::LongHeader));
        let limits = Limits { hops: 2, ..limits };
        let limits = Limits { header_bytes: 1000, ..limits };
        let twice = "Received: a\r\nRECEIVED: b\r\n";
        assert!(finish(&format!("{twice}\r\nReceived: in the text\r\n"), &limits).is_ok());
        assert_eq!(finish(&format!("{twice}Received: c\r\n\r\n"), &limits), Err(Problem::Loop));
        assert_eq!(finish("a\r", &limits), Err(Problem::LineEnd));
    }

    proptest! {
        /// What a sender stuffs, we unstuff, however it is cut.
        #[test]
        fn dots_come_through(lines in prop::collection::vec("[.a]{0,4}", 0..10), cut in 1..9_usize) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let stuffed: String = lines
                .iter()
                .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
                .collect::<String>() + ".\r\n";
            let mut content = Content::new(&Limits::default());
            let mut pieces = stuffed.as_bytes().chunks(cut).peekable();
            while let Some(piece) = pieces.next() {
                let (taken, ended) = content.receive(piece);
                prop_assert_eq!(taken, piece.len());
                prop_assert_eq!(ended, pieces.peek().is_none());
            }
            prop_assert_eq!(content.finish(), Ok(text.into_bytes()));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(prop::sample::select(b"\r\n.aR:".to_vec()), 0..200)) {
            let (message, taken, _) = take(&bytes);
            prop_assert!(taken <= bytes.len());
            if let Ok(message) = message {
                let text = String::from_utf8(message).unwrap().replace("\r\n", "");
                prop_assert!(!text.contains(['\r', '\n']));
            }
        }
    }
}
