//! Lines of the control connection (RFC 959, section 5.3; RFC 854): bytes in, lines out.

use std::collections::VecDeque;

/// "Interpret as command" (RFC 854).
const IAC: u8 = 255;
/// The Telnet commands that have an option behind them: WILL, WON'T, DO, DON'T.
const NEGOTIATIONS: std::ops::RangeInclusive<u8> = 251..=254;

/// Cuts bytes into lines, and takes Telnet's commands out of them: an abort comes with two in front (RFC 959, section
/// 3.3.2).
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    bytes: VecDeque<u8>,
    line: Vec<u8>,
    /// The line under way is longer than may be; what follows is thrown away up to its end.
    too_long: bool,
    telnet: Telnet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    Text,
    Command,
    Option,
}

/// A line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is longer than may be.
    #[error("the line is too long")]
    TooLong,
    /// It is not UTF-8 (RFC 2640), or has a NUL or CR inside.
    #[error("the line is not UTF-8 text")]
    NotText,
}

impl Lines {
    /// For lines of at most `longest` bytes, the end not counted.
    pub fn new(longest: usize) -> Self {
        Self { longest, bytes: VecDeque::new(), line: Vec::new(), too_long: false, telnet: Telnet::Text }
    }

    /// Takes what came. Whoever calls this bounds it by [`waiting`](Self::waiting).
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Bytes that were not cut into lines yet.
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets everything: what came before TLS must not be taken for what came inside (RFC 4217, section 11).
    pub fn clear(&mut self) {
        *self = Self::new(self.longest);
    }

    /// The next line, without its end: CRLF, or the bare LF of a person at a terminal.
    ///
    /// # Errors
    ///
    /// When the line cannot be taken; the next call goes on behind it.
    pub fn next_line(&mut self) -> Option<Result<String, LineError>> {
        while let Some(byte) = self.bytes.pop_front() {
            match (self.telnet, byte) {
                (Telnet::Text, IAC) => self.telnet = Telnet::Command,
                (Telnet::Text, b'\n') => return Some(self.end()),
                (Telnet::Text, byte) => self.push(byte),
                (Telnet::Command, IAC) => {
                    self.telnet = Telnet::Text;
                    self.push(IAC);
                }
                (Telnet::Command, command) => {
                    let has_option = NEGOTIATIONS.contains(&command);
                    self.telnet = if has_option { Telnet::Option } else { Telnet::Text };
                }
                (Telnet::Option, _) => self.telnet = Telnet::Text,
            }
        }
        None
    }

    fn push(&mut self, byte: u8) {
        // One more for the CR that the end takes off again.
        if self.line.len() <= self.longest {
            self.line.push(byte);
        } else {
            self.too_long = true;
        }
    }

    fn end(&mut self) -> Result<String, LineError> {
        let mut line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.too_long);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if cut || line.len() > self.longest {
            return Err(LineError::TooLong);
        }
        match String::from_utf8(line) {
            Ok(line) if !line.contains(['\r', '\0']) => Ok(line),
            _ => Err(LineError::NotText),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8]) -> Vec<Result<String, LineError>> {
        let mut lines = Lines::new(16);
        lines.receive(bytes);
        std::iter::from_fn(|| lines.next_line()).collect()
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        assert_eq!(lines(b"NOOP\r\nQUIT\nLI"), [Ok("NOOP".into()), Ok("QUIT".into())]);
    }

    #[test]
    fn telnet_commands_are_taken_out() {
        assert_eq!(lines(b"\xff\xf4\xff\xf2ABOR\r\n"), [Ok("ABOR".into())]);
        assert_eq!(lines(b"N\xff\xfb\x01OOP\r\n"), [Ok("NOOP".into())]);
        assert_eq!(lines(b"a\xff\xffb\r\n"), [Err(LineError::NotText)], "a doubled IAC is a byte");
    }

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_up_to_its_end() {
        let sixteen = "0123456789abcdef";
        let text = format!("{sixteen}\r\n{sixteen}0\r\n{}\nNOOP\r\n", sixteen.repeat(5));
        let long = Err(LineError::TooLong);
        assert_eq!(lines(text.as_bytes()), [Ok(sixteen.into()), long.clone(), long, Ok("NOOP".into())]);
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1..50_usize) {
            let mut pieces = Lines::new(16);
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                pieces.receive(piece);
                found.extend(std::iter::from_fn(|| pieces.next_line()));
                prop_assert!(pieces.line.len() <= 17);
            }
            prop_assert_eq!(found, lines(&bytes));
        }
    }
}
