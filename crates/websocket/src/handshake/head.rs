//! Heads of HTTP/1.1 messages on a connection: reading one, writing one.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io::{self, IoSlice};

use bytes::Bytes;
use host::Connection;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::Error;

/// Header lines in one head.
const MOST_LINES: usize = 100;

/// Bytes that one read may bring: what comes with the head's end is kept, so this bounds it.
const READ_BYTES: usize = 2048;

/// Reads up to the end of a head. Returns it and what came after it.
pub(super) async fn read<C: Connection>(connection: &mut C, limit: usize) -> Result<(Vec<u8>, Bytes), Error> {
    let mut head = Head::default();
    loop {
        poll_fn(|context| connection.poll_readable(context)).await?;
        let mut chunk = [0; READ_BYTES];
        match connection.try_read(&mut chunk) {
            Ok(0) => return Err(Error::Closed),
            Ok(length) => {
                if let Some(whole) = head.push(&chunk[..length], limit)? {
                    return Ok(whole);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A head that is coming in. Each byte is looked at once here and once by the parser, however the peer cuts its bytes.
#[derive(Default)]
pub(crate) struct Head(Vec<u8>);

impl Head {
    /// Adds what came. Once the head is whole, it and what came after it are returned.
    pub(crate) fn push(&mut self, chunk: &[u8], limit: usize) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        let Self(head) = self;
        let searched = head.len();
        head.extend_from_slice(chunk);
        if let Some(end) = find_end(head, searched) {
            let after = Bytes::copy_from_slice(&head[end..]);
            head.truncate(end);
            if end > limit {
                return Err(Error::HeadTooLarge { limit });
            }
            return Ok(Some((std::mem::take(head), after)));
        }
        if head.len() >= limit { Err(Error::HeadTooLarge { limit }) } else { Ok(None) }
    }
}

/// Where the head ends: after an empty line. What lies before `searched` was looked at before.
fn find_end(head: &[u8], searched: usize) -> Option<usize> {
    // The line's end may be cut in the middle: CR LF CR | LF.
    let start = searched.saturating_sub(3);
    let found = head[start..].iter().enumerate().find(|&(index, &octet)| {
        let before = &head[..start + index];
        octet == b'\n' && (before.ends_with(b"\n") || before.ends_with(b"\n\r"))
    });
    found.map(|(index, _)| start + index + 1)
}

/// Writes all of `bytes`.
pub(super) async fn write<C: Connection>(connection: &mut C, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        poll_fn(|context| connection.poll_writable(context)).await?;
        match connection.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Throws away what the peer still sends, until it ends its direction or has sent `most` bytes.
pub(super) async fn discard<C: Connection>(connection: &mut C, most: usize) -> io::Result<()> {
    let mut discarded = 0;
    while discarded < most {
        poll_fn(|context| connection.poll_readable(context)).await?;
        let mut chunk = [0; READ_BYTES];
        match connection.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => discarded += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a request's head.
pub(crate) fn parse_request(head: &[u8]) -> Result<http::Request<()>, httparse::Error> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut parsed = httparse::Request::new(&mut lines);
    complete(parsed.parse(head)?)?;
    let mut request = http::Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())
        .map_err(|_| httparse::Error::Token)?;
    *request.uri_mut() =
        Uri::try_from(parsed.path.unwrap_or_default()).map_err(|_| httparse::Error::Token)?;
    *request.version_mut() = version(parsed.version);
    *request.headers_mut() = headers(parsed.headers)?;
    Ok(request)
}

/// Reads a response's head.
pub(crate) fn parse_response(head: &[u8]) -> Result<http::Response<()>, httparse::Error> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut parsed = httparse::Response::new(&mut lines);
    complete(parsed.parse(head)?)?;
    let mut response = http::Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| httparse::Error::Status)?;
    *response.version_mut() = version(parsed.version);
    *response.headers_mut() = headers(parsed.headers)?;
    Ok(response)
}

/// A response's head as bytes, for HTTP/1.1.
pub(crate) fn response<B>(response: &http::Response<B>) -> Vec<u8> {
    let status = response.status();
    let mut head = String::new();
    write!(head, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())
        .expect("writing to a string cannot fail");
    let mut head = head.into_bytes();
    lines(&mut head, response.headers());
    head
}

/// Appends header lines, and the empty line that ends them. A `HeaderValue` cannot hold a line's end.
pub(super) fn lines(head: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

fn complete(status: httparse::Status<usize>) -> Result<(), httparse::Error> {
    match status {
        httparse::Status::Complete(_) => Ok(()),
        // Only an empty line before the first one looks like an end and is none.
        httparse::Status::Partial => Err(httparse::Error::NewLine),
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 }
}

fn headers(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, httparse::Error> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for line in parsed {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| httparse::Error::HeaderValue)?;
        headers.try_append(name, value).map_err(|_| httparse::Error::TooManyHeaders)?;
    }
    Ok(headers)
}
