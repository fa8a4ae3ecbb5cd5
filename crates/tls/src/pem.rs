//! Certificates and keys as files have them (RFC 7468).

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with a file of certificates or keys.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// There is no certificate in it.
    #[error("there is no certificate in it: it should have a BEGIN CERTIFICATE line")]
    NoCertificate,
    /// There is no private key in it.
    #[error("there is no private key in it: it should have a BEGIN PRIVATE KEY line")]
    NoKey,
    /// It is not PEM.
    #[error("it is no PEM file: {0}")]
    Malformed(rustls::pki_types::pem::Error),
    /// The certificate and the key do not go together, or cannot be used.
    #[error("it cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(PemError::Malformed)?;
    if chain.is_empty() { Err(PemError::NoCertificate) } else { Ok(chain) }
}

pub(crate) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    use rustls::pki_types::pem::Error::NoItemsFound;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        NoItemsFound => PemError::NoKey,
        error => PemError::Malformed(error),
    })
}
