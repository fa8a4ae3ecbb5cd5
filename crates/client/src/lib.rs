//! The Rust client of a Fourwire server (or any other that speaks the Centrifuge client protocol v2), on any
//! [`Host`](host::Host).
//!
//! A [`Client`] keeps one connection. When it breaks, the client says so ([`Event::Disconnected`]), waits a random time
//! that grows with each failure, dials again, returns to its rooms and asks for what was published meanwhile: each
//! publication comes once, in the order of its room, or [`Recovery::TooOld`] says that something is lost and the room's
//! state must be loaded anew.
//!
//! [`Client::publish`] gives each publication an id and repeats it until the server has acknowledged it; the server
//! takes each id once. Together that is exactly once, as long as the repetitions fall into the server's window for ids.
//!
//! Nothing here is without bound. Requests beyond [`Config::requests`] wait. Events that the program does not take stop
//! the reading at [`Config::events`], until the server takes this client for a slow one and closes the connection; what
//! was missed is then recovered.
//!
//! ```no_run
//! # async fn example(host: impl host::Host) -> Result<(), fourwire_client::Error> {
//! use fourwire_client::{Client, Config, Event};
//!
//! let (client, mut events) = Client::start(host, Config::new("ws://127.0.0.1:8000")?);
//! client.subscribe("lobby").await?;
//! client.publish("lobby", &"hello").await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Publication { publication, .. } = event {
//!         println!("{}: {}", publication.offset, publication.data);
//!         break;
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod client;
mod config;
mod dial;
mod driver;
mod error;
mod event;
mod json;
mod protocol;
mod session;
mod url;

pub use backoff::Backoff;
pub use client::{Client, Events, HistoryOptions};
pub use config::{Config, SubscribeOptions};
pub use dial::{
    DialError, Dialed, Dialer, Proxy, ProxyError, Resolver, Resolving, Socket, Unreachable, connect,
};
pub use error::Error;
pub use event::{Event, Recovery};
pub use json::Json;
pub use protocol::{Info, Page, Position, PresenceStats, Publication, Published};
pub use session::Subscribed;
pub use url::{DEFAULT_PATH, Url};
