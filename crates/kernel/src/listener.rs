//! Where TCP connections arrive.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use host::{ListenOptions, Listener};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::KernelConnection;

/// A listening TCP socket of the operating system.
#[derive(Debug)]
pub struct KernelListener {
    listener: TcpListener,
    address: SocketAddr,
    /// Held for its `Drop`, after the socket's.
    _sharing: Option<Sharing>,
}

impl KernelListener {
    /// Must run inside a tokio runtime.
    pub(crate) fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let (socket, sharing) =
            if options.shared { Sharing::bind(address)? } else { (bind(address, false)?, None) };
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, _sharing: sharing })
    }
}

impl Listener for KernelListener {
    type Connection = KernelConnection;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<KernelConnection>> {
        self.listener
            .poll_accept(context)
            .map(|accepted| accepted.map(|(stream, peer)| KernelConnection::new(stream, peer)))
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(address: SocketAddr, share_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if matches!(address, SocketAddr::V6(address) if address.ip().is_unspecified()) {
        // A system may have it either way; a machine without IPv4 refuses, and needs it not.
        let _ = socket.set_only_v6(false);
    }
    // On Unix this lets a restarted server listen while connections of the old one linger in TIME-WAIT; on Windows it
    // would let two servers take each other's connections.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if share_port {
        share(&socket)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
fn share(_socket: &Socket) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system cannot share a port between listeners: run with one shard",
    ))
}

/// Addresses at which this process has shared listeners, and how many.
static SHARED: Mutex<Vec<(SocketAddr, usize)>> = Mutex::new(Vec::new());

/// One listener's part of a shared address.
///
/// SO_REUSEPORT lets any process of the same user join in, and then a server that was started twice would serve half of
/// the connections each, instead of saying that the port is in use. So the first listener of this process tries the
/// address without that option before it takes it with.
#[derive(Debug)]
struct Sharing(SocketAddr);

impl Sharing {
    fn bind(address: SocketAddr) -> io::Result<(Socket, Option<Self>)> {
        if address.port() == 0 {
            let socket = bind(address, true)?;
            let address = socket.local_addr()?.as_socket().unwrap_or(address);
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            join(&mut shared, address);
            return Ok((socket, Some(Self(address))));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.iter().any(|(taken, _)| *taken == address) {
            drop(bind(address, false)?);
        }
        let socket = bind(address, true)?;
        join(&mut shared, address);
        Ok((socket, Some(Self(address))))
    }
}

fn join(shared: &mut Vec<(SocketAddr, usize)>, address: SocketAddr) {
    match shared.iter_mut().find(|(taken, _)| *taken == address) {
        Some((_, listeners)) => *listeners += 1,
        None => shared.push((address, 1)),
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = shared.iter().position(|(taken, _)| *taken == self.0) {
            shared[position].1 -= 1;
            if shared[position].1 == 0 {
                shared.swap_remove(position);
            }
        }
    }
}
