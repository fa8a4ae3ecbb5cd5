//! Whom to believe that a server is who it says.

use std::fs;
use std::io;
use std::path::PathBuf;

use host::Runtime;
use tls::{Client, PemError, Roots};

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Believe certificates that those in this PEM file vouch for, and no others [default: those that the system believes]
    #[arg(long = "ca", env = "FOURWIRE_CA", value_name = "FILE")]
    authorities: Option<PathBuf>,
}

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    #[error("{0}: {1}")]
    Pem(PathBuf, PemError),
    #[error("the system believes nobody; install its certificates (ca-certificates), or give --ca FILE{0}")]
    Nobody(String),
}

impl Args {
    /// A TLS client that believes them.
    pub(crate) fn client<R: Runtime>(&self, runtime: &R, protocols: &[&str]) -> Result<Client, Error> {
        let mut roots = Roots::none();
        match &self.authorities {
            Some(path) => {
                let pem = fs::read(path).map_err(|error| Error::Read(path.clone(), error))?;
                roots.add_pem(&pem).map_err(|error| Error::Pem(path.clone(), error))?;
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                if roots.add_der(found.certs.into_iter().map(|certificate| certificate.to_vec())) == 0 {
                    let why = found.errors.first().map(|error| format!(": {error}"));
                    return Err(Error::Nobody(why.unwrap_or_default()));
                }
            }
        }
        Ok(Client::new(runtime, roots, protocols))
    }
}
