//! What belongs to the process rather than to a shard: signals, the service manager, limits.

use std::io;

/// Why the process was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C (SIGINT).
    Interrupt,
    /// SIGTERM, as service managers send it.
    Terminate,
}

/// The signals that ask this process to end. From the first watch on they no longer end it by themselves: a program shuts
/// down in order at the first, and at once at the second.
#[derive(Debug)]
pub struct ShutdownSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl ShutdownSignals {
    /// Starts to watch. Must be called inside a tokio runtime, such as shard 0's.
    ///
    /// # Errors
    ///
    /// When the signal handlers cannot be set.
    pub fn watch() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The next signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        {
            use std::task::Poll;
            std::future::poll_fn(|context| {
                if self.interrupt.poll_recv(context).is_ready() {
                    return Poll::Ready(Signal::Interrupt);
                }
                self.terminate.poll_recv(context).map(|_| Signal::Terminate)
            })
            .await
        }
        #[cfg(not(unix))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Tells the service manager that the program is ready to serve (`READY=1`, `sd_notify(3)`). `false` when nobody asked to
/// be told, which is when NOTIFY_SOCKET is not set.
///
/// # Errors
///
/// When the service manager's socket cannot be reached.
pub fn notify_ready() -> io::Result<bool> {
    notify("READY=1")
}

/// Tells the service manager that the program is shutting down (`STOPPING=1`), as [`notify_ready`] does.
///
/// # Errors
///
/// As [`notify_ready`].
pub fn notify_stopping() -> io::Result<bool> {
    notify("STOPPING=1")
}

fn notify(state: &str) -> io::Result<bool> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(socket) if !socket.is_empty() => send_state(&socket, state).map(|()| true),
        _ => Ok(false),
    }
}

#[cfg(unix)]
fn send_state(socket: &std::ffi::OsStr, state: &str) -> io::Result<()> {
    use std::os::unix::net::UnixDatagram;

    let sender = UnixDatagram::unbound()?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::{ffi::OsStrExt, net::SocketAddr};

        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            return sender.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?).map(drop);
        }
    }
    sender.send_to(state.as_bytes(), socket).map(drop)
}

#[cfg(not(unix))]
fn send_state(_socket: &std::ffi::OsStr, _state: &str) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "NOTIFY_SOCKET is set, but this system has no such sockets",
    ))
}

/// Raises the number of files that this process may have open as far as it is allowed to, for each connection is one, and
/// returns that number; `None` where there is no such limit to raise.
///
/// # Errors
///
/// When the system refuses.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    #[cfg(unix)]
    return crate::sys::raise_file_limit().map(Some);
    #[cfg(not(unix))]
    Ok(None)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn the_service_manager_hears_us_at_an_abstract_address() {
        let name = format!("fourwire-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send_state(format!("@{name}").as_ref(), "READY=1").unwrap();
        let mut buffer = [0; 32];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
    }

    #[test]
    fn the_file_limit_rises_to_the_hard_one_and_stays() {
        let raised = raise_file_limit().unwrap();
        assert!(raised > Some(0));
        assert_eq!(raise_file_limit().unwrap(), raised);
    }
}
