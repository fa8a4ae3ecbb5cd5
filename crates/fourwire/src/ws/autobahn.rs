//! `fourwire ws autobahn`: the client that an Autobahn fuzzing server wants, which asks it for the cases one by one and
//! echoes what it gets.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use host::Network;
use indicatif::{ProgressBar, ProgressStyle};
use kernel::{KernelConnection, KernelHost};
use websocket::handshake::{self, client};
use websocket::{End, Limits, Message, WebSocket};

use super::{Echo, compression, limits};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where the suite listens
    #[arg(value_name = "ADDRESS")]
    address: SocketAddr,

    /// The name under which it reports
    #[arg(long, value_name = "NAME", default_value = "fourwire")]
    agent: String,
}

/// Why the walk came to an end before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect to the suite at {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    #[error("the suite does not shake hands: {0}")]
    Handshake(#[from] handshake::Error),
    #[error("the suite's count of cases did not come: {0}")]
    Ended(End),
    #[error("the suite's count of cases is not a number")]
    Count,
}

/// Walks through all cases. How they went, the suite writes down itself.
pub(super) fn run(args: Args) -> Result<(), super::Error> {
    let walked = kernel::run(1, |host| {
        let args = args.clone();
        async move { Suite { host, args, limits: Arc::new(limits()) }.walk().await }
    })?;
    Ok(walked.into_iter().collect::<Result<(), Error>>()?)
}

struct Suite {
    host: KernelHost,
    args: Args,
    limits: Arc<Limits>,
}

impl Suite {
    async fn walk(&self) -> Result<(), Error> {
        let count = self.count().await?;
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
        let bar = ProgressBar::new(count.into()).with_style(style.expect("the template is well formed"));
        bar.set_message("Autobahn");
        for case in 1..=count {
            self.echo(&format!("/runCase?case={case}&agent={}", self.args.agent)).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.echo(&format!("/updateReports?agent={}", self.args.agent)).await?;
        println!("{count} cases: the suite has written its report");
        Ok(())
    }

    async fn count(&self) -> Result<u32, Error> {
        let mut socket = self.open("/getCaseCount").await?;
        let count = socket.next().await.map_err(Error::Ended)?;
        let count = count.as_ref().and_then(Message::as_text).and_then(|count| count.parse().ok());
        while let Ok(Some(_)) = socket.next().await {}
        count.ok_or(Error::Count)
    }

    /// Echoes until the connection ends; how it ends is the suite's to judge.
    async fn echo(&self, path: &str) -> Result<(), Error> {
        let mut socket = self.open(path).await?;
        let end = poll_fn(|context| {
            loop {
                match socket.poll_receive(context, &mut Echo) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(end)) => return Poll::Ready(end),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let end = end.await;
        tracing::debug!(path, %end, "a case ended");
        Ok(())
    }

    async fn open(&self, path: &str) -> Result<WebSocket<KernelConnection, KernelHost>, Error> {
        let address = self.args.address;
        let connection = self.host.connect(address).await.map_err(|error| Error::Connect(address, error))?;
        let request = client::Request {
            deflate: Some(compression()),
            ..client::Request::new(address.to_string(), path)
        };
        let opened = client::connect(connection, &self.host, &request).await?;
        Ok(opened.websocket(self.host.clone(), self.limits.clone()))
    }
}
