//! What can be wrong with a request before any handler has seen it, or while one waits for it.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;

/// A request that was refused by the protocol itself, whatever it asked for. The connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The request line is not one.
    RequestLine,
    /// A header field is malformed.
    HeaderField,
    /// The fields that frame the body contradict each other or make no sense (RFC 9112 section 6).
    Framing,
    /// No `Host`, or more than one (RFC 9112 section 3.2).
    Host,
    /// The request target alone is longer than a whole head may be.
    TargetTooLong,
    /// The head has more bytes than the limit.
    HeadTooLarge,
    /// The head has more fields than the limit.
    TooManyFields,
    /// Not HTTP/1.
    Version,
    /// The head did not come in time.
    HeadTimeout,
    /// The body did not come in time.
    BodyTimeout,
    /// The handler did not answer in time.
    HandlerTimeout,
}

impl Problem {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::RequestLine | Self::HeaderField | Self::Framing | Self::Host => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HandlerTimeout => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::HeaderField => "header_field",
            Self::Framing => "framing",
            Self::Host => "host",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::Version => "version",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::HandlerTimeout => "handler_timeout",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::RequestLine => "The request line is malformed: METHOD SP TARGET SP HTTP/1.1 is expected.",
            Self::HeaderField => "A header field is malformed.",
            Self::Framing => "Content-Length and Transfer-Encoding do not say where the body ends.",
            Self::Host => "Exactly one Host field is expected.",
            Self::TargetTooLong => "The request target is too long.",
            Self::HeadTooLarge => "The header fields are too large.",
            Self::TooManyFields => "There are too many header fields.",
            Self::Version => "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
            Self::HeadTimeout => "The request's head did not come in time.",
            Self::BodyTimeout => "The request's body did not come in time.",
            Self::HandlerTimeout => "The server did not find an answer in time: try again later.",
        }
    }

    /// What is wrong with a head that hyper refused, of which `rest` was not consumed.
    pub(super) fn of_head(error: &hyper::Error, rest: &Bytes, max_fields: usize, max_bytes: usize) -> Self {
        if error.is_parse_version_h2() {
            return Self::Version;
        }
        let mut fields = vec![httparse::EMPTY_HEADER; max_fields];
        match httparse::Request::new(&mut fields).parse(rest) {
            Err(httparse::Error::Version) if speaks_other_version(rest) => Self::Version,
            Err(httparse::Error::TooManyHeaders) => Self::TooManyFields,
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => Self::HeaderField,
            Err(_) if !has_line(rest, max_bytes) => Self::RequestLine,
            Err(httparse::Error::NewLine) => Self::HeaderField,
            Err(_) => Self::RequestLine,
            _ if !error.is_parse_too_large() => Self::Framing,
            Ok(httparse::Status::Partial) if !has_line(rest, max_bytes) => Self::TargetTooLong,
            Ok(_) => Self::HeadTooLarge,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// Whether the request line is whole.
fn has_line(head: &[u8], within: usize) -> bool {
    head[..head.len().min(within)].contains(&b'\n')
}

/// Whether the request line ends in a version that exists but is not ours, rather than in nonsense.
fn speaks_other_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').find(|line| !line.is_empty());
    let version = line.and_then(|line| line.rsplit(|&byte| byte == b' ').next()).unwrap_or_default();
    version.strip_prefix(b"HTTP/").is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}
