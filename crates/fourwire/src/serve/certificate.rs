//! The certificate that `serve` and `ws --listen` show: from files, or made here to try TLS out.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host::{Runtime, sleep};
use rcgen::{CertificateParams, KeyPair};
use tls::{PemError, Server};

/// How often the files are looked at again.
const LOOK: Duration = Duration::from_secs(5);

/// After so long a certificate that was made here is made anew: browsers believe none for longer than 398 days.
const AGE: Duration = Duration::from_secs(300 * 86_400);

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files in PEM: the certificate with those that vouch for it, and its key.
    Files { chain: PathBuf, key: PathBuf },
    /// One that nobody vouches for, kept in this directory, or not at all.
    SelfSigned(Option<PathBuf>),
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, io::Error),
    #[error("{0}: {1}")]
    Pem(PathBuf, PemError),
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate and its key, in PEM.
type Pems = (Vec<u8>, Vec<u8>);

impl Source {
    /// The TLS server with this certificate, for a server that listens on `addresses`.
    pub(crate) fn server(&self, addresses: &[SocketAddr]) -> Result<Server, Error> {
        let (name, (chain, key)) = match self {
            Self::Files { chain, key } => (chain.clone(), read(chain, key)?),
            Self::SelfSigned(directory) => {
                let pems = self_signed(directory.as_deref(), addresses)?;
                (PathBuf::from("the certificate that was made here"), pems)
            }
        };
        Server::new(&chain, &key, &["http/1.1"]).map_err(|error| Error::Pem(name, error))
    }

    /// Shows what the files hold as soon as they change, for as long as the runtime lives.
    pub(crate) async fn follow<R: Runtime>(self, runtime: R, server: Server) {
        let Self::Files { chain, key } = self else { return };
        let mut seen = (modified(&chain), modified(&key));
        loop {
            sleep(&runtime, LOOK).await;
            let (chain, key) = (chain.clone(), key.clone());
            let looked = runtime.blocking(move || {
                let found = (modified(&chain), modified(&key));
                (found != seen).then(|| (found, read(&chain, &key), chain))
            });
            let Some((found, read, chain)) = looked.await else { continue };
            let changed = read
                .and_then(|(pem, key)| server.change(&pem, &key).map_err(|error| Error::Pem(chain, error)));
            match changed {
                Ok(()) => tracing::info!("another certificate is shown from now on"),
                // One file of the two may be written already; the next look finds both.
                Err(error) => {
                    tracing::warn!(%error, "the certificate changed, and the old one is shown further");
                }
            }
            seen = found;
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn read(chain: &Path, key: &Path) -> Result<Pems, Error> {
    let read = |path: &Path| fs::read(path).map_err(|error| Error::Read(path.into(), error));
    Ok((read(chain)?, read(key)?))
}

/// The certificate that `directory` keeps, if it is for the same names and not too old, else a new one.
fn self_signed(directory: Option<&Path>, addresses: &[SocketAddr]) -> Result<Pems, Error> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for address in addresses.iter().filter(|address| !address.ip().is_unspecified()) {
        let name = address.ip().to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // Text before the first BEGIN line is no part of it (RFC 7468, section 2).
    let heading = format!("For {}\n", names.join(", "));
    let Some(directory) = directory else { return make(names, &heading) };
    let (chain, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    let young = modified(&chain).and_then(|made| made.elapsed().ok()).is_some_and(|age| age < AGE);
    if young
        && let Ok(kept) = read(&chain, &key)
        && kept.0.starts_with(heading.as_bytes())
    {
        return Ok(kept);
    }
    let made = make(names, &heading)?;
    fs::create_dir_all(directory).map_err(|error| Error::Write(directory.into(), error))?;
    for (path, pem) in [(&key, &made.1), (&chain, &made.0)] {
        write_private(path, pem).map_err(|error| Error::Write(path.clone(), error))?;
    }
    Ok(made)
}

fn make(names: Vec<String>, heading: &str) -> Result<Pems, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let now = time::OffsetDateTime::now_utc();
    // Clocks differ a little.
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(397);
    let pem = params.self_signed(&key)?.pem();
    Ok((format!("{heading}{pem}").into_bytes(), key.serialize_pem().into_bytes()))
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_as_long_as_the_addresses_are_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let made = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            self_signed(Some(directory.path()), &addresses).unwrap()
        };
        let first = made(&["127.0.0.1:1"]);
        assert_eq!(made(&["0.0.0.0:2"]), first, "these names are in it");
        let second = made(&["10.9.0.2:1"]);
        assert_ne!(second, first);
        assert!(second.0.starts_with(b"For localhost, 127.0.0.1, ::1, 10.9.0.2\n-----BEGIN"));
        assert_eq!(made(&["10.9.0.2:443"]), second);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(directory.path().join("key.pem")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
