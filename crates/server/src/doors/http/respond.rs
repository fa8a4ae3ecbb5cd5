//! Responses, as this door makes them.

use application::http::Body;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::pages::Page;

/// A response with `body` of `content_type` that nobody may keep.
pub(in crate::doors) fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    guard(headers);
    response
}

/// A sentence for whoever asked.
pub(in crate::doors) fn text(status: StatusCode, text: impl std::fmt::Display) -> Response<Body> {
    plain(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// A value as JSON.
pub(in crate::doors) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            plain(status, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// 405, with what would be allowed.
pub(in crate::doors) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format_args!("only {allowed} is allowed here"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A file of the pages, or 304 when the client has it already.
pub(super) fn page(page: Page, asked: &HeaderMap, host: &str) -> Response<Body> {
    let known = asked.get_all(IF_NONE_MATCH).iter().any(|tags| has_tag(tags, &page.etag));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::whole(page.bytes));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
        response
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(page.etag).map(|tag| (ETAG, tag)));
    // The files' names do not change when the files do: keep them, but ask each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, content_security_policy(host));
    guard(headers);
    response
}

/// What every response says to browsers: take it for what it is, tell nobody where you found it, and let no other site
/// have it.
pub(super) fn guard(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
}

fn content_security_policy(host: &str) -> HeaderValue {
    // 'self' covers WebSocket to the same host by the standard, but not in every Safari that is still in use.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let sockets = if !host.is_empty() && host.bytes().all(is_plain) {
        format!(" ws://{host} wss://{host}")
    } else {
        String::new()
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; \
         img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether a list of entity tags names `etag`, by weak comparison (RFC 9110 section 13.1.2).
pub(super) fn has_tag(list: &HeaderValue, etag: &str) -> bool {
    let list = list.to_str().unwrap_or_default();
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
