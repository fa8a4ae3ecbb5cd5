//! Which server, and how to greet it.

use std::time::Duration;

use client::{DialError, Dialed, Dialer, Url};
use kernel::KernelHost;
use websocket::{Limits, deflate};

use crate::{remote, trust};

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The server, such as ws://127.0.0.1:9001/chat or wss://echo.example; reached through the proxy that http_proxy,
    /// https_proxy or all_proxy name, unless no_proxy lists it
    #[arg(conflicts_with_all = ["echo", "broadcast", "log", "listen"])]
    url: Option<Url>,

    /// A header of the handshake, such as `Origin: https://example.org`; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url")]
    headers: Vec<String>,

    /// A subprotocol to offer; may be given again, the dearest first
    #[arg(long = "subprotocol", value_name = "NAME", requires = "url")]
    subprotocols: Vec<String>,

    /// Time for the connection to stand
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u16,

    #[command(flatten)]
    trust: trust::Args,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("a header is NAME: VALUE, and {0:?} is not")]
    Header(String),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Dial(#[from] DialError),
}

/// How to reach the server, again and again.
pub(super) struct Reach {
    host: KernelHost,
    url: Url,
    dialer: Dialer,
}

impl Args {
    pub(super) fn has_url(&self) -> bool {
        self.url.is_some()
    }

    /// `deflate` is what to offer.
    pub(super) fn reach(
        &self,
        host: &KernelHost,
        deflate: Option<deflate::Options>,
    ) -> Result<Option<Reach>, Error> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let mut dialer = remote::dialer(host, &url, &self.trust)?;
        for header in &self.headers {
            let Some((name, value)) = header.split_once(':') else {
                return Err(Error::Header(header.clone()));
            };
            dialer.add_header(name.trim(), value.trim())?;
        }
        dialer.subprotocols.clone_from(&self.subprotocols);
        dialer.deflate = deflate;
        dialer.timeout = Duration::from_secs(self.connect_timeout.into());
        Ok(Some(Reach { host: host.clone(), url, dialer }))
    }
}

impl Reach {
    pub(super) async fn open(&self, limits: Limits) -> Result<Dialed<KernelHost>, Error> {
        Ok(self.dialer.dial(&self.host, &self.url, limits).await?)
    }
}
