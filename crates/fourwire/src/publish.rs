//! `fourwire publish`: says something in a room, once, and tells when it is safe there.

use std::collections::BTreeMap;

use client::{Client, Json};
use host::Runtime;
use kernel::KernelHost;

use crate::{input, remote};

/// Publish a message in a room, exactly once.
///
/// Prints the number that the message got in the room, once the server has it safe. A message is repeated until the
/// server says so, for half a minute.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: remote::Args,

    /// The room
    room: String,

    /// What to say; without it each line of standard input is a message
    text: Option<String>,

    /// Send what is given as JSON instead of {"text": …}
    #[arg(long)]
    json: bool,
}

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("not published: {0}")]
    Client(#[from] client::Error),
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("cannot read standard input: {0}")]
    Input(std::io::Error),
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// Publishes, and waits for the acknowledgement of each message before the next one, so that they keep their order.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let published = kernel::run(1, |host| {
        let args = args.clone();
        async move { publish(host, args).await }
    })?;
    published.into_iter().collect()
}

async fn publish(host: KernelHost, args: Args) -> Result<(), Error> {
    let (client, mut events) = args.server.connect(&host)?;
    let telling = host.spawn(async move {
        let mut before = false;
        while let Some(event) = events.next().await {
            remote::tell(&event, &mut before);
        }
    });
    match &args.text {
        Some(text) => say(&client, &args, text.clone()).await?,
        None => {
            while let Some(line) = input::line(&host).await.map_err(Error::Input)? {
                say(&client, &args, line).await?;
            }
        }
    }
    client.close().await;
    telling.await;
    Ok(())
}

async fn say(client: &Client<KernelHost>, args: &Args, text: String) -> Result<(), Error> {
    let data =
        if args.json { Json::from_text(text)? } else { Json::from_value(&BTreeMap::from([("text", text)]))? };
    let published = client.publish(&args.room, &data).await?;
    println!("{}", published.offset);
    Ok(())
}
