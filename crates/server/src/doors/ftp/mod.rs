//! The FTP door: a file that is put into `/rooms/NAME/` is live in the room.

mod rooms;

use std::net::SocketAddr;
use std::sync::Arc;

use application::ftp::server as ftp;
use host::{Connection, Host};

use super::access::Access;
use crate::shard::Shard;
use crate::shutdown::Shutdown;
use crate::station::Common;

/// How the FTP door is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 lets the network choose.
    pub listen: Vec<SocketAddr>,
    /// Who may come in.
    pub access: Access,
    /// What one session may cost.
    pub limits: ftp::Limits,
    /// Sessions that may be open at a time.
    pub sessions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: Vec::new(), access: Access::default(), limits: ftp::Limits::default(), sessions: 200 }
    }
}

/// Serves one client until its end.
pub(super) async fn serve<H: Host>(
    shard: Shard<H>,
    common: Arc<Common>,
    config: Arc<Config>,
    shutdown: Shutdown,
    connection: H::Connection,
) {
    let open = config
        .access
        .is_open(connection.local_address().ip().is_loopback(), !common.config.tokens.is_empty());
    let host = shard.host().clone();
    let files = rooms::Rooms::new(shard, common.config.files.clone(), config.clone(), open);
    let (tls, limits) = (common.config.tls.clone(), config.limits.clone());
    let end = ftp::serve(host, connection, files, tls, limits, shutdown.requested()).await;
    tracing::debug!(?end, "an FTP session ended");
    common.counts.ftp_ends.count(end.label());
}
