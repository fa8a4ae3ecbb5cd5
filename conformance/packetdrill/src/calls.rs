//! The system calls.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tcpip::internet::Problem;
use tcpip::transport::SocketError;
use tcpip::transport::tcp::{End, ReadError, WriteError};

use crate::options;
use crate::world::{Errno, Kind, Socket, State, World};

/// How long a call waits, in virtual time.
const PATIENCE: Duration = Duration::from_secs(1000);

type Fd = libc::c_int;

impl World {
    /// `fd` is a descriptor of the kernel's that nobody else has.
    pub(crate) fn socket(&self, fd: Fd, v6: bool) {
        self.with(|state| {
            let settings = state.settings();
            let kind = Kind::Fresh;
            let socket =
                Socket { v6, nonblocking: false, settings, local: None, kind, corked: false, deaf: false };
            state.sockets.insert(fd, socket);
        });
    }

    pub(crate) fn bind(&self, fd: Fd, address: SocketAddr) -> Result<(), Errno> {
        self.with(|state| {
            state.sockets.get_mut(&fd).ok_or(libc::EBADF)?.local = Some(address);
            Ok(())
        })
    }

    pub(crate) fn listen(&self, fd: Fd, backlog: i32) -> Result<(), Errno> {
        self.with(|state| {
            let socket = state.sockets.get(&fd).cloned().ok_or(libc::EBADF)?;
            let address = socket.local.ok_or(libc::EDESTADDRREQ)?;
            let backlog = u32::try_from(backlog).unwrap_or(u32::MAX).max(1);
            let mut addresses = vec![address];
            if address.ip().is_unspecified() && address.is_ipv6() {
                addresses.push(SocketAddr::new([0; 4].into(), address.port()));
            }
            state.stack.set_settings(socket.settings);
            let ids = addresses
                .into_iter()
                .map(|address| state.stack.listen(address, backlog).map_err(refused))
                .collect::<Result<_, _>>()?;
            if let Some(socket) = state.sockets.get_mut(&fd) {
                socket.kind = Kind::Listening(ids);
            }
            Ok(())
        })
    }

    /// `fresh` makes the new connection's descriptor.
    pub(crate) fn accept(&self, fd: Fd, fresh: impl Fn() -> Fd) -> Result<(Fd, SocketAddr), Errno> {
        self.block(fd, false, |state| {
            let socket = state.sockets.get(&fd).cloned().ok_or(libc::EBADF)?;
            let Kind::Listening(ids) = &socket.kind else { return Err(libc::EINVAL) };
            let Some(id) = ids.iter().find_map(|&id| state.stack.accept(id)) else { return Ok(None) };
            let peer = state.stack.connection(id).map(|connection| connection.endpoints().remote);
            let made = fresh();
            state.sockets.insert(made, Socket { kind: Kind::Connected(id), nonblocking: false, ..socket });
            Ok(Some((made, peer.ok_or(libc::ECONNABORTED)?)))
        })
    }

    pub(crate) fn connect(&self, fd: Fd, to: SocketAddr) -> Result<(), Errno> {
        let begun = self.with(|state| {
            let socket = state.sockets.get(&fd).cloned().ok_or(libc::EBADF)?;
            match socket.kind {
                Kind::Fresh => {}
                Kind::Connected(id) => return established(state, id).map(|done| !done),
                Kind::Listening(_) => return Err(libc::EISCONN),
            }
            state.stack.set_settings(socket.settings);
            let now = state.now;
            let id = state.stack.connect(now, socket.local, to, &mut state.wire).map_err(refused)?;
            if let Some(socket) = state.sockets.get_mut(&fd) {
                socket.kind = Kind::Connected(id);
            }
            Ok(true)
        })?;
        if !begun {
            return Ok(());
        }
        let done = self.block(fd, false, |state| {
            let Some(Socket { kind: Kind::Connected(id), .. }) = state.sockets.get(&fd) else {
                return Err(libc::EBADF);
            };
            established(state, *id).map(|done| done.then_some(()))
        });
        done.map_err(|errno| if errno == libc::EAGAIN { libc::EINPROGRESS } else { errno })
    }

