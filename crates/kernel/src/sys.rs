//! The few system calls that neither std, tokio nor socket2 wraps, and all of this crate's `unsafe`.
//!
//! Each takes a borrowed descriptor, which is open for as long as the borrow lasts, and gives the kernel pointers to
//! local values of the type that the call documents.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use tcp::{disconnect, tcp_info, unacknowledged};

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use icmp::{Message, Origin, receive, report_errors};

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::{AsRawFd, OwnedFd};

#[cfg(any(target_os = "linux", target_os = "android"))]
use tokio::io::{Interest, unix::AsyncFd};

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

/// Lets the runtime that the caller runs in watch the descriptor that `owner` owns.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn watch<T: AsRawFd + Into<OwnedFd>>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the owner's descriptor is open, and nothing in this crate swaps or closes it while the AsyncFd holds it: only
    // shared borrows of it are ever taken.
    Ok(unsafe { AsyncFd::register_with_interest(owner, interest) }?)
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

#[cfg(any(target_os = "linux", target_os = "android"))]
mod icmp {
    use std::io;
    use std::mem::{size_of, zeroed};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::os::fd::{AsFd, AsRawFd};
    use std::ptr;

    use super::check;

    /// What comes with a packet, or with one that the kernel gives back because it did not get there.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Message {
        /// Bytes in the buffer.
        pub(crate) len: usize,
        /// From whom.
        pub(crate) source: Option<IpAddr>,
        /// Its TTL or hop limit.
        pub(crate) ttl: Option<u8>,
        /// Why it came back.
        pub(crate) origin: Option<Origin>,
    }

    /// Why the kernel gives a packet back (`sock_extended_err`, `ip(7)`).
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Origin {
        /// Of the ICMP error, if one did it.
        pub(crate) kind: u8,
        /// Of the ICMP error.
        pub(crate) code: u8,
        /// Which MTU a router has, if it said so.
        pub(crate) info: u32,
        /// The ICMP error's sender; none where this machine itself had something against it.
        pub(crate) reporter: Option<IpAddr>,
    }

    /// Has the kernel tell TTLs, and give back what ICMP errors are about (IP_RECVTTL, IP_RECVERR and those of IPv6).
    pub(crate) fn report_errors(socket: &impl AsFd, v6: bool) -> io::Result<()> {
        let options = match v6 {
            false => [(libc::IPPROTO_IP, libc::IP_RECVTTL), (libc::IPPROTO_IP, libc::IP_RECVERR)],
            true => [(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)],
        };
        let on: libc::c_int = 1;
        for (level, option) in options {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            let socket = socket.as_fd().as_raw_fd();
            // SAFETY: each of these options takes an int, which the kernel reads through the pointer.
            check(unsafe { libc::setsockopt(socket, level, option, (&raw const on).cast(), length) })?;
        }
        Ok(())
    }

    /// Receives a packet, or, from the error queue, one that came back (`recvmsg(2)`), without waiting.
    pub(crate) fn receive(socket: &impl AsFd, buffer: &mut [u8], errors: bool) -> io::Result<Message> {
        // SAFETY: sockaddr_storage is plain integers, for which zero is a value.
        let mut source: libc::sockaddr_storage = unsafe { zeroed() };
        // Of u64, so that it is aligned as cmsghdr asks; more than the TTL and the longest error take.
        let mut control = [0_u64; 32];
        let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: msghdr is plain integers and pointers, for which zero is a value.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = (&raw mut source).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | if errors { libc::MSG_ERRQUEUE } else { 0 };
        // SAFETY: every pointer of `header` is valid and exclusive for the length beside it while the call lasts.
        let len = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: `source` is an initialized sockaddr_storage.
        let source = unsafe { address((&raw const source).cast()) };
        let mut message = Message { len, source, ..Message::default() };
        // SAFETY: the kernel has filled `header` and the control messages that it points to, which are not changed or moved
        // while they are walked; the pointers that CMSG_FIRSTHDR and CMSG_NXTHDR give lie within them or are null.
        unsafe {
            let mut next = libc::CMSG_FIRSTHDR(&raw const header);
            while !next.is_null() {
                let data = libc::CMSG_DATA(next);
                match ((*next).cmsg_level, (*next).cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                        let ttl = ptr::read_unaligned(data.cast::<libc::c_int>());
                        message.ttl = u8::try_from(ttl).ok();
                    }
                    (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                        let error = ptr::read_unaligned(data.cast::<libc::sock_extended_err>());
                        // SO_EE_OFFENDER: the address follows, of family AF_UNSPEC where there is none.
                        let offender = data.add(size_of::<libc::sock_extended_err>());
                        message.origin = Some(Origin {
                            kind: error.ee_type,
                            code: error.ee_code,
                            info: error.ee_info,
                            reporter: address(offender),
                        });
                    }
                    _ => {}
                }
                next = libc::CMSG_NXTHDR(&raw const header, next);
            }
        }
        Ok(message)
    }

    /// The IP address of a socket address.
    ///
    /// # Safety
    ///
    /// `at` points to a socket address of the length that its family has, aligned or not.
    unsafe fn address(at: *const u8) -> Option<IpAddr> {
        // SAFETY: every socket address begins with its family; what follows is as long as the caller promises.
        unsafe {
            match libc::c_int::from(ptr::read_unaligned(at.cast::<libc::sa_family_t>())) {
                libc::AF_INET => {
                    let v4 = ptr::read_unaligned(at.cast::<libc::sockaddr_in>());
                    Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
                }
                libc::AF_INET6 => {
                    let v6 = ptr::read_unaligned(at.cast::<libc::sockaddr_in6>());
                    Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
                }
                _ => None,
            }
        }
    }
}
