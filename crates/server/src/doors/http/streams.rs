//! The way into the streaming doors, also for pages of other origins (the Fetch standard's CORS protocol).

use application::http::{Body, RequestBody};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hub::Protocol;

use super::{Door, Rooms, access, respond};
use crate::doors::stream::Shape;
use crate::emulation::Unposted;

/// The field of a query in which an `EventSource`, which cannot post, brings its first commands.
const CONNECT: &str = "cf_connect";

/// What a client of a streaming door asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A response of lines, or of Protobuf messages.
    Bare,
    /// A response of server-sent events.
    Events,
    /// To take what it says to its session.
    Emulation,
}

impl Endpoint {
    fn methods(self) -> &'static str {
        match self {
            Self::Bare | Self::Emulation => "POST, OPTIONS",
            Self::Events => "GET, POST, OPTIONS",
        }
    }
}

impl<R: Rooms> Door<R> {
    pub(super) async fn streams(&self, endpoint: Endpoint, request: Request<RequestBody>) -> Response<Body> {
        let allowed = access::name(&self.config, self.here, &request)
            .and_then(|()| access::origin(&self.config, &request));
        if let Err(denied) = allowed {
            return self.deny(&denied);
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = self.stream(endpoint, request).await;
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    async fn stream(&self, endpoint: Endpoint, request: Request<RequestBody>) -> Response<Body> {
        let protocol = protocol(request.headers());
        let said = match (request.method().clone(), endpoint) {
            (Method::OPTIONS, _) => return preflight(endpoint),
            (Method::GET, Endpoint::Events) => {
                match query(request.uri().query().unwrap_or_default(), CONNECT) {
                    Some(first) => Bytes::from(first),
                    None => {
                        let missing = format_args!("the first command is missing: bring it as {CONNECT}");
                        return respond::text(StatusCode::BAD_REQUEST, missing);
                    }
                }
            }
            (Method::POST, _) => match request.into_body().collect(self.config.body_bytes).await {
                Ok(body) => body,
                Err(error) => return respond::text(error.status(), error),
            },
            _ => return respond::method_not_allowed(endpoint.methods()),
        };
        match endpoint {
            Endpoint::Bare => self.open(Shape::Bare(protocol), &said),
            Endpoint::Events => self.open(Shape::Events, &said),
            Endpoint::Emulation => match protocol.emulated(&said) {
                None => respond::text(StatusCode::BAD_REQUEST, "this is no request to a session"),
                Some((session, frame)) => match self.rooms.post(&session, frame) {
                    Ok(()) => empty(StatusCode::NO_CONTENT),
                    Err(error @ Unposted::Unknown) => respond::text(StatusCode::NOT_FOUND, error),
                    Err(error @ Unposted::Full) => respond::text(StatusCode::TOO_MANY_REQUESTS, error),
                },
            },
        }
    }

    fn open(&self, shape: Shape, first: &[u8]) -> Response<Body> {
        let mut response = Response::new(self.rooms.stream(shape, first));
        let content_type = match shape {
            Shape::Events => "text/event-stream; charset=utf-8",
            Shape::Bare(Protocol::Json) => "application/json",
            Shape::Bare(Protocol::Protobuf) => "application/octet-stream",
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        // nginx would hold the stream back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        respond::guard(headers);
        response
    }
}

fn preflight(endpoint: Endpoint) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(endpoint.methods()));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    respond::guard(response.headers_mut());
    response
}

/// What the body of a request is written in.
fn protocol(headers: &HeaderMap) -> Protocol {
    match headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/octet-stream") => Protocol::Protobuf,
        _ => Protocol::Json,
    }
}

/// The value of a field of a query (`application/x-www-form-urlencoded`).
fn query(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(field, _)| *field == name)?;
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_query_is_decoded() {
        let found = |text| query(text, "cf_connect").map(|value| String::from_utf8(value).unwrap());
        assert_eq!(found("a=b&cf_connect=%7B%22id%22%3a1+%7D&c="), Some("{\"id\":1 }".into()));
        assert_eq!(found("cf_connect="), Some(String::new()));
        for none in ["", "cf_connect", "xcf_connect=1", "cf_connect=%7", "cf_connect=%zz"] {
            assert_eq!(found(none), None, "{none}");
        }
    }
}
