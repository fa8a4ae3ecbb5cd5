//! HTTP proxies: a tunnel to the server through one (RFC 9110, section 9.3.6).

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Error, Url};

/// Bytes of an answer's head that are read.
const HEAD: usize = 16 * 1024;

/// Fields of an answer's head that are taken.
const FIELDS: usize = 64;

/// A proxy that makes tunnels with CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an IP address, without the brackets of IPv6.
    pub host: String,
    /// The port: 80 when none is written.
    pub port: u16,
    /// What goes into `Proxy-Authorization`, if anything.
    pub authorization: Option<String>,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy said no.
    #[error("it answered {0}")]
    Refused(String),
    /// The proxy's answer cannot be understood.
    #[error("its answer is not HTTP")]
    NotHttp,
    /// The connection to the proxy failed.
    #[error("the connection to it failed: {0}")]
    Io(#[from] io::Error),
}

impl Proxy {
    /// The proxy that the environment names for `url`, as most programs read it: `https_proxy` for wss, `http_proxy` for
    /// ws, each in capitals too (but not `HTTP_PROXY`, which a CGI request could set), else `all_proxy`; none for hosts
    /// that `no_proxy` lists. `variable` looks a variable up.
    ///
    /// # Errors
    ///
    /// When the variable holds no address of a proxy.
    pub fn of_environment(
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        let set =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
        if set(&["no_proxy", "NO_PROXY"]).is_some_and(|list| excepts(&list, &url.host)) {
            return Ok(None);
        }
        let own: &[&str] = if url.secure { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
        let named = set(own).or_else(|| set(&["all_proxy", "ALL_PROXY"]));
        named.map(|text| text.parse()).transpose()
    }

    /// Asks for a tunnel to `authority` over `connection`, which leads to the proxy.
    pub(super) async fn tunnel<C: Connection>(
        &self,
        connection: &mut C,
        authority: &str,
    ) -> Result<(), ProxyError> {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        connection.write_all(request.as_bytes()).await?;
        connection.flush().await?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if read.len() >= HEAD {
                return Err(ProxyError::NotHttp);
            }
            if connection.read_buf(&mut read).await? == 0 {
                return Err(ProxyError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        answer.parse(&read[..end]).map_err(|_| ProxyError::NotHttp)?;
        match answer.code {
            // Through the tunnel it is we who speak first.
            Some(200..=299) if read.len() > end => Err(ProxyError::NotHttp),
            Some(200..=299) => Ok(()),
            Some(code) => Err(ProxyError::Refused(format!("{code} {}", answer.reason.unwrap_or_default()))),
            None => Err(ProxyError::NotHttp),
        }
    }
}

/// Whether `list` names `host`: itself, a domain above it, or all with `*`.
fn excepts(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let name = entry.trim_start_matches('.').trim_matches(['[', ']']);
        entry == "*"
            || host.eq_ignore_ascii_case(name)
            || host.len().checked_sub(name.len() + 1).is_some_and(|dot| {
                host.as_bytes()[dot] == b'.'
                    && host.get(dot + 1..).is_some_and(|end| end.eq_ignore_ascii_case(name))
            })
    })
}

impl FromStr for Proxy {
    type Err = Error;

    /// Reads `[http://][user:password@]host[:port]`; a user and a password may be percent-encoded.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Url(format!("the address of the proxy cannot be used: {why}"));
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(refuse(&format!("{scheme} is no kind of proxy that is known here, http is")));
            }
            None => text,
        };
        let rest = rest.split('/').next().unwrap_or_default();
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let (host, port) =
            crate::url::split_port(authority).ok_or_else(|| refuse("the port must be a number"))?;
        if host.is_empty() {
            return Err(refuse("the host is missing"));
        }
        let authorization = user
            .map(|user| decoded(user).ok_or_else(|| refuse("user and password are not well percent-encoded")))
            .transpose()?
            .map(|user| format!("Basic {}", STANDARD.encode(user)));
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(80), authorization })
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({}:{})", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_they_are_written() {
        let read = |text: &str| {
            text.parse::<Proxy>().ok().map(|proxy| (proxy.host, proxy.port, proxy.authorization))
        };
        assert_eq!(read("http://gate.lab:3128"), Some(("gate.lab".into(), 3128, None)));
        assert_eq!(read("gate.lab"), Some(("gate.lab".into(), 80, None)));
        // RFC 7617, section 2.
        let basic = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(read("http://Aladdin:open%20sesame@[::1]:8/"), Some(("::1".into(), 8, basic)));
        for bad in
            ["socks5://gate.lab", "http://", "gate.lab:x", "http://a%zz@gate.lab", "http://a%4@gate.lab"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", "me:secret@gate.lab".parse::<Proxy>().unwrap()), "Proxy(gate.lab:80)");
    }

    #[test]
    fn the_environment_chooses() {
        let chosen = |url: &str, set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, text)| (*text).to_owned());
            Proxy::of_environment(&url.parse().unwrap(), variable).unwrap().map(|proxy| proxy.host)
        };
        let both = [("http_proxy", "plain"), ("https_proxy", "secure"), ("all_proxy", "any")];
        assert_eq!(chosen("ws://door.lab", &both).as_deref(), Some("plain"));
        assert_eq!(chosen("wss://door.lab", &both).as_deref(), Some("secure"));
        assert_eq!(chosen("ws://door.lab", &[("HTTP_PROXY", "forged")]), None);
        assert_eq!(
            chosen("ws://door.lab", &[("ALL_PROXY", "any"), ("http_proxy", "")]).as_deref(),
            Some("any")
        );
        for list in ["door.lab", "lab", ".lab", "x, DOOR.lab", "*"] {
            assert_eq!(chosen("ws://door.lab", &[both[0], ("no_proxy", list)]), None, "{list}");
        }
        for list in ["oor.lab", "door", "a.door.lab", ""] {
            assert!(chosen("ws://door.lab", &[both[0], ("no_proxy", list)]).is_some(), "{list}");
        }
    }
}
