//! Who may come in.
//!
//! A server without tokens and keys is for the people at this machine; but any page of the web that they look at can
//! send requests to this machine too. Three fields of a request that a page cannot forge keep it out: `Origin` and
//! `Sec-Fetch-Site` say which page asks, `Content-Type: application/json` makes a browser ask for leave first, and
//! `Host` uncovers a page whose name was made to point here (DNS rebinding).

use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode, Uri};
use sha2::{Digest, Sha256};

use super::Config;
use crate::doors::documents;

/// Why a request stays outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error(
        "this server does not go by the name of {0}: use localhost or its IP address, or start it with --allow-origin http://{0}"
    )]
    Host(String),
    #[error("pages of {0} may not come in: start the server with --allow-origin {0} if they shall")]
    Origin(String),
    #[error("a page of another site may not come in")]
    Site,
    #[error("the body must be JSON: send Content-Type: application/json")]
    ContentType,
    #[error("the body must be an update: send Content-Type: application/octet-stream")]
    NoUpdate,
    #[error("the API key is missing: send it as X-API-Key, or as Authorization: apikey KEY")]
    NoKey,
    #[error("the API key is wrong")]
    WrongKey,
    #[error("the HTTP API is closed: start the server with --api-key KEY to open it")]
    Closed,
}

impl Denied {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) | Self::Origin(_) | Self::Site | Self::Closed => StatusCode::FORBIDDEN,
            Self::ContentType | Self::NoUpdate => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
        }
    }

    /// A word for a metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Origin(_) => "origin",
            Self::Site => "site",
            Self::ContentType | Self::NoUpdate => "content_type",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::Closed => "closed",
        }
    }
}

/// What the way in depends on, besides the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// Whether clients must bring a token, which a foreign page does not have.
    pub(crate) tokens: bool,
    /// Whether the connection came to a loopback address.
    pub(crate) loopback: bool,
}

/// Whether a page may be shown, or a WebSocket opened: on an open server only under a name that is ours.
pub(crate) fn name<B>(config: &Config, here: Circumstances, request: &Request<B>) -> Result<(), Denied> {
    if here.tokens {
        return Ok(());
    }
    let host = host(request);
    if is_ours(config, &host) { Ok(()) } else { Err(Denied::Host(host)) }
}

/// Whether the page that asks, if one does, is ours or one of those allowed.
pub(crate) fn origin<B>(config: &Config, request: &Request<B>) -> Result<(), Denied> {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return Ok(()),
        (Some(origin), None) => String::from_utf8_lossy(origin.as_bytes()),
        (Some(_), Some(_)) => return Err(Denied::Site),
    };
    let host = host(request);
    let own = ["http://", "https://"]
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme))
        .any(|authority| authority.eq_ignore_ascii_case(&host));
    if own || config.allowed_origins.iter().any(|allowed| is_same_origin(allowed, &origin)) {
        Ok(())
    } else {
        Err(Denied::Origin(origin.into_owned()))
    }
}

/// Whether a call of the HTTP API may be made.
pub(crate) fn api<B>(config: &Config, here: Circumstances, request: &Request<B>) -> Result<(), Denied> {
    program(config, here, request, is_json(request.headers()), Denied::ContentType)
}

/// Whether a program may read or write a document.
pub(crate) fn documents<B>(config: &Config, here: Circumstances, request: &Request<B>) -> Result<(), Denied> {
    let is_told = super::is_read(request.method()) || documents::is_update(request);
    program(config, here, request, is_told, Denied::NoUpdate)
}

/// Whether a program may come in: with the key, or from this machine and not from a page of another site, which cannot
/// say of itself what this server wants to be told.
fn program<B>(
    config: &Config,
    here: Circumstances,
    request: &Request<B>,
    is_told: bool,
    otherwise: Denied,
) -> Result<(), Denied> {
    let headers = request.headers();
    if let Some(key) = &config.api_key {
        return match key_of(headers) {
            None => Err(Denied::NoKey),
            Some(given) if is_equal(given, key.as_bytes()) => Ok(()),
            Some(_) => Err(Denied::WrongKey),
        };
    }
    if !config.insecure && (here.tokens || !here.loopback) {
        return Err(Denied::Closed);
    }
    let host = host(request);
    if !is_ours(config, &host) {
        return Err(Denied::Host(host));
    }
    origin(config, request)?;
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site == b"cross-site") && !headers.contains_key(ORIGIN) {
        return Err(Denied::Site);
    }
    if is_told { Ok(()) } else { Err(otherwise) }
}

/// Whether the metrics may be read: with the key, where there is one.
pub(crate) fn metrics<B>(config: &Config, request: &Request<B>) -> Result<(), Denied> {
    match (&config.api_key, key_of(request.headers())) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Denied::NoKey),
        (Some(key), Some(given)) if is_equal(given, key.as_bytes()) => Ok(()),
        (Some(_), Some(_)) => Err(Denied::WrongKey),
    }
}

