//! What a message says, as far as a room shows it.

use bytes::Bytes;
use mail_parser::{MessageParser, MimeHeaders};

/// Attachments of one message.
const ATTACHMENTS: usize = 64;

/// Bytes of a subject, a name or an address.
const SHORT: usize = 500;

/// A message, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letter {
    /// The sender's name; empty when none is given.
    pub(super) name: String,
    /// The sender's address.
    pub(super) address: String,
    pub(super) subject: String,
    /// Plain text.
    pub(super) text: String,
    /// The sender's own id of the message, if it has one.
    pub(super) id: Option<String>,
    pub(super) attachments: Vec<Attachment>,
}

/// A file that came with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// Why a message is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has more than {ATTACHMENTS} attachments")]
pub(super) struct TooMany;

impl Letter {
    /// Reads a message from `from`, whose text is cut to `text_bytes`; the whole text is an attachment then.
    pub(super) fn read(message: &[u8], from: &str, text_bytes: usize) -> Result<Self, TooMany> {
        let Some(parsed) = MessageParser::default().parse(message) else {
            // Nothing that looks like a header: it is text.
            let letter = Self { address: line(from), ..Self::default() };
            return Ok(letter.with_text(&String::from_utf8_lossy(message), text_bytes));
        };
        let sender = parsed.from().and_then(|from| from.first());
        let address = sender.and_then(|sender| sender.address()).unwrap_or(from);
        let mut letter = Self {
            name: line(sender.and_then(|sender| sender.name()).unwrap_or_default()),
            address: line(address),
            subject: line(parsed.subject().unwrap_or_default()),
            id: parsed.message_id().map(str::to_owned),
            ..Self::default()
        };
        if parsed.attachment_count() > ATTACHMENTS {
            return Err(TooMany);
        }
        for (index, part) in parsed.attachments().enumerate() {
            let contents = part.contents();
            if contents.is_empty() {
                continue;
            }
            let name = part.attachment_name().map(file_name).filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| {
                let end = match part.content_type() {
                    Some(kind) if part.message().is_none() => extension(kind.ctype(), kind.subtype()),
                    _ => "eml",
                };
                format!("attachment-{}.{end}", index + 1)
            });
            letter.attachments.push(Attachment { name, bytes: Bytes::copy_from_slice(contents) });
        }
        let texts: Vec<_> =
            (0..parsed.text_body_count()).filter_map(|index| parsed.body_text(index)).collect();
        Ok(letter.with_text(&texts.join("\n"), text_bytes))
    }

    fn with_text(mut self, text: &str, text_bytes: usize) -> Self {
        let plain: String = text
            .chars()
            .filter(|&character| !character.is_control() || matches!(character, '\n' | '\t'))
            .collect();
        let plain = plain.trim_end();
        self.text = cut(plain, text_bytes).to_owned();
        if self.text.len() < plain.len() {
            self.text.push('…');
            let bytes = Bytes::copy_from_slice(plain.as_bytes());
            self.attachments.push(Attachment { name: "message.txt".into(), bytes });
        }
        self
    }
}

/// Text that stays on one line.
fn line(text: &str) -> String {
    let plain: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    cut(plain.trim(), SHORT).to_owned()
}

/// The last part of a path, without what no file may be called.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|character| !character.is_control()).collect();
    cut(plain.trim_matches(['.', ' ']), 200).to_owned()
}

/// At most `bytes` of `text`, in whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn extension(kind: &str, subtype: Option<&str>) -> &'static str {
    match (kind, subtype.unwrap_or_default()) {
        ("image", "jpeg") => "jpg",
        ("image", "png") => "png",
        ("image", "gif") => "gif",
        ("text", "html") => "html",
        ("text", "calendar") => "ics",
        ("text", _) => "txt",
        ("application", "pdf") => "pdf",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIXED: &str = "From: =?utf-8?q?Ad=C3=A1?= <ada@example.org>\r\nSubject: =?utf-8?b?w6k=?=\r\n evil\r\nMessage-ID: <1@example.org>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nH=E9llo\r\n\
        --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"../../a.png\"\r\n\r\niVBORw==\r\n\
        --b--\r\n";

    #[test]
    fn a_message_is_read() {
        let letter = Letter::read(MIXED.as_bytes(), "bounce@example.org", 1000).unwrap();
        assert_eq!((letter.name.as_str(), letter.address.as_str()), ("Adá", "ada@example.org"));
        assert_eq!(letter.subject, "é evil");
        assert_eq!(letter.text, "Héllo");
        assert_eq!(letter.id.as_deref(), Some("1@example.org"));
        let expected = Attachment { name: "a.png".into(), bytes: Bytes::from_static(b"\x89PNG") };
        assert_eq!(letter.attachments, [expected]);
    }

    #[test]
    fn a_long_text_is_cut_and_goes_along_whole() {
        let message = format!("Subject: x\r\n\r\n{}", "é".repeat(100));
        let letter = Letter::read(message.as_bytes(), "a@b", 51).unwrap();
        assert_eq!(letter.text, "é".repeat(25) + "…");
        assert_eq!(letter.attachments[0].name, "message.txt");
        assert_eq!(letter.attachments[0].bytes.len(), 200);
    }

    #[test]
    fn html_alone_becomes_text() {
        let message =
            b"From: a@b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b><script>x()</script></p>\r\n";
        let letter = Letter::read(message, "", 1000).unwrap();
        assert!(letter.text.contains("Hello you") && !letter.text.contains('<'), "{}", letter.text);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Letter::read(&bytes, "a@b", 100);
        }

        #[test]
        fn any_multipart_is_read(parts in prop::collection::vec("(Content-Type: (text/plain|multipart/mixed; boundary=b|message/rfc822)\r\n)?\r\n[a-z-]{0,9}\r\n", 0..20)) {
            let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
                + &parts.iter().map(|part| format!("--b\r\n{part}")).collect::<String>();
            let _ = Letter::read(message.as_bytes(), "a@b", 100);
        }
    }
}
