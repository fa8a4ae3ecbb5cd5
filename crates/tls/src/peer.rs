//! What is known of the other side, for people to read.

use host::WallTime;
use rustls::ProtocolVersion;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a peer has shown of itself in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The version of TLS that both sides chose.
    pub version: &'static str,
    /// When its certificate ceases to be valid; `None` for a peer that showed none.
    pub not_after: Option<WallTime>,
}

impl Peer {
    pub(crate) fn of(session: &rustls::Connection) -> Self {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        let own = session.peer_certificates().and_then(<[_]>::first);
        let not_after = own.and_then(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
            Some(WallTime::from_unix_millis(seconds.saturating_mul(1000)))
        });
        Self { version, not_after }
    }
}
