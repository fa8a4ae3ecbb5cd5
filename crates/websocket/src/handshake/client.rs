//! The client's side of the opening handshake (RFC 6455, section 4.1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host::{Connection, Runtime};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{StatusCode, Version};

use super::extensions::{self, is_token};
use super::{Error, Opened, VERSION, accept_value, head, lists, single};
use crate::deflate;

/// Headers that the handshake itself writes.
const OURS: [HeaderName; 10] = [
    HOST,
    UPGRADE,
    CONNECTION,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_ACCEPT,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
];

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The Host header: a name or an address, and the port where it is not the scheme's own.
    pub host: String,
    /// Path and query, such as `/chat?room=1`.
    pub path: String,
    /// Headers beside those of the handshake, such as Origin, Authorization or Cookie.
    pub headers: HeaderMap,
    /// Subprotocols that we speak, the dearest first.
    pub subprotocols: Vec<String>,
    /// The compression that we offer, if any.
    pub deflate: Option<deflate::Options>,
    /// The longest response head that [`connect`] reads, in bytes.
    pub head_bytes: usize,
    /// How long [`connect`] takes at most.
    pub time: Duration,
}

impl Request {
    /// A request for `path` at `host`, with neither subprotocols nor compression; 16 KiB and 10 seconds for the answer.
    pub fn new(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            path: path.into(),
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            deflate: None,
            head_bytes: 16 * 1024,
            time: Duration::from_secs(10),
        }
    }
}

/// A handshake that was begun: the bytes to send, and what must come back.
#[derive(Debug)]
pub struct Handshake<'a> {
    request: &'a Request,
    key: String,
    bytes: Vec<u8>,
}

/// What a server's answer settled.
#[derive(Debug)]
pub struct Confirmed {
    /// The one that the server chose of those offered.
    pub subprotocol: Option<String>,
    /// The compression that the server granted.
    pub deflate: Option<deflate::Agreed>,
}

impl<'a> Handshake<'a> {
    /// Writes the request. `nonce` must be unpredictable, and another one for each handshake.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] when a part of the request cannot stand in one: nothing that `request` holds can add a line
    /// to it or change those of the handshake.
    pub fn new(request: &'a Request, nonce: [u8; 16]) -> Result<Self, Error> {
        check_request(request)?;
        let key = STANDARD.encode(nonce);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, value(&request.host)?);
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, value(&key)?);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        if !request.subprotocols.is_empty() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value(&request.subprotocols.join(", "))?);
        }
        if let Some(options) = &request.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, value(&options.offer())?);
        }
        for (name, value) in &request.headers {
            headers.append(name, value.clone());
        }
        let mut bytes = format!("GET {} HTTP/1.1\r\n", request.path).into_bytes();
        head::lines(&mut bytes, &headers);
        Ok(Self { request, key, bytes })
    }

    /// What goes to the server.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the server's answer.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] when it is not 101, [`Error::Answer`] when it is, but must not be believed.
    pub fn confirm<B>(&self, response: &http::Response<B>) -> Result<Confirmed, Error> {
        let headers = response.headers();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let mut answered = http::Response::new(());
            *answered.status_mut() = response.status();
            *answered.version_mut() = response.version();
            *answered.headers_mut() = headers.clone();
            return Err(Error::Status(Box::new(answered)));
        }
        if response.version() != Version::HTTP_11 {
            return refuse("its HTTP version is not 1.1");
        }
        if !single(headers, UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket")) {
            return refuse("its Upgrade header is not websocket");
        }
        if !lists(headers, CONNECTION, "upgrade") {
            return refuse("its Connection header does not list Upgrade");
        }
        if single(headers, SEC_WEBSOCKET_ACCEPT) != Some(accept_value(self.key.as_bytes()).as_bytes()) {
            return refuse("its Sec-WebSocket-Accept does not belong to our key");
        }
        Ok(Confirmed { subprotocol: self.subprotocol(headers)?, deflate: self.deflate(headers)? })
    }

    fn subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, Error> {
        if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return Ok(None);
        }
        let chosen = single(headers, SEC_WEBSOCKET_PROTOCOL);
        let offered = &self.request.subprotocols;
        match offered.iter().find(|subprotocol| Some(subprotocol.as_bytes()) == chosen) {
            Some(subprotocol) => Ok(Some(subprotocol.clone())),
            None => refuse("its subprotocol is not one that we offered"),
        }
    }

    fn deflate(&self, headers: &HeaderMap) -> Result<Option<deflate::Agreed>, Error> {
        let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
        let accepted = extensions::parse(lines).map_err(|malformed| Error::Answer(malformed.to_string()))?;
        match (accepted.as_slice(), &self.request.deflate) {
            ([], _) => Ok(None),
            ([extension], Some(options)) if extension.name == deflate::NAME => {
                options.confirm(extension).map(Some).map_err(|invalid| Error::Answer(invalid.to_string()))
            }
            _ => refuse("it has extensions that we did not offer"),
        }
    }
}

/// Upgrades a new connection, within [`Request::head_bytes`] and [`Request::time`].
///
/// # Errors
///
/// As [`Error`] has it. The connection is closed.
pub async fn connect<C: Connection, R: Runtime>(
    mut connection: C,
    runtime: &R,
    request: &Request,
) -> Result<Opened<C, http::Response<()>>, Error> {
    let mut nonce = [0; 16];
    runtime.random("websocket key").fill(&mut nonce);
    let handshake = Handshake::new(request, nonce)?;
    let deadline = runtime.now() + request.time;
    let exchanged = host::timeout_at(runtime, deadline, async {
        head::write(&mut connection, handshake.bytes()).await?;
        head::read(&mut connection, request.head_bytes).await
    });
    let (bytes, already_read) = exchanged.await.unwrap_or(Err(Error::TimedOut))?;
    let response = head::parse_response(&bytes).map_err(Error::NotHttp)?;
    let Confirmed { subprotocol, deflate } = handshake.confirm(&response)?;
    Ok(Opened { connection, head: response, subprotocol, deflate, already_read })
}

fn check_request(request: &Request) -> Result<(), Error> {
    let visible = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
    if request.host.is_empty() || !visible(&request.host) || request.host.contains(['/', '?', '#', '@']) {
        return unfit(format!("host {:?} is not a name or an address with an optional port", request.host));
    }
    if !request.path.starts_with('/') || !visible(&request.path) || request.path.contains('#') {
        return unfit(format!(
            "path {:?} must begin with a slash, and what is not visible ASCII must be percent-encoded",
            request.path
        ));
    }
    for subprotocol in &request.subprotocols {
        if subprotocol.is_empty() || !subprotocol.bytes().all(is_token) {
            return unfit(format!("subprotocol {subprotocol:?} is not a token"));
        }
    }
    match OURS.iter().find(|name| request.headers.contains_key(*name)) {
        Some(name) => unfit(format!("header {name} is the handshake's own")),
        None => Ok(()),
    }
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| Error::Request(format!("{text:?} cannot stand in a header")))
}

fn unfit<T>(why: String) -> Result<T, Error> {
    Err(Error::Request(why))
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(Error::Answer(why.to_owned()))
}
