//! The requests to the Linux kernel that make a descriptor of `/dev/net/tun` an interface and bind a packet socket to one,
//! and all of this crate's `unsafe`.
//!
//! Each request takes a borrowed descriptor, which is open for as long as the borrow lasts, and gives the kernel a pointer to a
//! local `ifreq`, the type that `netdevice(7)` and the kernel's `tuntap.rst` document for it.
#![allow(unsafe_code, reason = "no safe crate of ours wraps TUNSETIFF, SIOCGIFMTU and packet sockets")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

/// The longest name of an interface, in bytes, without the zero that ends it.
pub(super) const LONGEST_NAME: usize = libc::IFNAMSIZ - 1;

/// Makes `tun`, a descriptor of `/dev/net/tun`, the other side of the interface `name` (TUNSETIFF). `ethernet` chooses
/// TAP over TUN; no packet information goes before a frame, and a virtio-net header only when `virtio` is asked for. Where no
/// such interface is, it is made and goes with the descriptor.
pub(super) fn attach(tun: &impl AsFd, name: &str, ethernet: bool, virtio: bool) -> io::Result<()> {
    let mode = if ethernet { libc::IFF_TAP } else { libc::IFF_TUN };
    let virtio = if virtio { libc::IFF_VNET_HDR } else { 0 };
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = (mode | libc::IFF_NO_PI | virtio) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq through the pointer, which is valid and exclusive.
    check(unsafe { libc::ioctl(tun.as_fd().as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })
}

/// Whether the kernel can put a virtio-net header before the frames of `tun` (TUNGETFEATURES).
pub(super) fn knows_virtio(tun: &impl AsFd) -> bool {
    let mut features: libc::c_uint = 0;
    // SAFETY: TUNGETFEATURES writes one unsigned int through the pointer, which is valid and exclusive.
    let asked =
        check(unsafe { libc::ioctl(tun.as_fd().as_raw_fd(), libc::TUNGETFEATURES as _, &raw mut features) });
    asked.is_ok() && features & libc::IFF_VNET_HDR as libc::c_uint != 0
}

/// Says whether we take checksums that are missing and TCP segments that are to be cut (TUNSETOFFLOAD), behind a header of
/// [`virtio::Header::LEN`](wire::virtio::Header::LEN) bytes (TUNSETVNETHDRSZ) in its own byte order (TUNSETVNETLE).
pub(super) fn offload(tun: &impl AsFd, on: bool) -> io::Result<()> {
    let descriptor = tun.as_fd().as_raw_fd();
    let segments = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let taken = libc::c_ulong::from(if on { segments } else { 0 });
    if on {
        let (length, little) = (wire::virtio::Header::LEN as libc::c_int, libc::c_int::from(true));
        // SAFETY: TUNSETVNETHDRSZ and TUNSETVNETLE each read one int through the pointer, which is valid.
        check(unsafe { libc::ioctl(descriptor, libc::TUNSETVNETHDRSZ as _, &raw const length) })?;
        // SAFETY: as above.
        check(unsafe { libc::ioctl(descriptor, libc::TUNSETVNETLE as _, &raw const little) })?;
    }
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(descriptor, libc::TUNSETOFFLOAD as _, taken) })
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

/// A socket for all frames that the interface `name` receives, in promiscuous mode (`packet(7)`), and that interface's
/// hardware address.
pub(super) fn packet_socket(name: &str) -> io::Result<(Socket, [u8; 6])> {
    let every = libc::c_int::from((libc::ETH_P_ALL as u16).to_be());
    // No protocol yet, so that nothing of other interfaces is received before it is bound.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    let mut request = request(name)?;
    // SAFETY: SIOCGIFINDEX reads and writes one ifreq through the pointer, which is valid and exclusive.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX as _, &raw mut request) })?;
    // SAFETY: the kernel has stored the index in this member; every bit pattern is an int.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    // SAFETY: as for SIOCGIFINDEX.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) })?;
    // SAFETY: the kernel has stored a sockaddr in this member, which is plain bytes.
    let mac = unsafe { request.ifr_ifru.ifru_hwaddr }.sa_data;
    let mut hardware = [0; 6];
    hardware.iter_mut().zip(mac).for_each(|(byte, given)| *byte = given as u8);

    // SAFETY: packet_mreq is plain integers, for which zero is a value.
    let mut membership: libc::packet_mreq = unsafe { std::mem::zeroed() };
    membership.mr_ifindex = index;
    membership.mr_type = libc::PACKET_MR_PROMISC as libc::c_ushort;
    set(&socket, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
    // What the kernel itself sends by the interface, our own frames among it, is nothing that arrived.
    set(&socket, PACKET_IGNORE_OUTGOING, &libc::c_int::from(true))?;

    // SAFETY: sockaddr_ll is plain integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = every as u16;
    address.sll_ifindex = index;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: bind reads `length` bytes through the pointer, which is valid for that.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok((socket, hardware))
}

/// From `linux/if_packet.h`; Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

fn set<T>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of_val(value) as libc::socklen_t;
    // SAFETY: setsockopt reads `length` bytes through the pointer, which is valid for that.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, (&raw const *value).cast(), length)
    })
}

/// Lets the runtime that the caller runs in watch `file`.
pub(super) fn watch<T: AsRawFd>(file: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the files and sockets of this crate own their open descriptor, and nothing swaps or closes it while the
    // AsyncFd holds it: only shared borrows of it are ever taken.
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
