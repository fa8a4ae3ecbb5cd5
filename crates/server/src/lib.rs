//! The doors: joins the hub and the application protocols on any Fourwire host.

mod accept;
mod shutdown;

pub use accept::{Connections, accept};
pub use shutdown::{Shutdown, Trigger};
