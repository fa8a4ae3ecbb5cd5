//! Replies (RFC 959, section 4.2): three digits and a text, of one line or of several.

use std::fmt;

use super::line::{LineError, Lines};

/// Lines of one reply, at most: what a client takes from a server.
const MOST_LINES: usize = 512;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code: its first digit says what came of the command.
    pub code: u16,
    /// What people read, and where the RFCs say so programs too; one for each line.
    pub lines: Vec<String>,
}

/// Bytes that are no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line has no code.
    #[error("the server does not speak FTP: {0:?}")]
    NoCode(String),
    /// A line is not text, or too long.
    #[error("the server's reply cannot be read: {0}")]
    Line(#[from] LineError),
    /// It does not end.
    #[error("the server's reply has no end")]
    Endless,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, lines: vec![text.into()] }
    }

    /// A reply of several lines.
    pub fn of_lines(code: u16, lines: Vec<String>) -> Self {
        Self { code, lines }
    }

    /// The first line.
    pub fn text(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// 1yz: the server has begun, and another reply follows.
    pub fn is_preliminary(&self) -> bool {
        self.code / 100 == 1
    }

    /// 2yz: it is done.
    pub fn is_completed(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// As it goes over the connection. The lines between the first and the last are indented, so that none is taken for
    /// the last (RFC 959, section 4.2; RFC 2389, section 3.2).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            match index {
                _ if index == last => text += &format!("{} {line}\r\n", self.code),
                0 => text += &format!("{}-{line}\r\n", self.code),
                _ => text += &format!(" {line}\r\n"),
            }
        }
        text.into_bytes()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code, self.lines.last().map_or("", String::as_str))
    }
}

/// Reads replies: bytes in, replies out.
#[derive(Debug)]
pub struct Replies {
    lines: Lines,
    begun: Option<Reply>,
}

impl Replies {
    /// For replies whose lines have at most `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Self { lines: Lines::new(longest), begun: None }
    }

    /// Takes what came.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.lines.receive(bytes);
    }

    /// Whether bytes wait that belong to no reply yet.
    pub fn is_empty(&self) -> bool {
        self.lines.waiting() == 0 && self.begun.is_none()
    }

    /// The next whole reply.
    ///
    /// # Errors
    ///
    /// When what came is none. There is no way on then.
    pub fn next_reply(&mut self) -> Option<Result<Reply, ReplyError>> {
        loop {
            let line = match self.lines.next_line()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error.into())),
            };
            let (code, more, text) = match (head(&line), &self.begun) {
                (Some((code, separator, text)), None) => (code, separator == '-', text),
                (Some((code, ' ', text)), Some(begun)) if code == begun.code => (code, false, text),
                (_, Some(begun)) => (begun.code, true, line.as_str()),
                (None, None) => return Some(Err(ReplyError::NoCode(line))),
            };
            let reply = self.begun.get_or_insert_with(|| Reply { code, lines: Vec::new() });
            reply.lines.push(text.to_owned());
            if !more {
                return self.begun.take().map(Ok);
            }
            if reply.lines.len() > MOST_LINES {
                return Some(Err(ReplyError::Endless));
            }
        }
    }
}

/// Code, separator and text of a line that begins or ends a reply.
fn head(line: &str) -> Option<(u16, char, &str)> {
    let digits = line.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let code = digits.parse().ok().filter(|code| (100..600).contains(code))?;
    match line[3..].chars().next() {
        None => Some((code, ' ', "")),
        Some(separator @ (' ' | '-')) => Some((code, separator, &line[4..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Result<Reply, ReplyError>> {
        let mut replies = Replies::new(100);
        replies.receive(bytes);
        std::iter::from_fn(|| replies.next_reply()).take(20).collect()
    }

    #[test]
    fn a_reply_of_many_lines_ends_with_its_code_and_a_space() {
        let text = b"123-First line\r\nSecond line\r\n 234 A line beginning with numbers\r\n123-not the last\r\n123 The last line\r\n200 ok\r\n";
        let replies = read(text);
        assert_eq!(replies.len(), 2);
        let first = replies[0].as_ref().unwrap();
        assert_eq!((first.code, first.lines.len()), (123, 5));
        assert_eq!(first.lines[3], "123-not the last");
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in ["SSH-2.0-OpenSSH\r\n", "99 x\r\n", "220x\r\n", "é20 x\r\n"] {
            assert!(matches!(read(text.as_bytes())[..], [Err(ReplyError::NoCode(_))]), "{text}");
        }
        let endless = "211-x\r\n".to_owned() + &" y\r\n".repeat(600);
        assert!(read(endless.as_bytes()).contains(&Err(ReplyError::Endless)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(code in 100..600_u16, lines in prop::collection::vec("[^\\r\\n\\x00]{0,20}", 1..5)) {
            let reply = Reply::of_lines(code, lines);
            let mut read = read(&reply.to_bytes());
            prop_assert_eq!(read.len(), 1);
            let mut read = read.remove(0).unwrap();
            // The lines between are indented on the way.
            let last = read.lines.len() - 1;
            for line in read.lines.iter_mut().take(last).skip(1) {
                prop_assert_eq!(line.remove(0), ' ');
            }
            prop_assert_eq!(read, reply);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
