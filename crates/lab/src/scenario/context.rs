//! What a program is given when it starts.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::Host;
use tokio::sync::Notify;

use super::journal::Journal;

/// What a program is given when it starts. The same on the lab's hosts and on any other.
#[derive(Clone, Debug)]
pub struct Context<H> {
    /// The machine that it runs on.
    pub host: H,
    /// What it is called in expectations.
    pub name: Arc<str>,
    /// Where it writes down what it did and saw.
    pub journal: Journal,
    /// Where the others are.
    pub names: Names,
    /// When it is to end.
    pub ending: Ending,
}

impl<H: Host> Context<H> {
    /// The address of the machine called `name`, or of that number, with `port`.
    ///
    /// # Errors
    ///
    /// `NotFound` when no machine is called that.
    pub fn resolve(&self, name: &str, port: u16) -> io::Result<SocketAddr> {
        self.names.resolve(name).map(|address| SocketAddr::new(address, port))
    }
}

/// The machines' addresses by name.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<BTreeMap<String, IpAddr>>);

impl Names {
    /// The addresses of machines.
    pub fn new(names: BTreeMap<String, IpAddr>) -> Self {
        Self(Arc::new(names))
    }

    /// The address of the machine called `name`, or of that number.
    ///
    /// # Errors
    ///
    /// `NotFound` when no machine is called that.
    pub fn resolve(&self, name: &str) -> io::Result<IpAddr> {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        self.0.get(name).copied().ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let hint = super::problem::suggestion(name, known);
            io::Error::new(io::ErrorKind::NotFound, format!("no machine is called {name:?}; {hint}"))
        })
    }
}

/// Tells programs that it is time to end.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    raised: AtomicBool,
    waiting: Notify,
}

impl Ending {
    /// Ready once the programs are to end.
    pub async fn requested(&self) {
        loop {
            let waiting = self.0.waiting.notified();
            if self.is_requested() {
                return;
            }
            waiting.await;
        }
    }

    /// Whether the programs are to end.
    pub fn is_requested(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Asks the programs to end.
    pub fn request(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.waiting.notify_waiters();
    }
}
