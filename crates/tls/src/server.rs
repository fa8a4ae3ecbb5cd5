//! The side that shows who it is.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use host::{Instant, Runtime};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};

use crate::Connection;
use crate::handshake::{Error, shake};
use crate::pem::{PemError, certificates, key};

/// Makes TLS connections with clients, under one certificate, which may be changed at any time.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

impl Server {
    /// A server that shows the first certificate of `chain`, followed by those that vouch for it, and holds its `key`,
    /// both in PEM. It speaks one of `protocols` (RFC 7301) with clients that ask for one. The time of day, which only
    /// the age of session tickets needs, is the system's.
    ///
    /// # Errors
    ///
    /// When the files are not what they should be, or do not go together.
    pub fn new(chain: &[u8], key: &[u8], protocols: &[&str]) -> Result<Self, PemError> {
        let provider = Arc::new(ring::default_provider());
        let shown = Arc::new(Shown(RwLock::new(certified(&provider, chain, key)?)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library supports its own default versions")
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), shown })
    }

    /// Shows another certificate from now on. Connections that there are keep theirs.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the old certificate stays then.
    pub fn change(&self, chain: &[u8], key: &[u8]) -> Result<(), PemError> {
        let certified = certified(self.config.crypto_provider(), chain, key)?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// Shakes hands with the client at the other end of `transport`.
    ///
    /// # Errors
    ///
    /// When it does not speak TLS, shares no version or cipher with us, or `deadline` passes.
    pub async fn accept<C: host::Connection, R: Runtime>(
        &self,
        runtime: &R,
        transport: C,
        deadline: Instant,
    ) -> Result<Connection<C>, Error> {
        let session = ServerConnection::new(self.config.clone())?;
        shake(transport, session, runtime, deadline).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tls::Server")
    }
}

/// The certificate that clients are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(
    provider: &CryptoProvider,
    chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<CertifiedKey>, PemError> {
    Ok(Arc::new(CertifiedKey::from_der(certificates(chain_pem)?, key(key_pem)?, provider)?))
}
