//! Scenarios: a network, the programs that run in it, what happens to them, and what is to come of it.
//!
//! A [`Scenario`] is a value, and TOML is its face: what stands in a file under a name is a field of that name. [`Checked`]
//! is one that makes sense, with its programs at hand: it [runs](Checked::run) under a seed, [sweeps](Checked::sweep) over
//! many, and one that fails is [made smaller](Checked::shrink). Programs are [registered](Programs) from above; the lab
//! knows none.
//!
//! ```
//! use host::Host;
//! use lab::scenario::{Checked, Context, Ended, Programs};
//! use serde::Deserialize;
//!
//! #[derive(Clone, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Post {
//!     to: String,
//! }
//!
//! // Programs are written once, for any host.
//! async fn post<H: Host>(context: Context<H>, settings: Post) -> Ended {
//!     let to = context.resolve(&settings.to, 9).map_err(|error| error.to_string())?;
//!     let mut socket = context.host.bind("0.0.0.0:0".parse().unwrap()).await.map_err(|error| error.to_string())?;
//!     context.journal.sent(1);
//!     let said = std::future::poll_fn(|task| host::Datagrams::poll_send(&mut socket, task, b"1", to)).await;
//!     said.map_err(|error| error.to_string())
//! }
//!
//! async fn letterbox<H: Host>(context: Context<H>, _: toml::Table) -> Ended {
//!     let mut socket = context.host.bind("0.0.0.0:9".parse().unwrap()).await.map_err(|error| error.to_string())?;
//!     let mut letter = [0; 1];
//!     let came = std::future::poll_fn(|task| host::Datagrams::poll_receive(&mut socket, task, &mut letter)).await;
//!     came.map_err(|error| error.to_string())?;
//!     context.journal.received("alice", 1);
//!     Ok(())
//! }
//!
//! let programs =
//!     Programs::new().with("post", "sends a letter", post).with("letterbox", "waits for a letter", letterbox);
//! let file = r#"
//!     lab = 1
//!     name = "letter"
//!     stop = "5s"
//!     link.street = { delay = "20ms" }
//!     node.alice = { on = ["street"] }
//!     node.bob = { on = ["street"] }
//!     [[program]]
//!     on = "bob"
//!     letterbox = {}
//!     [[program]]
//!     on = "alice"
//!     start = "1s"
//!     post = { to = "bob" }
//!     [[expect]]
//!     delivered = { from = "alice", to = "bob", count = 1, by = "1100ms" }
//! "#;
//! let outcome = Checked::parse("letter.toml", file, &programs)?.run(1);
//! assert!(outcome.holds(), "{:?}", outcome.failure());
//! # Ok::<(), lab::scenario::Refused>(())
//! ```

mod build;
mod calm;
mod check;
mod context;
mod document;
mod entry;
mod event;
mod expectation;
mod format;
mod journal;
mod judge;
mod junit;
mod link;
mod measure;
mod moment;
mod problem;
mod registry;
mod run;
mod shrink;
mod sweep;
pub mod text;

pub use context::{Context, Ending, Names as NodeNames};
pub use document::Checked;
pub use event::{Action, BlackHole, Event, OnLink, OnNode, Set, Silence, Skew, Which};
pub use expectation::{Bound, Delivered, Expectation, Less, Names, NoSocketLeft, Noticed, Queue, Unnoticed};
pub use format::{Kind, Node, Program, Routing, Scenario, VERSION};
pub use journal::{Clock, Journal, Line};
pub use judge::{Fault, Verdict};
pub use junit::{Report, Suite};
pub use link::{Change, Duplex, Link, LinkKind};
pub use measure::{Measure, MeasureError};
pub use moment::Moment;
pub use problem::{Problem, Refused, Step};
pub use registry::{Ended, Programs};
pub use run::{Keep, Kept, Outcome};
pub use shrink::Shrunk;
pub use sweep::{Swept, assert_as_expected};
