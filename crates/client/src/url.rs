//! WebSocket addresses (RFC 6455, section 3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::Error;

/// Where the Centrifuge protocol lives when the address names no path.
pub const DEFAULT_PATH: &str = "/connection/websocket";

/// A `ws://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// A name or an IP address, without the brackets of IPv6.
    pub host: String,
    /// The port: 80 when none is written.
    pub port: u16,
    /// Path and query; [`DEFAULT_PATH`] when none is written.
    pub path: String,
}

impl Url {
    /// The socket address, when the host is a number and no name.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// What goes into the `Host` header (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ws://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = Error;

    /// Reads `ws://host[:port][/path][?query]`; `http://` is taken for the same.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Url(format!("{text:?} is no WebSocket address: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse("write ws://HOST:PORT"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => {}
            "wss" | "https" => return Err(refuse("TLS is not supported yet, use ws://")),
            _ => return Err(refuse("the scheme must be ws")),
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err(refuse("a fragment has no meaning here (RFC 6455, section 3)"));
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(refuse(
                "spaces, control characters and letters beyond ASCII must be percent-encoded",
            ));
        }
        if authority.contains('@') {
            return Err(refuse("user names in addresses are not supported"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| refuse("the port must be a number"))?;
        if host.is_empty() {
            return Err(refuse("the host is missing"));
        }
        let path = match path {
            "" | "/" => DEFAULT_PATH.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("{DEFAULT_PATH}{query}"),
        };
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(80), path })
    }
}

/// Splits `host[:port]`, where an IPv6 address stands in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port.parse().ok()?))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = |text: &str| text.parse::<Url>().map(|url| (url.host, url.port, url.path));
        let is = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(url("ws://chat.example:8000"), is("chat.example", 8000, DEFAULT_PATH));
        assert_eq!(url("WS://chat.example/"), is("chat.example", 80, DEFAULT_PATH));
        assert_eq!(url("ws://127.0.0.1:1/a?b=c"), is("127.0.0.1", 1, "/a?b=c"));
        assert_eq!(url("http://[::1]:9/x"), is("::1", 9, "/x"));
        assert_eq!(url("ws://h?cf=1"), is("h", 80, "/connection/websocket?cf=1"));
        let back = "ws://[::1]:9/x".parse::<Url>().map(|url| (url.to_string(), url.address()));
        assert_eq!(back, Ok(("ws://[::1]:9/x".to_owned(), Some("[::1]:9".parse().expect("an address")))));
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for bad in [
            "",
            "chat.example:80",
            "ftp://h",
            "wss://h",
            "ws://",
            "ws://:80",
            "ws://h:port",
            "ws://h:70000",
            "ws://[::1",
            "ws://[::1]x",
            "ws://h/#top",
            "ws://h/a b",
            "ws://me@h",
            "ws://h/\r\nX: y",
        ] {
            assert!(matches!(bad.parse::<Url>(), Err(Error::Url(_))), "{bad:?}");
        }
    }
}
