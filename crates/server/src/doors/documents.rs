//! The doors to documents: which requests open a connection to them, and what programs may ask of them.
//!
//! `/yjs/NAME` is for npm `y-websocket`, `/hocuspocus` for npm `@hocuspocus/provider`; programs ask at
//! `/documents/NAME`.

use application::http::{Body, RequestBody};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode, Uri};
use hub::document::api::{Answer, Reply, Request as Asked};
use hub::document::{Framing, Opening};

use super::http::Rooms;
use super::http::respond;

/// The beginning of paths for programs.
pub(crate) const PATH: &str = "/documents/";

/// What connections for documents are opened for, if that is such a request.
pub(crate) fn opening(uri: &Uri) -> Option<Opening> {
    let path = uri.path();
    let (framing, document) = match path.strip_prefix("/yjs/") {
        Some(name) => (Framing::YWebsocket, decode(name, false)?),
        None if path.trim_end_matches('/') == "/hocuspocus" => (Framing::Hocuspocus, String::new()),
        None => return None,
    };
    let token = parameter(uri, "token").unwrap_or_default();
    let read_only = parameter(uri, "access").is_some_and(|access| access == "read");
    Some(Opening { framing, document, token, read_only })
}

/// Answers a program.
pub(crate) async fn answer<R: Rooms>(
    rooms: &R,
    request: Request<RequestBody>,
    limit: usize,
) -> Response<Body> {
    let path = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    let Some(document) = decode(path, false).filter(|name| !name.is_empty()) else {
        return respond::text(StatusCode::NOT_FOUND, "name a document: /documents/NAME, in UTF-8");
    };
    let is_revert = parameter(request.uri(), "revert").is_some();
    let asked = match *request.method() {
        Method::GET | Method::HEAD => match parameter(request.uri(), "text") {
            Some(name) => Asked::Text(name),
            None => Asked::State,
        },
        Method::POST => match request.into_body().collect(limit).await {
            Ok(state) if is_revert => Asked::Revert(state),
            Ok(update) => Asked::Apply(update),
            Err(error) => return respond::text(error.status(), error),
        },
        _ => return respond::method_not_allowed("GET, HEAD, POST"),
    };
    tell(rooms.document(document, asked).await)
}

fn tell(reply: Option<Reply>) -> Response<Body> {
    match reply {
        Some(Ok(Answer::State(state))) => respond::plain(StatusCode::OK, "application/octet-stream", state),
        Some(Ok(Answer::Text(text))) => respond::plain(StatusCode::OK, "text/plain; charset=utf-8", text),
        Some(Ok(Answer::Done)) => respond::plain(StatusCode::NO_CONTENT, "text/plain", Bytes::new()),
        Some(Err(error)) => {
            let status =
                if error.is_temporary() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
            respond::text(status, error.message)
        }
        None => respond::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "no answer in time: it may or may not be done, try again",
        ),
    }
}

/// Whether a body of this kind is one that no page of another site can send without asking first.
pub(crate) fn is_update<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.eq_ignore_ascii_case("application/octet-stream")
}

/// The value of a parameter of the query.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).and_then(|(_, value)| decode(value, true))
}

/// Takes percent-encoding back (RFC 3986, section 2.1), and in a query `+`, which stands for a space there. `None` for
/// what is not UTF-8 then, or not encoded so.
fn decode(text: &str, is_query: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' if is_query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_which_document_and_who_asks() {
        let open = |uri: &str| opening(&uri.parse().unwrap());
        let opening = open("/yjs/team/plan%20B%c3%bc?token=a%2Bb&access=read").unwrap();
        assert_eq!((opening.framing, opening.document.as_str()), (Framing::YWebsocket, "team/plan Bü"));
        assert_eq!((opening.token.as_str(), opening.read_only), ("a+b", true));
        assert_eq!(open("/hocuspocus").unwrap().framing, Framing::Hocuspocus);
        assert_eq!(open("/hocuspocus/").unwrap().framing, Framing::Hocuspocus);
        for other in ["/", "/yjs", "/yjs/%ff", "/yjs/%2", "/connection/websocket"] {
            assert_eq!(open(other), None, "{other}");
        }
    }
}
