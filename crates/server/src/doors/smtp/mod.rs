//! The SMTP door: mail to `ROOM@` one of our domains is posted in the room ROOM.

mod letter;
mod mailroom;

use std::net::SocketAddr;
use std::sync::Arc;

use application::smtp::server as smtp;
use host::{Connection, Host};

use super::access::Access;
use crate::shard::Shard;
use crate::shutdown::Shutdown;
use crate::station::Common;

/// How the SMTP door is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 lets the network choose.
    pub listen: Vec<SocketAddr>,
    /// Domains whose mail is taken. Mail for others is refused from everybody: nothing is passed on.
    pub domains: Vec<String>,
    /// Who may send.
    pub access: Access,
    /// What one session may cost.
    pub limits: smtp::Limits,
    /// Sessions that may be open at a time.
    pub sessions: usize,
    /// Bytes that the messages of all sessions may take in memory.
    pub memory_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            domains: vec!["localhost".into()],
            access: Access::default(),
            limits: smtp::Limits::default(),
            sessions: 200,
            memory_bytes: 256 << 20,
        }
    }
}

/// Serves one client until its end.
pub(super) async fn serve<H: Host>(
    shard: Shard<H>,
    common: Arc<Common>,
    config: Arc<Config>,
    memory: smtp::Memory,
    shutdown: Shutdown,
    connection: H::Connection,
) {
    let here = connection.local_address().ip();
    let tls = common.config.tls.clone();
    let offer = smtp::Offer {
        domain: config.domains.first().cloned().unwrap_or_else(|| "localhost".into()),
        tls: tls.is_some(),
        auth: !config.access.users.is_empty(),
        // On the way to this machine itself nobody listens.
        auth_in_the_clear: here.is_loopback() || config.access.anonymous,
        auth_needed: !config.access.is_open(here.is_loopback(), !common.config.tokens.is_empty()),
    };
    let host = shard.host().clone();
    let post = mailroom::Mailroom::new(shard, common.clone(), config.clone(), here);
    let setup = smtp::Setup { offer, limits: config.limits.clone(), memory, tls };
    let end = smtp::serve(host, connection, post, setup, shutdown.requested()).await;
    tracing::debug!(?end, "an SMTP session ended");
    common.counts.smtp_ends.count(end.label());
}
