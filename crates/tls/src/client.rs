//! The side that asks who the other is.

use std::fmt;
use std::sync::Arc;

use host::{Instant, Runtime};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::Connection;
use crate::handshake::{Error, shake};
use crate::pem::{PemError, certificates};
use crate::time::WallClock;

/// Whose word is taken for who a server is.
#[derive(Clone, Debug)]
pub struct Roots(RootCertStore);

impl Roots {
    /// Nobody's yet.
    pub fn none() -> Self {
        Self(RootCertStore::empty())
    }

    /// Trusts the certificates of a PEM file too. Those that cannot be used are passed over.
    ///
    /// # Errors
    ///
    /// When there is none that can be used.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), PemError> {
        match self.0.add_parsable_certificates(certificates(pem)?) {
            (0, _) => Err(PemError::NoCertificate),
            _ => Ok(()),
        }
    }

    /// Trusts these certificates too, in DER, and says how many of them could be used.
    pub fn add_der(&mut self, certificates: impl IntoIterator<Item = Vec<u8>>) -> usize {
        self.0.add_parsable_certificates(certificates.into_iter().map(Into::into)).0
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Makes TLS connections to servers whose certificates it verifies.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// A client that trusts `roots`, and offers `protocols` (RFC 7301), the dearest first. The time of day is that of
    /// `runtime`.
    pub fn new<R: Runtime>(runtime: &R, roots: Roots, protocols: &[&str]) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(WallClock(runtime.clone())))
            .with_safe_default_protocol_versions()
            .expect("the library supports its own default versions")
            .with_root_certificates(roots.0)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Shakes hands over `transport` with the server called `name`, which is a name or an IP address.
    ///
    /// # Errors
    ///
    /// When the server cannot show that it is `name`, does not speak TLS, or `deadline` passes.
    pub async fn connect<C: host::Connection, R: Runtime>(
        &self,
        runtime: &R,
        transport: C,
        name: &str,
        deadline: Instant,
    ) -> Result<Connection<C>, Error> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.to_owned()))?;
        let session = ClientConnection::new(self.0.clone(), name)?;
        shake(transport, session, runtime, deadline).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tls::Client")
    }
}