/// What the client calls us: host and perhaps port.
pub(crate) fn host<B>(request: &Request<B>) -> String {
    // RFC 9112 section 3.2.2: an absolute target wins over the field.
    if let Some(authority) = request.uri().authority() {
        return authority.as_str().to_ascii_lowercase();
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or_default().to_ascii_lowercase()
}

/// Whether `host` cannot be a name that a stranger made to point here. An address is no name, `localhost` stays at home
/// (RFC 6761 section 6.3), a name without a dot is not of the public tree; all others must be known.
fn is_ours(config: &Config, host: &str) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host().trim_end_matches('.');
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || !name.is_empty() && !name.contains('.')
        || name.ends_with(".localhost")
        || config.allowed_origins.iter().any(|origin| {
            let origin = origin.parse::<Uri>().ok();
            origin.and_then(|origin| Some(origin.host()?.eq_ignore_ascii_case(name))).unwrap_or(false)
        })
}

fn is_same_origin(allowed: &str, origin: &str) -> bool {
    allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)
}

fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let given = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = given.split_at_checked(b"apikey ".len())?;
    scheme.eq_ignore_ascii_case(b"apikey ").then(|| key.trim_ascii())
}

/// Compares hashes, so that the time it takes says nothing about the key.
fn is_equal(given: &[u8], key: &[u8]) -> bool {
    let (given, key) = (Sha256::digest(given), Sha256::digest(key));
    given.iter().zip(key.iter()).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Circumstances = Circumstances { tokens: false, loopback: true };

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::post("/api/publish");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn names_that_a_stranger_cannot_point_here_are_ours() {
        let config = Config { allowed_origins: vec!["https://Chat.example.org".into()], ..Config::default() };
        for host in [
            "localhost",
            "localhost:8000",
            "127.0.0.1:8000",
            "192.168.1.7",
            "[::1]:80",
            "nas:8000",
            "a.localhost",
            "LOCALHOST.",
            "chat.example.org:8000",
        ] {
            assert_eq!(name(&config, OPEN, &request(&[("host", host)])), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            ":8000",
        ] {
            assert!(
                matches!(name(&config, OPEN, &request(&[("host", host)])), Err(Denied::Host(_))),
                "{host}"
            );
        }
        let tokens = Circumstances { tokens: true, ..OPEN };
        assert_eq!(name(&config, tokens, &request(&[("host", "any.example")])), Ok(()));
        let absolute = Request::get("http://evil.example/").header("host", "localhost").body(()).unwrap();
        assert!(name(&config, OPEN, &absolute).is_err());
    }

    #[test]
    fn pages_of_other_sites_stay_outside() {
        let config = Config { allowed_origins: vec!["https://a.example/".into()], ..Config::default() };
        let from = |value| origin(&config, &request(&[("host", "localhost:8000"), ("origin", value)]));
        assert_eq!(origin(&config, &request(&[("host", "localhost:8000")])), Ok(()));
        for own in ["http://localhost:8000", "https://LOCALHOST:8000", "https://a.example"] {
            assert_eq!(from(own), Ok(()), "{own}");
        }
        for other in [
            "http://localhost",
            "http://localhost:80001",
            "null",
            "https://a.example.evil",
            "ftp://localhost:8000",
            "",
        ] {
            assert!(from(other).is_err(), "{other}");
        }
        let two = request(&[("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://b")]);
        assert_eq!(origin(&config, &two), Err(Denied::Site));
    }

    #[test]
    fn without_a_key_the_api_is_for_programs_at_this_machine() {
        let config = Config::default();
        let json = ("content-type", "application/json; charset=utf-8");
        let good = request(&[("host", "localhost:8000"), json]);
        assert_eq!(api(&config, OPEN, &good), Ok(()));
        assert_eq!(api(&config, Circumstances { loopback: false, ..OPEN }, &good), Err(Denied::Closed));
        assert_eq!(api(&config, Circumstances { tokens: true, ..OPEN }, &good), Err(Denied::Closed));
        let insecure = Config { insecure: true, ..Config::default() };
        assert_eq!(api(&insecure, Circumstances { loopback: false, tokens: true }, &good), Ok(()));
        let table = [
            (request(&[("host", "evil.example"), json]), "host"),
            (request(&[("host", "localhost"), json, ("origin", "http://evil.example")]), "origin"),
            (request(&[("host", "localhost"), json, ("sec-fetch-site", "cross-site")]), "site"),
            (request(&[("host", "localhost"), ("content-type", "text/plain")]), "content_type"),
            (request(&[("host", "localhost")]), "content_type"),
        ];
        for (request, label) in table {
            assert_eq!(api(&insecure, OPEN, &request).map_err(|denied| denied.label()), Err(label));
        }
    }

    #[test]
    fn with_a_key_the_key_is_all_that_counts() {
        let config = Config { api_key: Some("secret".into()), ..Config::default() };
        let with = |name, value| api(&config, OPEN, &request(&[("host", "any.example"), (name, value)]));
        assert_eq!(with("x-api-key", "secret"), Ok(()));
        assert_eq!(with("authorization", "ApiKey secret"), Ok(()));
        assert_eq!(with("x-api-key", "Secret"), Err(Denied::WrongKey));
        assert_eq!(with("x-api-key", ""), Err(Denied::WrongKey));
        assert_eq!(with("authorization", "Bearer secret"), Err(Denied::NoKey));
        assert_eq!(with("authorization", "x"), Err(Denied::NoKey));
        assert!(metrics(&config, &request(&[])).is_err());
        assert_eq!(metrics(&Config::default(), &request(&[])), Ok(()));
    }
}
