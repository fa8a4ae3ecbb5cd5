//! What packetdrill calls, in C: a structure of functions, each with the pointer that it was given first of all.
//!
//! All of the `unsafe` is here, and rests on this:
//!
//! - The pointer is one to a [`World`] that [`packetdrill_interface_init`] has leaked: it is valid for ever.
//! - Every other pointer is an argument of the system call of that name, and as valid as that call demands: buffers for as
//!   many bytes as is said beside them, addresses for their length. Null is looked for where a call allows it.
//! - Nothing that was handed in is kept after the call.
#![allow(unsafe_code, reason = "C's calling convention, and pointers that C hands in")]

use std::ffi::{CStr, c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use std::io::IoSlice;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use libc::{
    epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval,
};

use crate::calls::as_seen_by;
use crate::world::{Errno, World};

/// The world that is tested: a process of packetdrill has one.
static WORLD: OnceLock<&'static World> = OnceLock::new();

type Me = *mut c_void;

/// `struct packetdrill_interface`: the functions in the order in which packetdrill has them.
#[repr(C)]
#[allow(missing_debug_implementations)]
pub struct Interface {
    userdata: Me,
    free: extern "C" fn(Me),
    socket: extern "C" fn(Me, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(Me, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: extern "C" fn(Me, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(Me, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(Me, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(Me, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(Me, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(Me, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom:
        unsafe extern "C" fn(Me, c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
    recvmsg: unsafe extern "C" fn(Me, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(Me, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(Me, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(Me, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto:
        unsafe extern "C" fn(Me, c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
    sendmsg: unsafe extern "C" fn(Me, c_int, *const msghdr, c_int) -> ssize_t,
    /// Variadic in C; a third argument of a word is passed in the same way where we run (x86-64, AArch64 Linux).
    fcntl: extern "C" fn(Me, c_int, c_int, c_long) -> c_int,
    /// As `fcntl`.
    ioctl: unsafe extern "C" fn(Me, c_int, c_ulong, *mut c_void) -> c_int,
    close: extern "C" fn(Me, c_int) -> c_int,
    shutdown: extern "C" fn(Me, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(Me, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(Me, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(Me, *mut pollfd, nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(Me, *const c_void, size_t) -> c_int,
    netdev_receive: unsafe extern "C" fn(Me, *mut c_void, *mut size_t, *mut c_longlong) -> c_int,
    usleep: extern "C" fn(Me, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(Me, *mut timeval, *mut c_void) -> c_int,
    epoll_create: extern "C" fn(Me, c_int) -> c_int,
    epoll_ctl: extern "C" fn(Me, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    epoll_wait: extern "C" fn(Me, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: extern "C" fn(Me, *mut c_int) -> c_int,
    splice: extern "C" fn(Me, c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> c_int,
}

/// Where packetdrill begins. `flags` may say `mtu=BYTES`.
///
/// # Safety
///
/// `flags` is null or a C string, `interface` is valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    let flags = match flags.is_null() {
        true => "",
        // SAFETY: it is a C string, as the caller promises.
        false => unsafe { CStr::from_ptr(flags) }.to_str().unwrap_or_default(),
    };
    let mtu = flags.strip_prefix("mtu=").and_then(|bytes| bytes.parse().ok()).unwrap_or(1500);
    let world: &'static World = WORLD.get_or_init(|| Box::leak(Box::new(World::new(mtu))));
    let filled = Interface {
        userdata: ptr::from_ref(world).cast_mut().cast(),
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv,
        recv,
        recvfrom,
        recvmsg,
        write,
        writev,
        send,
        sendto,
        sendmsg,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt,
        setsockopt,
        poll,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create,
        epoll_ctl,
        epoll_wait,
        pipe,
        splice,
    };
    // SAFETY: valid for writes, as the caller promises.
    unsafe { interface.write(filled) };
}

/// In place of libc's, where this library is preloaded: packetdrill's own looks at `TCP_INFO` do not come by the interface.
///
/// # Safety
///
/// As for `getsockopt(2)`.
#[unsafe(export_name = "getsockopt")]
pub unsafe extern "C" fn preloaded_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    match WORLD.get() {
        Some(world) if world.flags(fd).is_ok() => {
            // SAFETY: the caller's promise is handed on.
            unsafe { getsockopt(ptr::from_ref(*world).cast_mut().cast(), fd, level, name, value, length) }
        }
        // SAFETY: the caller's promise is handed on.
        _ => unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, length) as c_int },
    }
}

fn world(me: Me) -> &'static World {
    // SAFETY: it is the pointer that `packetdrill_interface_init` has given, which is valid for ever.
    unsafe { &*me.cast::<World>() }
}

fn fail(errno: Errno) -> c_int {
    // SAFETY: errno of this thread is always there to be written.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn done(outcome: Result<(), Errno>) -> c_int {
    outcome.map_or_else(fail, |()| 0)
}

fn count(outcome: Result<usize, Errno>) -> ssize_t {
    outcome.map_or_else(|errno| fail(errno) as ssize_t, |count| count as ssize_t)
}

/// A descriptor that the kernel knows, for packetdrill closes what a script leaves open.
fn descriptor() -> c_int {
    // SAFETY: the path is a C string.
    unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) }
}

extern "C" fn free(_: Me) {}

extern "C" fn socket(me: Me, domain: c_int, kind: c_int, _: c_int) -> c_int {
    if kind & 0xf != libc::SOCK_STREAM || !matches!(domain, libc::AF_INET | libc::AF_INET6) {
        return fail(libc::EPROTONOSUPPORT);
    }
    let fd = descriptor();
    world(me).socket(fd, domain == libc::AF_INET6);
    if kind & libc::SOCK_NONBLOCK != 0 {
        return world(me).set_flags(fd, libc::O_NONBLOCK).map_or_else(fail, |()| fd);
    }
    fd
}

unsafe extern "C" fn bind(me: Me, fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's promise is handed on.
    let Some(address) = (unsafe { address_at(address, length) }) else { return fail(libc::EINVAL) };
    done(world(me).bind(fd, address))
}

extern "C" fn listen(me: Me, fd: c_int, backlog: c_int) -> c_int {
    done(world(me).listen(fd, backlog))
}

unsafe extern "C" fn accept(me: Me, fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    match world(me).accept(fd, descriptor) {
        Ok((made, peer)) => {
            let v6 = world(me).is_v6(made);
            // SAFETY: the caller's promise is handed on.
            unsafe { put_address(as_seen_by(v6, peer), address, length) };
            made
        }
        Err(errno) => fail(errno),
    }
}

unsafe extern "C" fn connect(me: Me, fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's promise is handed on.
    let Some(address) = (unsafe { address_at(address, length) }) else { return fail(libc::EINVAL) };
    done(world(me).connect(fd, address))
}

unsafe extern "C" fn read(me: Me, fd: c_int, buffer: *mut c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's promise is handed on.
    unsafe { recv(me, fd, buffer, length, 0) }
}

unsafe extern "C" fn recv(me: Me, fd: c_int, buffer: *mut c_void, length: size_t, flags: c_int) -> ssize_t {
    // SAFETY: valid for `length` bytes, as the caller promises, and nobody else's during the call.
    let buffer = unsafe { bytes_mut(buffer, length) };
    count(world(me).read(fd, buffer, flags))
}

unsafe extern "C" fn readv(me: Me, fd: c_int, pieces: *const iovec, pieces_len: c_int) -> ssize_t {
    // SAFETY: the caller's promise is handed on.
    unsafe { scatter(me, fd, pieces, pieces_len as usize, 0) }
}

unsafe extern "C" fn recvfrom(
    me: Me,
    fd: c_int,
    buffer: *mut c_void,
    length: size_t,
    flags: c_int,
    _: *mut sockaddr,
    _: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's promise is handed on.
    unsafe { recv(me, fd, buffer, length, flags) }
}

unsafe extern "C" fn recvmsg(me: Me, fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: a valid message header, as the caller promises.
    let message = unsafe { &mut *message };
    (message.msg_controllen, message.msg_flags) = (0, 0);
    // SAFETY: its pieces are as valid.
    unsafe { scatter(me, fd, message.msg_iov, message.msg_iovlen, flags) }
}

unsafe extern "C" fn write(me: Me, fd: c_int, buffer: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's promise is handed on.
    unsafe { send(me, fd, buffer, length, 0) }
}

unsafe extern "C" fn writev(me: Me, fd: c_int, pieces: *const iovec, pieces_len: c_int) -> ssize_t {
    // SAFETY: the caller's promise is handed on.
    unsafe { gather(me, fd, pieces, pieces_len as usize, 0) }
}

unsafe extern "C" fn send(me: Me, fd: c_int, buffer: *const c_void, length: size_t, flags: c_int) -> ssize_t {
    // SAFETY: valid for `length` bytes, as the caller promises.
    let bytes = unsafe { bytes(buffer, length) };
    count(world(me).write(fd, &[IoSlice::new(bytes)], flags))
}

unsafe extern "C" fn sendto(
    me: Me,
    fd: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
    _: *const sockaddr,
    _: socklen_t,
) -> ssize_t {
    if flags & libc::MSG_FASTOPEN != 0 {
        return fail(libc::EOPNOTSUPP) as ssize_t;
    }
    // SAFETY: the caller's promise is handed on.
    unsafe { send(me, fd, buffer, length, flags) }
}

unsafe extern "C" fn sendmsg(me: Me, fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: a valid message header with valid pieces, as the caller promises.
    unsafe { gather(me, fd, (*message).msg_iov, (*message).msg_iovlen, flags) }
}

extern "C" fn fcntl(me: Me, fd: c_int, command: c_int, argument: c_long) -> c_int {
    match command {
        libc::F_GETFL => world(me).flags(fd).unwrap_or_else(fail),
        libc::F_SETFL => done(world(me).set_flags(fd, argument as c_int)),
        _ => fail(libc::EINVAL),
    }
}

unsafe extern "C" fn ioctl(me: Me, fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let Some(number) = world(me).waiting(fd, request) else { return fail(libc::ENOTTY) };
    // SAFETY: both requests write an int, which the caller promises room for.
    unsafe { argument.cast::<c_int>().write(number) };
    0
}

extern "C" fn close(me: Me, fd: c_int) -> c_int {
    let outcome = world(me).close(fd);
    if outcome.is_ok() {
        // SAFETY: a descriptor of ours that nobody uses any more.
        unsafe { libc::close(fd) };
    }
    done(outcome)
}

extern "C" fn shutdown(me: Me, fd: c_int, how: c_int) -> c_int {
    done(world(me).shutdown(fd, how))
}

unsafe extern "C" fn getsockopt(
    me: Me,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if value.is_null() || length.is_null() {
        return fail(libc::EFAULT);
    }
    match world(me).get_option(fd, level, name) {
        Ok(bytes) => {
            // SAFETY: `length` is valid, and `value` for so many bytes, as the caller promises.
            unsafe {
                let fits = bytes.len().min(*length as usize);
                ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), fits);
                *length = fits as socklen_t;
            }
            0
        }
        Err(errno) => fail(errno),
    }
}

unsafe extern "C" fn setsockopt(
    me: Me,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    if value.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: valid for `length` bytes, as the caller promises.
    let value = unsafe { bytes(value, length as usize) };
    done(world(me).set_option(fd, level, name, value))
}

unsafe extern "C" fn poll(me: Me, descriptors: *mut pollfd, length: nfds_t, timeout: c_int) -> c_int {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    if descriptors.is_null() {
        return world(me).poll(&mut [], timeout);
    }
    // SAFETY: so many of them are valid, as the caller promises, and nobody else's during the call.
    world(me).poll(unsafe { std::slice::from_raw_parts_mut(descriptors, length as usize) }, timeout)
}

unsafe extern "C" fn netdev_send(me: Me, packet: *const c_void, length: size_t) -> c_int {
    // SAFETY: valid for `length` bytes, as the caller promises.
    let mut packet = unsafe { bytes(packet, length) }.to_vec();
    world(me).receive(&mut packet);
    0
}

unsafe extern "C" fn netdev_receive(
    me: Me,
    buffer: *mut c_void,
    length: *mut size_t,
    micros: *mut c_longlong,
) -> c_int {
    // SAFETY: `length` and `micros` are valid, and `buffer` for so many bytes, as the caller promises.
    let (place, length, micros) = unsafe { (bytes_mut(buffer, *length), &mut *length, &mut *micros) };
    // No packet is a packet of no bytes: packetdrill then says that it is none of those that it waits for.
    let (at, packet) = world(me).next_packet().unwrap_or_default();
    let fits = packet.len().min(place.len());
    place[..fits].copy_from_slice(&packet[..fits]);
    (*length, *micros) = (fits, at as c_longlong);
    0
}

extern "C" fn usleep(me: Me, micros: c_uint) -> c_int {
    world(me).advance(Duration::from_micros(micros.into()));
    0
}

unsafe extern "C" fn gettimeofday(me: Me, time: *mut timeval, _: *mut c_void) -> c_int {
    let micros = world(me).clock();
    let now = timeval { tv_sec: (micros / 1_000_000) as _, tv_usec: (micros % 1_000_000) as _ };
    // SAFETY: valid for writes, as the caller promises.
    unsafe { time.write(now) };
    0
}

extern "C" fn epoll_create(_: Me, _: c_int) -> c_int {
    fail(libc::ENOSYS)
}

extern "C" fn epoll_ctl(_: Me, _: c_int, _: c_int, _: c_int, _: *mut epoll_event) -> c_int {
    fail(libc::ENOSYS)
}

extern "C" fn epoll_wait(_: Me, _: c_int, _: *mut epoll_event, _: c_int, _: c_int) -> c_int {
    fail(libc::ENOSYS)
}

extern "C" fn pipe(_: Me, _: *mut c_int) -> c_int {
    fail(libc::ENOSYS)
}

extern "C" fn splice(
    _: Me,
    _: c_int,
    _: *mut loff_t,
    _: c_int,
    _: *mut loff_t,
    _: size_t,
    _: c_uint,
) -> c_int {
    fail(libc::ENOSYS)
}

/// # Safety
///
/// `pointer` is null or valid for `length` bytes, which nobody writes during `'a`.
unsafe fn bytes<'a>(pointer: *const c_void, length: usize) -> &'a [u8] {
    if pointer.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(pointer.cast(), length) }
}

/// # Safety
///
/// `pointer` is null or valid for `length` bytes, which nobody else uses during `'a`.
unsafe fn bytes_mut<'a>(pointer: *mut c_void, length: usize) -> &'a mut [u8] {
    if pointer.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(pointer.cast(), length) }
}

/// # Safety
///
/// As for `readv(2)`.
unsafe fn scatter(me: Me, fd: c_int, pieces: *const iovec, length: usize, flags: c_int) -> ssize_t {
    // SAFETY: so many pieces are valid, and each for its length, as the caller promises.
    let places: Vec<&mut [u8]> = unsafe {
        let pieces = std::slice::from_raw_parts(pieces, length);
        pieces.iter().map(|piece| bytes_mut(piece.iov_base, piece.iov_len)).collect()
    };
    let mut all = vec![0; places.iter().map(|place| place.len()).sum()];
    let read = world(me).read(fd, &mut all, flags);
    let mut rest = &all[..];
    for place in places {
        let (head, tail) = rest.split_at(place.len());
        place.copy_from_slice(head);
        rest = tail;
    }
    count(read)
}

/// # Safety
///
/// As for `writev(2)`.
unsafe fn gather(me: Me, fd: c_int, pieces: *const iovec, length: usize, flags: c_int) -> ssize_t {
    // SAFETY: so many pieces are valid, and each for its length, as the caller promises.
    let pieces: Vec<IoSlice<'_>> = unsafe {
        let pieces = std::slice::from_raw_parts(pieces, length);
        pieces.iter().map(|piece| IoSlice::new(bytes(piece.iov_base, piece.iov_len))).collect()
    };
    count(world(me).write(fd, &pieces, flags))
}

/// # Safety
///
/// `address` is null or valid for `length` bytes.
unsafe fn address_at(address: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(address.cast(), length as usize) };
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    match c_int::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddrV4::new(octets.into(), port).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let v6 = SocketAddrV6::new(octets.into(), port, 0, 0);
            Some(SocketAddr::new(v6.ip().to_canonical(), port))
        }
        _ => None,
    }
}

/// # Safety
///
/// Both are null, or `length` is valid and `address` for so many bytes.
unsafe fn put_address(from: SocketAddr, address: *mut sockaddr, length: *mut socklen_t) {
    if address.is_null() || length.is_null() {
        return;
    }
    let mut bytes = [0u8; 28];
    let family = if from.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u16;
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..4].copy_from_slice(&from.port().to_be_bytes());
    let whole = match from {
        SocketAddr::V4(v4) => {
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            16
        }
        SocketAddr::V6(v6) => {
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            28
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), whole.min(*length as usize));
        *length = whole as socklen_t;
    }
}
