//! A server somewhere, as the small tools reach it.

use std::env;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use client::{Client, Config, Dialer, Event, Events, Json, Proxy, Url};
use host::Runtime;
use kernel::KernelHost;

use crate::trust;

/// Which server, and who we are to it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The server, such as ws://127.0.0.1:8000 or wss://chat.example; reached through the proxy that http_proxy,
    /// https_proxy or all_proxy name, unless no_proxy lists it
    url: Url,

    /// Token of the connection, where the server asks for one
    #[arg(long, env = "FOURWIRE_TOKEN", value_name = "JWT", hide_env_values = true)]
    token: Option<String>,

    /// Name to be seen under, where the server lets people choose theirs
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    trust: trust::Args,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Trust(#[from] trust::Error),
}

impl Args {
    /// Starts a client.
    pub(crate) fn connect(&self, host: &KernelHost) -> Result<(Client<KernelHost>, Events), Error> {
        let mut config = Config::new(&self.url.to_string())?;
        config.name = "fourwire-cli".to_owned();
        config.token.clone_from(&self.token);
        if let Some(name) = &self.name {
            config.data = Some(Json::from_value(&std::collections::BTreeMap::from([("name", name)]))?);
        }
        config.dialer = dialer(host, &config.url, &self.trust)?;
        Ok(Client::start(host.clone(), config))
    }
}

/// How a program at a terminal reaches `url`: the system looks names up, the environment names the proxy.
pub(crate) fn dialer(host: &KernelHost, url: &Url, trust: &trust::Args) -> Result<Dialer, Error> {
    let resolving = host.clone();
    Ok(Dialer {
        proxy: Proxy::of_environment(url, |name| env::var(name).ok())?,
        tls: if url.secure { Some(trust.client(host, &["http/1.1"])?) } else { None },
        resolver: Some(Arc::new(move |host, port| {
            let name = (host.to_owned(), port);
            // The operating system's resolver knows no way but to block.
            Box::pin(resolving.blocking(move || name.to_socket_addrs().map(Iterator::collect)))
        })),
        ..Dialer::default()
    })
}

/// Tells the person at the terminal about the connection. `false` when nothing more is to be hoped for.
pub(crate) fn tell(event: &Event, before: &mut bool) -> bool {
    match event {
        // Nothing to say of what goes as it should the first time.
        Event::Connected { .. } if !std::mem::replace(before, true) => {}
        Event::Connected { .. } => eprintln!("fourwire: connected again"),
        Event::Disconnected { reason, retry_in: Some(wait), .. } => {
            *before = true;
            eprintln!("fourwire: {reason}; trying again in {:.1} s", wait.as_secs_f32());
        }
        Event::Disconnected { reason, retry_in: None, .. } => {
            eprintln!("fourwire: {reason}");
            return false;
        }
        _ => {}
    }
    true
}
