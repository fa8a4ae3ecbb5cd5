//! The requests to the Linux kernel that make a descriptor of `/dev/net/tun` an interface, and all of this crate's
//! `unsafe`.
//!
//! Each request takes a borrowed descriptor, which is open for as long as the borrow lasts, and gives the kernel a pointer to a
//! local `ifreq`, the type that `netdevice(7)` and the kernel's `tuntap.rst` document for it.
#![allow(unsafe_code, reason = "no safe crate of ours wraps TUNSETIFF and SIOCGIFMTU")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::unix::AsyncFd;

/// The longest name of an interface, in bytes, without the zero that ends it.
pub(super) const LONGEST_NAME: usize = libc::IFNAMSIZ - 1;

/// Makes `tun`, a descriptor of `/dev/net/tun`, the other side of the interface `name` (TUNSETIFF). `ethernet` chooses
/// TAP over TUN; no packet information goes before a frame. Where no such interface is, it is made and goes with the
/// descriptor.
pub(super) fn attach(tun: &impl AsFd, name: &str, ethernet: bool) -> io::Result<()> {
    let mode = if ethernet { libc::IFF_TAP } else { libc::IFF_TUN };
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = (mode | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq through the pointer, which is valid and exclusive.
    check(unsafe { libc::ioctl(tun.as_fd().as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })
}

/// The MTU of the interface `name` (SIOCGIFMTU), asked of any `socket`, in bytes.
pub(super) fn mtu(socket: &impl AsFd, name: &str) -> io::Result<u16> {
    let mut request = request(name)?;
    // SAFETY: SIOCGIFMTU reads and writes one ifreq through the pointer, which is valid and exclusive.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) })?;
    // SAFETY: the kernel has stored the MTU in this member; every bit pattern is an int.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// Lets the runtime that the caller runs in watch `file`.
pub(super) fn watch(file: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: the file owns its open descriptor, and nothing here swaps or closes it while the AsyncFd holds it: only
    // shared borrows of it are ever taken.
    Ok(unsafe { AsyncFd::register(file) }?)
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: ifreq is plain integers and a union of such, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
