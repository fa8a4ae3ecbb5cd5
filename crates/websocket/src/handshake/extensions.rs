//! The Sec-WebSocket-Extensions header (RFC 6455, section 9.1), read in one pass over its bytes.

use std::borrow::Cow;
use std::fmt;

/// Extensions in one header, all its lines together.
const MOST_EXTENSIONS: usize = 32;
/// Parameters of one extension.
const MOST_PARAMETERS: usize = 32;

/// One extension that is offered or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its name: a token.
    pub name: &'a str,
    /// In the order in which they stand there.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name: a token.
    pub name: &'a str,
    /// Its value, a token too; without the quotes where it was quoted.
    pub value: Option<Cow<'a, str>>,
}

/// The header does not follow the grammar, or lists more than anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sec-WebSocket-Extensions does not follow the grammar of RFC 6455, section 9.1")
    }
}

impl std::error::Error for Malformed {}

/// Reads all lines of the header, as if they were one list.
///
/// # Errors
///
/// [`Malformed`] at the first octet that the grammar does not allow, or beyond 32 extensions or 32 parameters.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Extension<'a>>, Malformed> {
    let mut extensions = Vec::new();
    for line in lines {
        let mut reader = Reader { rest: line };
        loop {
            // Empty elements are allowed in a list (RFC 9110, section 5.6.1).
            reader.skip_blanks();
            if reader.rest.is_empty() {
                break;
            }
            if reader.take(b',') {
                continue;
            }
            if extensions.len() == MOST_EXTENSIONS {
                return Err(Malformed);
            }
            extensions.push(reader.extension()?);
            reader.skip_blanks();
            if !reader.rest.is_empty() && !reader.take(b',') {
                return Err(Malformed);
            }
        }
    }
    Ok(extensions)
}

/// What is still to be read. Every step takes a piece off its front, so that the whole is linear.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn extension(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        loop {
            self.skip_blanks();
            if !self.take(b';') {
                return Ok(Extension { name, parameters });
            }
            if parameters.len() == MOST_PARAMETERS {
                return Err(Malformed);
            }
            self.skip_blanks();
            parameters.push(self.parameter()?);
        }
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, Malformed> {
        let name = self.token()?;
        self.skip_blanks();
        if !self.take(b'=') {
            return Ok(Parameter { name, value: None });
        }
        self.skip_blanks();
        let value = if self.take(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()?) };
        Ok(Parameter { name, value: Some(value) })
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let length = self.rest.iter().position(|&octet| !is_token(octet)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        if token.is_empty() {
            return Err(Malformed);
        }
        std::str::from_utf8(token).map_err(|_| Malformed)
    }

    /// The rest of a quoted string. What it says must be a token as well.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let plain = self.rest.iter().position(|&octet| !is_token(octet)).ok_or(Malformed)?;
        let (head, rest) = self.rest.split_at(plain);
        let head = std::str::from_utf8(head).map_err(|_| Malformed)?;
        self.rest = rest;
        if self.take(b'"') {
            return if head.is_empty() { Err(Malformed) } else { Ok(Cow::Borrowed(head)) };
        }
        let mut value = String::from(head);
        loop {
            let (&octet, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            let octet = match octet {
                b'"' if value.is_empty() => return Err(Malformed),
                b'"' => return Ok(Cow::Owned(value)),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first().ok_or(Malformed)?;
                    self.rest = rest;
                    escaped
                }
                plain => plain,
            };
            if !is_token(octet) {
                return Err(Malformed);
            }
            value.push(char::from(octet));
        }
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        self.rest = &self.rest[blanks..];
    }

    fn take(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

/// Whether `octet` may stand in a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}
