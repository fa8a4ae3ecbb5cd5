//! The proxies that run: each a listener, a path with its impairments, and its toxics.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::{Datagrams, ListenOptions, Listener, Network, Runtime};
use kernel::KernelHost;
use lab::live::{Path, PathConfig, PathError, Report};
use lab::{Impairments, Way};
use serde::Serialize;

use super::toxics::{self, Toxic};

/// Proxies there may be.
const MOST_PROXIES: usize = 64;

/// Toxics that one proxy may have.
const MOST_TOXICS: usize = 64;

/// All proxies. A clone is another handle.
#[derive(Clone)]
pub(super) struct Proxies(Arc<Shared>);

struct Shared {
    host: KernelHost,
    /// What each path begins with, but for its impairments.
    config: PathConfig,
    /// Watches the wire of the first proxy.
    table: Mutex<BTreeMap<String, Proxy>>,
}

struct Proxy {
    /// What was asked for; once it runs, where it really listens.
    listen: String,
    upstream: String,
    udp: bool,
    base: [Impairments; 2],
    toxics: Vec<Toxic>,
    /// None while it is disabled.
    path: Option<Path<KernelHost>>,
}

/// A proxy as it is told to the outside.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    pub(super) toxics: Vec<Toxic>,
}

/// Why something cannot be done with a proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no proxy named {0:?}")]
    NoProxy(String),
    #[error("there is no toxic named {0:?}")]
    NoToxic(String),
    #[error("there is a proxy named {0:?} already")]
    ProxyExists(String),
    #[error("there is a toxic named {0:?} already")]
    ToxicExists(String),
    #[error("{0}")]
    Invalid(String),
    #[error("there are {0} already, and no more may be: delete some")]
    TooMany(&'static str),
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::Error),
    #[error("{0} is no address that is known: {1}")]
    Address(String, io::Error),
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Proxies {
    pub(super) fn new(host: KernelHost, config: PathConfig) -> Self {
        Self(Arc::new(Shared { host, config, table: Mutex::default() }))
    }

    /// Adds a proxy, and starts it when it is `enabled`.
    pub(super) async fn add(
        &self,
        name: &str,
        listen: &str,
        upstream: &str,
        udp: bool,
        base: [Impairments; 2],
        enabled: bool,
    ) -> Result<Told, Error> {
        if name.is_empty() || upstream.is_empty() {
            return Err(Error::Invalid(
                "a proxy needs a name, and an upstream such as 127.0.0.1:8080".into(),
            ));
        }
        {
            let mut table = self.table();
            if table.contains_key(name) {
                return Err(Error::ProxyExists(name.into()));
            }
            if table.len() >= MOST_PROXIES {
                return Err(Error::TooMany("64 proxies"));
            }
            let listen = if listen.is_empty() { "127.0.0.1:0" } else { listen };
            let (listen, upstream) = (listen.to_owned(), upstream.to_owned());
            let proxy = Proxy { listen, upstream, udp, base, toxics: Vec::new(), path: None };
            table.insert(name.to_owned(), proxy);
        }
        if enabled && let Err(error) = self.start(name).await {
            self.table().remove(name);
            return Err(error);
        }
        self.told(name)
    }

    /// Starts a proxy that does not run.
    pub(super) async fn start(&self, name: &str) -> Result<(), Error> {
        let (listen, upstream, udp) = {
            let table = self.table();
            let proxy = table.get(name).ok_or_else(|| Error::NoProxy(name.into()))?;
            if proxy.path.is_some() {
                return Ok(());
            }
            (proxy.listen.clone(), proxy.upstream.clone(), proxy.udp)
        };
        let host = &self.0.host;
        let address = self.resolve(&listen).await?;
        let target = self.resolve(&upstream).await?;
        let path = Path::open(host.clone(), target, self.0.config.clone()).await?;
        let refused = |error| Error::Listen(listen.clone(), error);
        let serving = path.clone();
        let address = if udp {
            let socket = host.bind(address).await.map_err(refused)?;
            let address = socket.local_address();
            host.spawn_detached(async move {
                if let Err(error) = serving.serve_datagrams(socket).await {
                    eprintln!("fourwire: datagrams are not carried: {error}");
                }
            });
            address
        } else {
            let listener = host.listen(address, ListenOptions::default()).await.map_err(refused)?;
            let address = listener.local_address();
            host.spawn_detached(async move { serving.serve(listener).await });
            address
        };
        let mut table = self.table();
        let Some(proxy) = table.get_mut(name).filter(|proxy| proxy.path.is_none()) else {
            // Somebody was faster.
            path.close();
            return Ok(());
        };
        proxy.listen = address.to_string();
        proxy.path = Some(path);
        proxy.apply();
        Ok(())
    }

    /// Closes a proxy's connections, and takes up no more.
    pub(super) fn stop(&self, name: &str) -> Result<(), Error> {
        self.with(name, |proxy| {
            if let Some(path) = proxy.path.take() {
                path.close();
            }
        })
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        self.stop(name)?;
        self.table().remove(name);
        Ok(())
    }

    /// Moves a proxy to other addresses.
    pub(super) async fn update(
        &self,
        name: &str,
        listen: Option<String>,
        upstream: Option<String>,
        enabled: Option<bool>,
    ) -> Result<Told, Error> {
        let told = self.told(name)?;
        let moved = listen.as_ref().is_some_and(|listen| !listen.is_empty() && *listen != told.listen)
            || upstream.as_ref().is_some_and(|upstream| !upstream.is_empty() && *upstream != told.upstream);
        let enabled = enabled.unwrap_or(told.enabled);
        if moved || !enabled {
            self.stop(name)?;
        }
        self.with(name, |proxy| {
            proxy.listen = listen.filter(|listen| !listen.is_empty()).unwrap_or(told.listen);
            proxy.upstream = upstream.filter(|upstream| !upstream.is_empty()).unwrap_or(told.upstream);
        })?;
        if enabled {
            self.start(name).await?;
        }
        self.told(name)
    }

    /// Removes all toxics, and starts what does not run.
    pub(super) async fn reset(&self) -> Result<(), Error> {
        let names: Vec<_> = self.table().keys().cloned().collect();
        for name in names {
            self.with(&name, |proxy| {
                proxy.toxics.clear();
                proxy.apply();
            })?;
            self.start(&name).await?;
        }
        Ok(())
    }

    /// Lets `change` work on a proxy's toxics, and makes them felt.
    pub(super) fn toxics<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Vec<Toxic>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with(name, |proxy| {
            let changed = change(&mut proxy.toxics)?;
            if proxy.toxics.len() > MOST_TOXICS {
                proxy.toxics.pop();
                return Err(Error::TooMany("64 toxics"));
            }
            proxy.apply();
            Ok(changed)
        })?
    }

    /// Lets `change` work on the impairments that a proxy has without toxics: towards the target, and back.
    pub(super) fn impair<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut [Impairments; 2]) -> T,
    ) -> Result<T, Error> {
        self.with(name, |proxy| {
            let changed = change(&mut proxy.base);
            proxy.apply();
            changed
        })
    }

    /// A proxy's path; `None` while it is disabled.
    pub(super) fn path(&self, name: &str) -> Result<Option<Path<KernelHost>>, Error> {
        self.with(name, |proxy| proxy.path.clone())
    }

    pub(super) fn told(&self, name: &str) -> Result<Told, Error> {
        self.with(name, |proxy| proxy.told(name))
    }

    pub(super) fn all(&self) -> Vec<Told> {
        self.table().iter().map(|(name, proxy)| proxy.told(name)).collect()
    }

    /// The reports of all that run, by name.
    pub(super) fn reports(&self) -> Vec<(String, Report)> {
        let paths: Vec<_> = self
            .table()
            .iter()
            .filter_map(|(name, proxy)| Some((name.clone(), proxy.path.clone()?)))
            .collect();
        paths.into_iter().map(|(name, path)| (name, path.report())).collect()
    }

    /// The address that a name and a port, or an address and a port, stand for.
    async fn resolve(&self, text: &str) -> Result<SocketAddr, Error> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        // `:8080` is any address of ours, as in Go, whose clients say it.
        let name = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
        let looked_up = self.0.host.blocking(move || name.to_socket_addrs().map(|mut found| found.next()));
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = looked_up.await.and_then(|found| found.ok_or_else(unknown));
        found.map_err(|error| Error::Address(text.into(), error))
    }

    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Proxy) -> T) -> Result<T, Error> {
        self.table().get_mut(name).map(change).ok_or_else(|| Error::NoProxy(name.into()))
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Proxy>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Makes the impairments and the toxics felt.
    fn apply(&self) {
        let Some(path) = &self.path else { return };
        let toxics::Sum { impairments, cut, rules } = toxics::sum(&self.base, &self.toxics);
        for ((way, impairments), cut) in [Way::Out, Way::In].into_iter().zip(impairments).zip(cut) {
            path.wire().set(way, impairments);
            // A fault of the person's is not the toxics' to heal.
            path.wire().block(way, cut);
        }
        path.set_rules(rules);
    }

    fn told(&self, name: &str) -> Told {
        Told {
            name: name.into(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            enabled: self.path.is_some(),
            toxics: self.toxics.clone(),
        }
    }
}
