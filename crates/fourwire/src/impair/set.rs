//! `fourwire impair set`: changes an impairment that runs, by its API.

use std::net::SocketAddr;
use std::time::Duration;

use application::http::client;
use host::{Network, Runtime};
use http::{Request, StatusCode};
use kernel::KernelHost;
use lab::Preset;

use super::api::Impair;
use super::change::{Change, Flags};
use super::fault::Fault;
use super::{API, NAME};

/// Change what a running `fourwire impair` does
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The running one's API address
    #[arg(long, env = "FOURWIRE_IMPAIR_API", value_name = "ADDRESS", default_value_t = API)]
    api: SocketAddr,

    /// Which of its proxies
    #[arg(long, value_name = "NAME", default_value = NAME)]
    proxy: String,

    /// Begin with the impairments of a link that people know
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,

    /// What is to happen at once: cut, cut-up, cut-down, heal, half-open or reset
    fault: Option<Fault>,

    #[command(flatten)]
    flags: Flags,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("say what is to be different, such as --loss 5%, or heal")]
    Nothing,
    #[error("nobody answers at {0}: {1}\nStart `fourwire impair`, or say --api if its API is elsewhere.")]
    Nobody(SocketAddr, std::io::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("refused: {0}")]
    Refused(String),
}

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(host: KernelHost, args: Args) -> Result<(), Error> {
    let Args { api: address, proxy, preset, fault, flags } = args;
    let changes = flags.changes();
    if preset.is_none() && fault.is_none() && changes.iter().all(|change| *change == Change::default()) {
        return Err(Error::Nothing);
    }
    let [both, up, down] = changes;
    let preset = preset.map(|preset| preset.name().to_owned());
    let fault = fault.map(|fault| fault.to_string());
    let body = serde_json::to_string(&Impair { preset, both, up, down, fault })?;
    let connection = host.connect(address).await.map_err(|error| Error::Nobody(address, error))?;
    let request = Request::patch(format!("http://{address}/proxies/{proxy}/impairments"))
        .body(body.into())
        .map_err(|error| Error::Refused(error.to_string()))?;
    let response = client::send(connection, &host, host.now() + PATIENCE, request, 64 * 1024).await?;
    if response.status() != StatusCode::NO_CONTENT {
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let error = body.get("error").and_then(serde_json::Value::as_str);
        return Err(Error::Refused(error.unwrap_or("the answer is not understood").to_owned()));
    }
    Ok(())
}
