//! `fourwire serve`: the rooms, on the operating system's sockets or on our own.

mod args;
mod banner;
pub(crate) mod certificate;
mod doors;
mod rooms;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;

use host::{Host, Network, Runtime};
use hub::store::{self, Store, StoreError};
use kernel::{KernelHost, ShutdownSignals};
use server::files::{self, Files};
use server::{Shutdown, Station, Trigger};

pub(crate) use args::Args;
use args::Settings;

use crate::network::{self, Opened};

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] args::Error),
    #[error("{0} is no log filter: {1}")]
    Log(String, tracing_subscriber::filter::ParseError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the files of rooms cannot be kept in {0}: {1}")]
    Files(std::path::PathBuf, std::io::Error),
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// How long our own stack may take to get the last bytes of connections across that are closed already.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);

/// Serves until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let settings = args.settle()?;
    start_log(&settings.log)?;
    if let Err(error) = kernel::raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays where it is");
    }
    let store = open_store(settings.data.as_deref())?;
    let mut config = configure(&settings);
    if let Some(directory) = settings.data.as_deref() {
        let directory = directory.join("files");
        config.files = Files::open(&directory, files::Limits::default())
            .map_err(|error| Error::Files(directory, error))?;
    }
    if let Some(source) = &settings.certificate {
        config.tls = Some(source.server(&settings.listen)?);
    }
    let tls = config.tls.clone();
    let grace = config.shutdown_grace;
    let stations: Vec<_> = server::stations(config, store, settings.shards)
        .into_iter()
        .map(|station| Mutex::new(Some(station)))
        .collect();
    let (trigger, shutdown) = Shutdown::new();
    let trigger = &trigger;
    let served = kernel::run(settings.shards, |host| {
        let station = take(&stations, &host);
        let (shutdown, settings) = (shutdown.clone(), &settings);
        if let (0, Some(source), Some(tls)) = (host.shard().index, &settings.certificate, &tls) {
            host.spawn_detached(source.clone().follow(host.clone(), tls.clone()));
        }
        async move {
            let served = match settings.network.open(host).await {
                Err(error) => Err(error.into()),
                Ok(Opened::Kernel(host)) if host.shard().index > 0 => {
                    station.serve(host, shutdown).await.map_err(Error::from)
                }
                Ok(Opened::Kernel(host)) => {
                    attend(station, host, &[], shutdown, trigger, settings, grace).await
                }
                Ok(Opened::Own(host)) => {
                    share(&host, settings);
                    let here = network::addresses(&host);
                    let served =
                        attend(station, host.clone(), &here, shutdown, trigger, settings, grace).await;
                    host.quiet(host.now() + FAREWELL).await;
                    network::close(&host).await;
                    served
                }
            };
            // Where one shard ends, all do.
            trigger.pull();
            served
        }
    })?;
    served.into_iter().collect()
}

/// Lets `fourwire net` look at our own network.
fn share(host: &network::OwnHost, settings: &Settings) {
    #[cfg(target_os = "linux")]
    if let Some(net) = settings.network.net.clone()
        && let Err(error) = crate::net::share(host, net)
    {
        tracing::warn!(%error, "`fourwire net` will not see this server");
    }
}

fn take(stations: &[Mutex<Option<Station>>], host: &KernelHost) -> Station {
    let station = stations[host.shard().index].lock().expect("nobody panics with it");
    { station }.take().expect("each shard is started once")
}

/// The first shard's run: it also greets, and listens to signals. `here` are the host's addresses, where they are known.
async fn attend<H: Host>(
    station: Station,
    host: H,
    here: &[std::net::IpAddr],
    shutdown: Shutdown,
    trigger: &Trigger,
    settings: &Settings,
    grace: std::time::Duration,
) -> Result<(), Error> {
    let mut signals = ShutdownSignals::watch()?;
    let listening = station.listening();
    let mut serving = std::pin::pin!(station.serve(host, shutdown));
    tokio::select! {
        biased;
        served = &mut serving => return Ok(served?),
        addresses = listening.addresses() => {
            // None where listening failed, which serving tells in a moment.
            if !addresses.is_empty() {
                banner::greet(addresses, &listening.doors(), here, settings);
                if let Err(error) = kernel::notify_ready() {
                    tracing::warn!(%error, "the service manager does not listen");
                }
            }
        }
    }
    tokio::select! {
        biased;
        served = &mut serving => return Ok(served?),
        _ = signals.next() => {}
    }
    banner::goodbye(grace);
    let _ = kernel::notify_stopping();
    trigger.pull();
    tokio::select! {
        biased;
        served = &mut serving => Ok(served?),
        // Who asks twice does not want to wait.
        _ = signals.next() => {
            eprintln!("fourwire: ended at once; clients recover when they find a server again");
            std::process::exit(130)
        }
    }
}

fn configure(settings: &Settings) -> server::Config {
    let mut config = server::Config {
        listen: settings.listen.clone(),
        max_connections: settings.max_connections,
        tokens: settings.tokens.clone(),
        ftp: settings.doors.ftp.clone(),
        smtp: settings.doors.smtp.clone(),
        dns: settings.doors.dns.clone(),
        ..server::Config::default()
    };
    config.http.api_key.clone_from(&settings.api_key);
    config.http.allowed_origins.clone_from(&settings.allow_origin);
    config.http.insecure = settings.insecure;
    settings.rooms.apply(&mut config.hub);
    config.hub.namespaces.clone_from(&settings.namespaces);
    config
}

fn open_store(data: Option<&Path>) -> Result<Box<dyn Store>, StoreError> {
    Ok(match data {
        Some(directory) => Box::new(store::Embedded::open(directory)?),
        None => Box::new(store::Memory::new()),
    })
}

fn start_log(filter: &str) -> Result<(), Error> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| Error::Log(filter.into(), error))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
    Ok(())
}
