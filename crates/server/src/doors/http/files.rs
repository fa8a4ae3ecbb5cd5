//! Files of rooms, to whoever knows their names: `/files/ID/NAME`, whole or in part, and `/thumbnails/ID`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use application::http::{Body, date};
use bytes::Bytes;
use host::WallTime;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::{Frame, SizeHint};

use super::respond;
use crate::files::{Entry, Fetching, Id, Opened, is_safe_picture};

/// Bytes that are read at a time.
const CHUNK: usize = 256 * 1024;

/// What is asked for by a path behind `/files/` or `/thumbnails/`.
pub(super) fn id(path: &str) -> Option<Id> {
    Id::parse(path.split('/').next()?)
}

/// The file, or the part of it that is asked for.
pub(super) fn file(opened: Opened, asked: &HeaderMap) -> Response<Body> {
    let entry = opened.entry.clone();
    let etag = format!("\"{}\"", entry.sha256);
    if asked.get_all(IF_NONE_MATCH).iter().any(|tags| respond::has_tag(tags, &etag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(response.headers_mut(), &entry, &etag);
        return response;
    }
    let unchanged = asked.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    let part = match asked.get(RANGE).filter(|_| unchanged) {
        Some(range) => range.to_str().map_or(Part::Whole, |range| part(range, entry.size)),
        None => Part::Whole,
    };
    let (status, from, to) = match part {
        Part::Whole => (StatusCode::OK, 0, entry.size),
        Part::Bytes(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::None => {
            let mut response = respond::text(StatusCode::RANGE_NOT_SATISFIABLE, "the file has no such bytes");
            let range = HeaderValue::try_from(format!("bytes */{}", entry.size));
            response.headers_mut().extend(range.map(|range| (CONTENT_RANGE, range)));
            return response;
        }
    };
    let mut response = Response::new(Body::stream(Stream { opened, at: from, end: to, fetching: None }));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, &entry, &etag);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = HeaderValue::try_from(format!("bytes {from}-{}/{}", to.saturating_sub(1), entry.size));
        headers.extend(range.map(|range| (CONTENT_RANGE, range)));
    }
    response
}

/// A picture's thumbnail.
pub(super) fn thumbnail(entry: &Entry, bytes: Bytes) -> Response<Body> {
    let media_type = if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
    let mut response = Response::new(Body::whole(bytes));
    let headers = response.headers_mut();
    describe(headers, entry, &format!("\"{}-thumbnail\"", entry.sha256));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.remove(ACCEPT_RANGES);
    response
}

/// What browsers must know of a file that somebody else wrote: show it if it is a picture, else save it, and in no case
/// run it.
fn describe(headers: &mut HeaderMap, entry: &Entry, etag: &str) {
    let safe = is_safe_picture(&entry.media_type);
    headers.extend(HeaderValue::try_from(etag).map(|tag| (ETAG, tag)));
    headers.extend(HeaderValue::try_from(&entry.media_type).map(|kind| (CONTENT_TYPE, kind)));
    let shown = if safe { "inline" } else { "attachment" };
    headers.extend(
        HeaderValue::try_from(disposition(shown, &entry.name)).map(|text| (CONTENT_DISPOSITION, text)),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(LAST_MODIFIED, date(WallTime::from_unix_millis(entry.time)));
    // An id has one content for ever.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    respond::guard(headers);
}

/// RFC 6266: the name in plain letters, and as it is.
fn disposition(shown: &str, name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain: String = last
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let encoded: String = last
        .bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("{shown}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first up to before the second.
    Bytes(u64, u64),
    /// Those asked for are not there.
    None,
}

/// One range of bytes (RFC 9110, section 14.1.2). What is none, or several, is answered with the whole file, as it may be.
fn part(range: &str, size: u64) -> Part {
    let Some(range) = range.strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Part::Whole;
    }
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Err(_), Ok(0)) => Part::None,
        (Err(_), Ok(_)) if !first.is_empty() => Part::None,
        (Err(_), Ok(count)) if size > 0 => Part::Bytes(size.saturating_sub(count), size),
        (Ok(first), _) if first >= size => Part::None,
        (Ok(first), Err(_)) => Part::Bytes(first, size),
        (Ok(first), Ok(last)) if last >= first => Part::Bytes(first, last.saturating_add(1).min(size)),
        (Ok(_), Ok(_)) => Part::Whole,
        (Err(_), _) => Part::None,
    }
}

/// A file's bytes, fetched as the client takes them.
struct Stream {
    opened: Opened,
    at: u64,
    end: u64,
    fetching: Option<Fetching>,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.at >= this.end {
            return Poll::Ready(None);
        }
        let limit = CHUNK.min(usize::try_from(this.end - this.at).unwrap_or(CHUNK));
        let fetching = this.fetching.get_or_insert_with(|| this.opened.read(this.at, limit));
        let fetched = ready!(fetching.as_mut().poll(context));
        this.fetching = None;
        match fetched {
            Ok(bytes) if !bytes.is_empty() => {
                this.at += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            // The file was removed meanwhile: the client sees that fewer bytes come than were told.
            _ => {
                this.at = this.end;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        for (range, expected) in [
            ("bytes=0-499", Part::Bytes(0, 500)),
            ("bytes=9500-", Part::Bytes(9500, 10_000)),
            ("bytes=-500", Part::Bytes(9500, 10_000)),
            ("bytes=-20000", Part::Bytes(0, 10_000)),
            ("bytes=9999-20000", Part::Bytes(9999, 10_000)),
            ("bytes=10000-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=99999999999999999999-", Part::None),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=+1-4", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(part(range, 10_000), expected, "{range}");
        }
        assert_eq!(part("bytes=-5", 0), Part::None);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let text = disposition("attachment", "a/b\"; x=\"é\r\n.txt");
        assert_eq!(
            text,
            "attachment; filename=\"b_; x=____.txt\"; filename*=UTF-8''b%22%3B%20x%3D%22%C3%A9%0D%0A.txt"
        );
    }
}
