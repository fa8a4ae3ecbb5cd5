//! How a running server tells its network's state: by a Unix socket in the abstract namespace, which goes with the
//! process and with its network namespace, to its own user and to root.

use std::future::poll_fn;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::SocketAddr;
use std::time::Duration;

use host::{Runtime, sleep, timeout_at};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::own;
use super::report::Report;
use crate::network::{Net, OwnHost};

/// The longest report that is read, in bytes: that of 200,000 connections has room.
const LONGEST: u64 = 128 * 1024 * 1024;

/// How long who asks may take to hear it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long accepting rests after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the state of `host` to whoever asks, until the runtime ends.
///
/// # Errors
///
/// When somebody else tells that of a network of this name.
pub(crate) fn share(host: &OwnHost, net: Net) -> io::Result<()> {
    let listener = std::os::unix::net::UnixListener::bind_addr(&address(&net)?)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let (asked, runtime) = (host.clone(), host.runtime().clone());
    host.spawn_detached(async move {
        // One after the other: who asks is a person.
        loop {
            let Ok((mut stream, _)) = poll_fn(|context| listener.poll_accept(context)).await else {
                // The process has no descriptor left, and may have one again.
                sleep(&runtime, PAUSE).await;
                continue;
            };
            if !is_own_or_root(&stream).unwrap_or(false) {
                continue;
            }
            let Ok(report) = serde_json::to_vec(&own::report(&asked, &net)) else { continue };
            let deadline = runtime.now() + PATIENCE;
            let telling = async move { stream.write_all(&report).await };
            let _ = timeout_at(&runtime, deadline, telling).await;
        }
    });
    Ok(())
}

/// What the server on `net` tells; `None` when none runs there.
///
/// # Errors
///
/// When it is somebody else's, or does not tell what is understood.
pub(super) async fn ask(net: &Net) -> io::Result<Option<Report>> {
    let stream = match std::os::unix::net::UnixStream::connect_addr(&address(net)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        stream => stream?,
    };
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    if !is_own_or_root(&stream)? && user()? != 0 {
        let why = format!("a server of another user runs on {net}: ask as that user, or as root");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    if bytes.is_empty() {
        let why = format!("the server on {net} does not tell this user: ask as its own, or as root");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from)
}

/// Whether the other end is of this user or of root.
fn is_own_or_root(stream: &UnixStream) -> io::Result<bool> {
    let other = stream.peer_cred()?.uid();
    Ok(other == user()? || other == 0)
}

/// The user that this process runs as.
fn user() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

fn address(net: &Net) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("fourwire/net/{net}"))
}