    pub(crate) fn read(&self, fd: Fd, buffer: &mut [u8], flags: i32) -> Result<usize, Errno> {
        self.block(fd, flags & libc::MSG_DONTWAIT != 0, |state| {
            let (id, deaf) = connected(state, fd)?;
            let now = state.now;
            let mut connection = state.stack.connection(id).ok_or(libc::ENOTCONN)?;
            match connection.read(now, buffer) {
                Ok(read) => Ok(Some(read)),
                Err(ReadError::WouldBlock) if deaf => Ok(Some(0)),
                Err(ReadError::WouldBlock) => Ok(None),
                Err(ReadError::Ended(end)) => Err(errno(end)),
            }
        })
    }

    /// A blocking write ends when all was taken.
    pub(crate) fn write(&self, fd: Fd, pieces: &[IoSlice<'_>], flags: i32) -> Result<usize, Errno> {
        let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        let mut written = 0;
        let outcome = self.block(fd, flags & libc::MSG_DONTWAIT != 0, |state| {
            let (id, _) = connected(state, fd)?;
            let corked = state.sockets.get(&fd).is_some_and(|socket| socket.corked);
            let now = state.now;
            let mut connection = state.stack.connection(id).ok_or(libc::ENOTCONN)?;
            let rest = [IoSlice::new(&all[written..])];
            let outcome = match corked || flags & libc::MSG_MORE == 0 {
                true => connection.write(now, &rest),
                false => connection.write_more(now, &rest),
            };
            match outcome {
                Ok(taken) => {
                    written += taken;
                    Ok((written == all.len()).then_some(()))
                }
                Err(WriteError::WouldBlock) => Ok(None),
                Err(WriteError::ShutDown) => Err(libc::EPIPE),
                Err(WriteError::Ended(end)) => Err(errno(end)),
            }
        });
        match outcome {
            Err(errno) if written == 0 => Err(errno),
            _ => Ok(written),
        }
    }

    pub(crate) fn close(&self, fd: Fd) -> Result<(), Errno> {
        self.with(|state| {
            let now = state.now;
            match state.sockets.remove(&fd).ok_or(libc::EBADF)?.kind {
                Kind::Fresh => {}
                Kind::Listening(ids) => ids.into_iter().for_each(|id| state.stack.unlisten(now, id)),
                Kind::Connected(id) => state.stack.release(now, id),
            }
            Ok(())
        })
    }

    pub(crate) fn shutdown(&self, fd: Fd, how: i32) -> Result<(), Errno> {
        self.with(|state| {
            let (id, _) = connected(state, fd)?;
            let now = state.now;
            let mut connection = state.stack.connection(id).ok_or(libc::ENOTCONN)?;
            if connection.end().is_some() {
                return Err(libc::ENOTCONN);
            }
            if matches!(how, libc::SHUT_WR | libc::SHUT_RDWR) {
                connection.shutdown(now);
            }
            drop(connection);
            if let Some(socket) = state.sockets.get_mut(&fd) {
                socket.deaf |= matches!(how, libc::SHUT_RD | libc::SHUT_RDWR);
            }
            Ok(())
        })
    }

    pub(crate) fn get_option(&self, fd: Fd, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        self.with(|state| options::get(state, fd, level, name))
    }

    pub(crate) fn set_option(&self, fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.with(|state| options::set(state, fd, level, name, value))
    }

    pub(crate) fn flags(&self, fd: Fd) -> Result<i32, Errno> {
        self.with(|state| {
            let socket = state.sockets.get(&fd).ok_or(libc::EBADF)?;
            Ok(libc::O_RDWR | if socket.nonblocking { libc::O_NONBLOCK } else { 0 })
        })
    }

    pub(crate) fn set_flags(&self, fd: Fd, flags: i32) -> Result<(), Errno> {
        self.with(|state| {
            let socket = state.sockets.get_mut(&fd).ok_or(libc::EBADF)?;
            socket.nonblocking = flags & libc::O_NONBLOCK != 0;
            Ok(())
        })
    }

    pub(crate) fn is_v6(&self, fd: Fd) -> bool {
        self.with(|state| state.sockets.get(&fd).is_some_and(|socket| socket.v6))
    }

    /// Bytes that wait to be read (SIOCINQ) or to be acknowledged (SIOCOUTQ).
    pub(crate) fn waiting(&self, fd: Fd, request: u64) -> Option<i32> {
        self.with(|state| {
            let (id, _) = connected(state, fd).ok()?;
            let info = state.stack.connection(id)?.info();
            match request {
                libc::FIONREAD => Some(info.unread as i32),
                libc::TIOCOUTQ => Some(info.unacknowledged as i32),
                _ => None,
            }
        })
    }

    /// Waits until something of what is asked for is true of one of `descriptors`; `None` waits for ever.
    pub(crate) fn poll(&self, descriptors: &mut [libc::pollfd], timeout: Option<Duration>) -> i32 {
        let ready = self.wait(timeout.unwrap_or(PATIENCE), |state| {
            let mut count = 0;
            for one in descriptors.iter_mut() {
                one.revents =
                    events(state, one.fd) & (one.events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL);
                count += i32::from(one.revents != 0);
            }
            (count > 0).then_some(count)
        });
        ready.unwrap_or(0)
    }

    /// Does what `attempt` does as soon as it can; at once, or not at all, where the program does not want to wait.
    fn block<T>(
        &self,
        fd: Fd,
        at_once: bool,
        mut attempt: impl FnMut(&mut State) -> Result<Option<T>, Errno>,
    ) -> Result<T, Errno> {
        let done = self.wait(PATIENCE, |state| {
            let at_once = at_once || state.sockets.get(&fd).is_some_and(|socket| socket.nonblocking);
            match attempt(state) {
                Ok(Some(done)) => Some(Ok(done)),
                Ok(None) if at_once => Some(Err(libc::EAGAIN)),
                Ok(None) => None,
                Err(errno) => Some(Err(errno)),
            }
        });
        done.unwrap_or(Err(libc::ETIMEDOUT))
    }
}

fn connected(state: &State, fd: Fd) -> Result<(tcpip::transport::ConnectionId, bool), Errno> {
    match state.sockets.get(&fd).ok_or(libc::EBADF)? {
        Socket { kind: Kind::Connected(id), deaf, .. } => Ok((*id, *deaf)),
        _ => Err(libc::ENOTCONN),
    }
}

/// Whether the handshake is done.
fn established(state: &mut State, id: tcpip::transport::ConnectionId) -> Result<bool, Errno> {
    let connection = state.stack.connection(id).ok_or(libc::ECONNABORTED)?;
    match connection.end() {
        Some(end) => Err(errno(end)),
        None => Ok(connection.is_established()),
    }
}

/// What `poll(2)` says of a descriptor.
fn events(state: &mut State, fd: Fd) -> i16 {
    let Some(socket) = state.sockets.get(&fd) else { return libc::POLLNVAL };
    let Kind::Connected(id) = socket.kind else { return 0 };
    let Some(connection) = state.stack.connection(id) else { return libc::POLLHUP };
    let mut events = 0;
    if connection.is_readable() {
        events |= libc::POLLIN | libc::POLLRDNORM;
    }
    if connection.is_writable() {
        events |= libc::POLLOUT | libc::POLLWRNORM;
    }
    match connection.end() {
        Some(End::Closed) => events |= libc::POLLHUP,
        Some(_) => events |= libc::POLLERR | libc::POLLHUP,
        None => {}
    }
    events
}

fn refused(error: SocketError) -> Errno {
    match error {
        SocketError::AddressInUse => libc::EADDRINUSE,
        SocketError::AddressNotAvailable => libc::EADDRNOTAVAIL,
        SocketError::Send(_) => libc::ENETUNREACH,
        _ => libc::EAGAIN,
    }
}

/// How a program learns of the end of a connection.
pub(crate) fn errno(end: End) -> Errno {
    match end {
        End::Refused => libc::ECONNREFUSED,
        End::Reset => libc::ECONNRESET,
        End::TimedOut => libc::ETIMEDOUT,
        End::Unreachable(Problem::NetworkUnreachable) => libc::ENETUNREACH,
        End::Unreachable(Problem::PortUnreachable) => libc::ECONNREFUSED,
        End::Unreachable(_) => libc::EHOSTUNREACH,
        End::Aborted => libc::ECONNABORTED,
        End::Closed => libc::EPIPE,
    }
}

/// An IPv4 address in the form that sockets of IPv6 have it.
pub(crate) fn as_seen_by(v6: bool, address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) if v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        _ => address,
    }
}
