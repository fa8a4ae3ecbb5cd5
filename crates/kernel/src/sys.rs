//! The few system calls that neither std, tokio nor socket2 wraps, and all of this crate's `unsafe`.
//!
//! Each takes a borrowed descriptor, which is open for as long as the borrow lasts, and gives the kernel pointers to
//! local values of the type that the call documents.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use tcp::{disconnect, tcp_info, unacknowledged};

use std::io;

/// Raises the soft limit of open files to the hard one, and gives the limit that holds now.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, exclusive rlimit for the kernel to fill.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a valid rlimit that the kernel only reads.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) })?;
        limit = raised;
    }
    #[allow(clippy::useless_conversion, reason = "rlim_t is signed on some systems")]
    Ok(u64::try_from(limit.rlim_cur).unwrap_or(u64::MAX))
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod tcp {
    use std::io;
    use std::mem::{size_of, zeroed};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use host::ConnectionInfo;

    use super::check;

    /// Bytes in the socket's send queue that the peer has not acknowledged (SIOCOUTQ, `tcp(7)`).
    pub(crate) fn unacknowledged(socket: &impl AsFd) -> io::Result<usize> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: SIOCOUTQ (TIOCOUTQ) stores one int through the pointer, which is valid and exclusive.
        check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// What the kernel knows about the path (TCP_INFO, `tcp(7)`).
    pub(crate) fn tcp_info(socket: &impl AsFd) -> io::Result<ConnectionInfo> {
        // SAFETY: tcp_info is plain integers, for which zero is a value.
        let mut info: libc::tcp_info = unsafe { zeroed() };
        let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, the size of `info`, which is valid and exclusive; an older
        // kernel writes fewer and the rest stays zero.
        check(unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &raw mut length,
            )
        })?;
        Ok(ConnectionInfo {
            round_trip: (info.tcpi_rtt > 0).then(|| Duration::from_micros(u64::from(info.tcpi_rtt))),
            retransmissions: Some(u64::from(info.tcpi_total_retrans)),
            congestion_window: Some(u64::from(info.tcpi_snd_cwnd) * u64::from(info.tcpi_snd_mss)),
        })
    }

    /// Dissolves the association (`connect(2)` with AF_UNSPEC): TCP sends a reset, and what waits on the socket is woken.
    pub(crate) fn disconnect(socket: &impl AsFd) -> io::Result<()> {
        // SAFETY: sockaddr is plain integers, for which zero is a value.
        let mut nowhere: libc::sockaddr = unsafe { zeroed() };
        nowhere.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
        let length = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: the kernel reads `length` bytes, the size of `nowhere`.
        check(unsafe { libc::connect(socket.as_fd().as_raw_fd(), &raw const nowhere, length) })
    }
}
