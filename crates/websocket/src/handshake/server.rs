//! The server's side of the opening handshake (RFC 6455, section 4.2).

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use host::{Connection, Runtime};
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};

use super::extensions::{self, is_token};
use super::{Error, Opened, VERSION, accept_value, elements, head, lists, single};
use crate::deflate;

/// How long a refused client may take to read why, and how much of what it still sends is thrown away meanwhile: with
/// unread bytes the network would reset the connection under our answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// What a server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Subprotocols that we speak, the dearest first. A client that offers none of them gets none.
    pub subprotocols: Vec<String>,
    /// How we compress, if at all.
    pub deflate: Option<deflate::Options>,
    /// Context takeover is granted only while the contexts for it fit.
    pub deflate_budget: deflate::Budget,
    /// Which pages may connect.
    pub origins: Origins,
    /// The longest request head that [`accept`] reads, in bytes.
    pub head_bytes: usize,
    /// How long [`accept`] takes at most.
    pub time: Duration,
}

impl Default for Options {
    /// No subprotocol, the default compression, pages of our own host; 8 KiB and 10 seconds.
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            deflate: Some(deflate::Options::default()),
            deflate_budget: deflate::Budget::process(),
            origins: Origins::SameHost,
            head_bytes: 8 * 1024,
            time: Duration::from_secs(10),
        }
    }
}

/// Which pages may connect. Programs other than browsers send no Origin, and always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page of every site.
    Any,
    /// Pages that came from the host and port that the request names.
    SameHost,
    /// Pages of these origins (`https://example.org`), compared without regard to case.
    Listed(Vec<String>),
}

/// A request that becomes a WebSocket.
#[derive(Debug)]
pub struct Accepted {
    /// 101, with all headers that it needs. Others may be added.
    pub response: http::Response<()>,
    /// The one that was chosen of those offered.
    pub subprotocol: Option<String>,
    /// The compression that was chosen.
    pub deflate: Option<deflate::Agreed>,
}

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// 405.
    #[error("the method must be GET")]
    Method,
    /// 400.
    #[error("the handshake needs HTTP/1.1")]
    HttpVersion,
    /// 400.
    #[error("there must be one Host header, and not an empty one")]
    Host,
    /// 426.
    #[error("this address speaks WebSocket: the Upgrade header must list websocket")]
    Upgrade,
    /// 400.
    #[error("the Connection header must list Upgrade")]
    Connection,
    /// 426, with the version that we speak.
    #[error("Sec-WebSocket-Version must be 13")]
    WebSocketVersion,
    /// 400.
    #[error("there must be one Sec-WebSocket-Key, 16 bytes in base64")]
    Key,
    /// 400.
    #[error("a handshake has no body")]
    Body,
    /// 403.
    #[error("pages of this origin may not connect")]
    Origin,
    /// 400.
    #[error("Sec-WebSocket-Protocol must list tokens")]
    Subprotocols,
    /// 400.
    #[error("Sec-WebSocket-Extensions does not follow its grammar")]
    Extensions,
}

impl Rejected {
    /// The status that tells the client.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::HttpVersion
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Body
            | Self::Subprotocols
            | Self::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// The whole response, with the reason as its body.
    pub fn response(self) -> http::Response<String> {
        let mut response = refusal(self.status(), self.to_string());
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::Upgrade | Self::WebSocketVersion => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade, close"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            _ => {}
        }
        response
    }
}

/// Checks a client's opening handshake and answers it (section 4.2).
///
/// # Errors
///
/// [`Rejected`], which knows the response that goes with it.
pub fn respond<B>(request: &http::Request<B>, options: &Options) -> Result<Accepted, Rejected> {
    let headers = request.headers();
    let key = check(request)?;
    if !options.origins.allow(headers) {
        return Err(Rejected::Origin);
    }
    let subprotocol = choose_subprotocol(headers, &options.subprotocols)?;
    let deflate = choose_deflate(headers, options)?;

    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, visible(&accept_value(key)));
    if let Some(subprotocol) = &subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, visible(subprotocol));
    }
    let deflate = deflate.map(|(agreed, answer)| {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, visible(&answer));
        agreed
    });
    Ok(Accepted { response, subprotocol, deflate })
}

/// Reads a request from a new connection and answers it, within [`Options::head_bytes`] and [`Options::time`].
///
/// # Errors
///
/// As [`Error`] has it. The client was told why, where it still could be, and the connection is closed.
pub async fn accept<C: Connection, R: Runtime>(
    mut connection: C,
    runtime: &R,
    options: &Options,
) -> Result<Opened<C, http::Request<()>>, Error> {
    let deadline = runtime.now() + options.time;
    let answered = host::timeout_at(runtime, deadline, answer(&mut connection, options)).await;
    let error = match answered.unwrap_or(Err(Error::TimedOut)) {
        Ok((request, accepted, already_read)) => {
            let Accepted { response: _, subprotocol, deflate } = accepted;
            return Ok(Opened { connection, head: request, subprotocol, deflate, already_read });
        }
        Err(error) => error,
    };
    if let Some(response) = response_to(&error) {
        let deadline = runtime.now() + LINGER;
        // Whether the client hears it or not, it is refused.
        let _ = host::timeout_at(runtime, deadline, refuse(&mut connection, &response)).await;
    }
    Err(error)
}

