//! WebSocket addresses (RFC 6455, section 3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::Error;

/// Where the Centrifuge protocol lives when the address names no path.
pub const DEFAULT_PATH: &str = "/connection/websocket";

/// A `ws://` or `wss://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `wss`: inside TLS.
    pub secure: bool,
    /// A name or an IP address, without the brackets of IPv6.
    pub host: String,
    /// The port: 80 when none is written, 443 for `wss`.
    pub port: u16,
    /// Path and query; `/` when none is written.
    pub path: String,
}

impl Url {
    /// The socket address, when the host is a number and no name.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// What goes into the `Host` header (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        if self.port == usual_port(self.secure) { self.bracketed() } else { self.authority_with_port() }
    }

    /// Host and port, as a proxy wants them (RFC 9110, section 9.3.6).
    pub fn authority_with_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// The same with `path` where none was written.
    #[must_use]
    pub fn or_path(mut self, path: &str) -> Self {
        if let Some(query) = self.path.strip_prefix('/')
            && (query.is_empty() || query.starts_with('?'))
        {
            self.path = format!("{path}{query}");
        }
        self
    }

    /// What `reference` is, seen from here: an address, or a path on the same server (RFC 3986, section 5.2, of which the
    /// dots are left out).
    ///
    /// # Errors
    ///
    /// [`Error::Url`] when it is neither.
    pub fn join(&self, reference: &str) -> Result<Self, Error> {
        let scheme = if self.secure { "wss" } else { "ws" };
        if let Some(authority) = reference.strip_prefix("//") {
            return format!("{scheme}://{authority}").parse();
        }
        if reference.starts_with('/') {
            return format!("{scheme}://{}{reference}", self.authority()).parse();
        }
        reference.parse()
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = Error;

    /// Reads `ws://host[:port][/path][?query]` and `wss://…`; `http://` and `https://` are taken for the same.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Url(format!("{text:?} is no WebSocket address: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse("write ws://HOST:PORT or wss://HOST"));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(refuse("the scheme must be ws or wss")),
        };
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
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host: host.to_owned(), port: port.unwrap_or_else(|| usual_port(secure)), path })
    }
}

fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Splits `host[:port]`, where an IPv6 address stands in brackets.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
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
        let url = |text: &str| text.parse::<Url>().map(|url| (url.secure, url.host, url.port, url.path));
        let is = |secure, host: &str, port, path: &str| Ok((secure, host.to_owned(), port, path.to_owned()));
        assert_eq!(url("ws://chat.example:8000"), is(false, "chat.example", 8000, "/"));
        assert_eq!(url("WS://chat.example/"), is(false, "chat.example", 80, "/"));
        assert_eq!(url("wss://chat.example"), is(true, "chat.example", 443, "/"));
        assert_eq!(url("ws://127.0.0.1:1/a?b=c"), is(false, "127.0.0.1", 1, "/a?b=c"));
        assert_eq!(url("http://[::1]:9/x"), is(false, "::1", 9, "/x"));
        assert_eq!(url("https://h:80?cf=1"), is(true, "h", 80, "/?cf=1"));
        for text in ["ws://[::1]:9/x", "wss://h/", "wss://h:80/?a", "ws://h:443/"] {
            assert_eq!(text.parse::<Url>().map(|url| url.to_string()), Ok(text.to_owned()));
        }
        let address = "ws://[::1]:9/x".parse::<Url>().map(|url| url.address());
        assert_eq!(address, Ok("[::1]:9".parse().ok()));
    }

    #[test]
    fn a_path_is_put_where_there_is_none() {
        let put = |text: &str| text.parse::<Url>().map(|url| url.or_path("/p").path);
        for (text, path) in [("ws://h", "/p"), ("ws://h/", "/p"), ("ws://h?q", "/p?q"), ("ws://h/x", "/x")] {
            assert_eq!(put(text), Ok(path.to_owned()), "{text}");
        }
    }

    #[test]
    fn references_lead_on() {
        let from: Url = "wss://h:8/a".parse().expect("an address");
        let to = |reference: &str| from.join(reference).map(|url| url.to_string()).ok();
        assert_eq!(to("/b").as_deref(), Some("wss://h:8/b"));
        assert_eq!(to("//g/b").as_deref(), Some("wss://g/b"));
        assert_eq!(to("https://g").as_deref(), Some("wss://g/"));
        assert_eq!(to("ftp://g"), None);
        assert_eq!(to("b"), None);
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for bad in [
            "",
            "chat.example:80",
            "ftp://h",
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
