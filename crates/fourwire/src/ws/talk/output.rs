//! What came, shown to a person or written to a pipe.

use std::fmt::Write as _;
use std::io::{self, Write};

use rustyline::ExternalPrinter;
use websocket::Kind;

/// Bytes of a binary message that a person is shown.
const SHOWN: usize = 256;

/// Where what came goes.
pub(super) struct Output {
    /// Prints above the line that is being typed.
    person: Option<Box<dyn ExternalPrinter>>,
    hex: bool,
}

impl Output {
    pub(super) fn person(printer: impl ExternalPrinter + 'static, hex: bool) -> Self {
        Self { person: Some(Box::new(printer)), hex }
    }

    pub(super) fn pipe(hex: bool) -> Self {
        Self { person: None, hex }
    }

    pub(super) fn is_for_a_person(&self) -> bool {
        self.person.is_some()
    }

    /// Whether what has come of a message may go out before the rest is there.
    pub(super) fn takes_pieces(&self) -> bool {
        self.person.is_none() && !self.hex
    }

    pub(super) fn piece(&mut self, kind: Kind, bytes: &[u8], is_last: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        if is_last && kind == Kind::Text {
            stdout.write_all(b"\n")?;
        }
        if is_last { stdout.flush() } else { Ok(()) }
    }

    pub(super) fn message(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let Some(person) = &mut self.person else {
            return match kind {
                Kind::Binary if self.hex => self.piece(Kind::Text, to_hex(payload, "").as_bytes(), true),
                kind => self.piece(kind, payload, true),
            };
        };
        let shown = match kind {
            Kind::Text => format!("< {}\n", printable(&String::from_utf8_lossy(payload))),
            Kind::Binary => {
                let hex = to_hex(&payload[..payload.len().min(SHOWN)], " ");
                let rest = if payload.len() > SHOWN { " …" } else { "" };
                format!("< {} bytes: {hex}{rest}\n", payload.len())
            }
        };
        person.print(shown).map_err(io::Error::other)
    }

    /// Says something that did not come from the peer's program.
    pub(super) fn remark(&mut self, remark: &str) {
        match &mut self.person {
            Some(person) => _ = person.print(format!("* {remark}\n")),
            None => eprintln!("{remark}"),
        }
    }
}

/// The text with what could command the terminal made visible.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => character,
            character if character.is_control() => char::REPLACEMENT_CHARACTER,
            character => character,
        })
        .collect()
}

fn to_hex(bytes: &[u8], between: &str) -> String {
    let mut hex = String::with_capacity(bytes.len() * (2 + between.len()));
    for (index, byte) in bytes.iter().enumerate() {
        let between = if index == 0 { "" } else { between };
        let _ = write!(hex, "{between}{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\tc"), "a\u{fffd}[2Jb\u{fffd}\n\tc");
    }

    #[test]
    fn bytes_in_hexadecimal() {
        assert_eq!((to_hex(&[0, 255], " "), to_hex(&[0, 255], "")), ("00 ff".to_owned(), "00ff".to_owned()));
    }
}