async fn answer<C: Connection>(
    connection: &mut C,
    options: &Options,
) -> Result<(http::Request<()>, Accepted, bytes::Bytes), Error> {
    let (bytes, already_read) = head::read(connection, options.head_bytes).await?;
    let request = head::parse_request(&bytes).map_err(Error::NotHttp)?;
    let accepted = respond(&request, options)?;
    head::write(connection, &head::response(&accepted.response)).await?;
    Ok((request, accepted, already_read))
}

/// What a client is told, where there is somebody to tell.
fn response_to(error: &Error) -> Option<http::Response<String>> {
    let status = match error {
        Error::Rejected(rejected) => return Some(rejected.response()),
        Error::NotHttp(httparse::Error::TooManyHeaders) | Error::HeadTooLarge { .. } => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Error::NotHttp(_) => StatusCode::BAD_REQUEST,
        Error::TimedOut => StatusCode::REQUEST_TIMEOUT,
        _ => return None,
    };
    Some(refusal(status, error.to_string()))
}

fn refusal(status: StatusCode, reason: String) -> http::Response<String> {
    let mut response = http::Response::new(format!("{reason}\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn refuse<C: Connection>(connection: &mut C, response: &http::Response<String>) -> std::io::Result<()> {
    let mut bytes = {
        let (mut parts, body) = response.clone().into_parts();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        head::response(&http::Response::from_parts(parts, ()))
    };
    bytes.extend_from_slice(response.body().as_bytes());
    head::write(connection, &bytes).await?;
    poll_fn(|context| Pin::new(&mut *connection).poll_shutdown(context)).await?;
    head::discard(connection, LINGER_BYTES).await
}

/// The checks of section 4.2.1. Returns the key.
fn check<B>(request: &http::Request<B>) -> Result<&[u8], Rejected> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Rejected::Method);
    }
    if request.version() != Version::HTTP_11 {
        return Err(Rejected::HttpVersion);
    }
    if single(headers, HOST).is_none_or(<[u8]>::is_empty) {
        return Err(Rejected::Host);
    }
    if !lists(headers, UPGRADE, "websocket") {
        return Err(Rejected::Upgrade);
    }
    if !lists(headers, CONNECTION, "upgrade") {
        return Err(Rejected::Connection);
    }
    if single(headers, SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
        return Err(Rejected::WebSocketVersion);
    }
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
    {
        return Err(Rejected::Body);
    }
    single(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Rejected::Key)
}

/// Base64 of 16 bytes. What the last character says beyond them is nobody's business (RFC 4648, section 3.5).
fn is_key(key: &[u8]) -> bool {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
    );
    let mut nonce = [0; 18];
    key.len() == 24 && LENIENT.decode_slice(key, &mut nonce) == Ok(16)
}

impl Origins {
    fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin.as_bytes(),
            (Some(_), Some(_)) => return *self == Self::Any,
        };
        match self {
            Self::Any => true,
            Self::SameHost => {
                let host = single(headers, HOST).unwrap_or_default();
                let prefixes: [&[u8]; 2] = [b"http://", b"https://"];
                prefixes
                    .iter()
                    .filter_map(|prefix| origin.strip_prefix(*prefix))
                    .any(|authority| authority.eq_ignore_ascii_case(host))
            }
            Self::Listed(listed) => {
                listed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
            }
        }
    }
}

fn choose_subprotocol(headers: &HeaderMap, spoken: &[String]) -> Result<Option<String>, Rejected> {
    let mut best = None;
    for offered in elements(headers, SEC_WEBSOCKET_PROTOCOL) {
        if !offered.iter().all(|&octet| is_token(octet)) {
            return Err(Rejected::Subprotocols);
        }
        let rank = spoken.iter().position(|subprotocol| subprotocol.as_bytes() == offered);
        best = match (best, rank) {
            (Some(best), Some(rank)) => Some(rank.min(best)),
            (best, rank) => best.or(rank),
        };
    }
    Ok(best.map(|rank| spoken[rank].clone()))
}

/// The first offer that can be granted.
fn choose_deflate(
    headers: &HeaderMap,
    options: &Options,
) -> Result<Option<(deflate::Agreed, String)>, Rejected> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
    let offered = extensions::parse(lines).map_err(|_| Rejected::Extensions)?;
    let Some(deflate) = &options.deflate else { return Ok(None) };
    Ok(offered.iter().find_map(deflate::Offer::parse).map(|offer| {
        let granted = deflate.accept(&offer);
        if options.deflate_budget.has_room(granted.0.server_bytes()) {
            return granted;
        }
        let thrifty =
            deflate::Options { server_context_takeover: false, client_context_takeover: false, ..*deflate };
        thrifty.accept(&offer)
    }))
}

/// A header value of what we made ourselves, or checked to be a token.
fn visible(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("tokens, base64 and our own answers are visible ASCII")
}
