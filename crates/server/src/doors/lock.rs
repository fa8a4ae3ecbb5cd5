//! The lock on the doors: TLS, where there is a certificate to show.

use host::{Connection, Host};
use tls::Stream;

use crate::station::Common;

/// `connection` as the doors get it: as it is, or inside TLS. `None` when the handshake came to nothing.
pub(super) async fn open<H: Host, C: Connection>(
    host: &H,
    common: &Common,
    connection: C,
) -> Option<Stream<C>> {
    let Some(tls) = &common.config.tls else { return Some(Stream::Plain(connection)) };
    // Whoever is slow here would be slow with its first request too.
    let deadline = host.now() + common.config.http.limits.head_time;
    match tls.accept(host, connection, deadline).await {
        Ok(connection) => Some(Stream::Tls(Box::new(connection))),
        Err(error) => {
            common.counts.tls_failures.count(error.label());
            tracing::debug!(%error, "a connection did not get through the TLS handshake");
            None
        }
    }
}
