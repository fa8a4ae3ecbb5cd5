//! What went wrong in the stack, as the kinds of error that Linux gives for it.

use std::io::{self, ErrorKind};

use tcpip::internet::{Problem, SendError};
use tcpip::transport::SocketError;
use tcpip::transport::tcp::{End, ReadError, WriteError};

/// Why a socket could not be made, or could not send.
pub(super) fn socket(error: SocketError) -> io::Error {
    let kind = match &error {
        SocketError::AddressInUse => ErrorKind::AddrInUse,
        SocketError::AddressNotAvailable => ErrorKind::AddrNotAvailable,
        SocketError::NoPort => ErrorKind::AddrNotAvailable,
        SocketError::TooMany => ErrorKind::OutOfMemory,
        SocketError::TooLong | SocketError::Group(_) => ErrorKind::InvalidInput,
        SocketError::Send(error) => send(*error),
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn send(error: SendError) -> ErrorKind {
    match error {
        SendError::NoRoute => ErrorKind::NetworkUnreachable,
        SendError::NoAddress => ErrorKind::AddrNotAvailable,
        SendError::TooBig(_) => ErrorKind::InvalidInput,
        SendError::NoRoom => ErrorKind::WouldBlock,
    }
}

/// How a connection ended.
pub(super) fn end(end: End) -> io::Error {
    match end {
        End::Refused => ErrorKind::ConnectionRefused.into(),
        End::Reset => ErrorKind::ConnectionReset.into(),
        End::TimedOut => ErrorKind::TimedOut.into(),
        End::Unreachable(why) => problem(why),
        End::Aborted => ErrorKind::ConnectionAborted.into(),
        End::Closed => ErrorKind::NotConnected.into(),
    }
}

/// What an ICMP error said of what was sent.
pub(super) fn problem(problem: Problem) -> io::Error {
    match problem {
        Problem::NetworkUnreachable => ErrorKind::NetworkUnreachable.into(),
        Problem::HostUnreachable | Problem::TimeExceeded => ErrorKind::HostUnreachable.into(),
        Problem::PortUnreachable | Problem::ProtocolUnreachable => ErrorKind::ConnectionRefused.into(),
        Problem::Prohibited => io::Error::new(
            ErrorKind::HostUnreachable,
            "a rule on the way forbids it (ICMP: administratively prohibited)",
        ),
        Problem::TooBig(mtu) => io::Error::new(
            ErrorKind::InvalidInput,
            format!("too long for the path: at most {mtu} bytes with the headers get there"),
        ),
        Problem::Parameter => ErrorKind::InvalidData.into(),
    }
}

/// Why nothing was read.
pub(super) fn read(error: ReadError, ended: Option<End>) -> io::Error {
    match error {
        ReadError::WouldBlock => ErrorKind::WouldBlock.into(),
        _ => ended.map_or_else(|| ErrorKind::NotConnected.into(), end),
    }
}

/// Why nothing was written.
pub(super) fn write(error: WriteError, ended: Option<End>) -> io::Error {
    match (error, ended) {
        (WriteError::WouldBlock, _) => ErrorKind::WouldBlock.into(),
        // Who shut down, or was closed by, writes into a pipe that nobody empties.
        (_, None | Some(End::Closed)) => ErrorKind::BrokenPipe.into(),
        (_, Some(ended)) => end(ended),
    }
}
