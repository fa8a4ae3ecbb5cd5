//! What TAP and TUN have in common: the other side of an interface of the Linux kernel, as a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt;
use std::task::{Context, Poll, ready};

use tcpip::Descending;
use tokio::io::unix::AsyncFd;

use super::sys;

/// Why an interface of the kernel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The kernel's device is not there.
    #[error(
        "/dev/net/tun cannot be opened: {0}\nLoad the module with `modprobe tun`, or give the container the device."
    )]
    Device(io::Error),
    /// The name is none.
    #[error("{0:?} is no interface name: it has 1 to {most} bytes and no '/' or space", most = sys::LONGEST_NAME)]
    Name(String),
    /// We may not make the interface, and it is not ours.
    #[error(
        "making the interface {name} needs the capability CAP_NET_ADMIN, which this process has not.\n\
         Make one that lasts, once and as root, for your user:\n  \
         ip tuntap add dev {name} mode {mode} user $USER\n  \
         ip link set {name} up"
    )]
    Permission {
        /// The interface's name.
        name: String,
        /// `tap` or `tun`.
        mode: &'static str,
    },
    /// Somebody else has it.
    #[error("the interface {0} is in use by another process, or is of another kind")]
    Busy(String),
    /// Anything else.
    #[error("the interface {0} cannot be opened: {1}")]
    System(String, io::Error),
}

/// Our side of an interface.
#[derive(Debug)]
pub(super) struct Tunnel {
    file: AsyncFd<File>,
    mtu: u16,
}

impl Tunnel {
    /// Must run inside a tokio runtime.
    pub(super) fn open(name: &str, ethernet: bool) -> Result<Self, OpenError> {
        let valid = !name.is_empty()
            && name.len() <= sys::LONGEST_NAME
            && !name.contains(|c: char| c == '/' || c == '%' || c.is_whitespace() || c.is_control());
        if !valid {
            return Err(OpenError::Name(name.into()));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map_err(OpenError::Device)?;
        sys::attach(&file, name, ethernet).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                OpenError::Permission { name: name.into(), mode: if ethernet { "tap" } else { "tun" } }
            }
            ErrorKind::ResourceBusy | ErrorKind::InvalidInput => OpenError::Busy(name.into()),
            _ => OpenError::System(name.into(), error),
        })?;
        let system = |error| OpenError::System(name.into(), error);
        let mtu = UdpSocket::bind("127.0.0.1:0")
            .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
            .and_then(|socket| sys::mtu(&socket, name))
            .map_err(system)?;
        let file = sys::watch(file).map_err(system)?;
        Ok(Self { file, mtu })
    }

    pub(super) fn mtu(&self) -> u16 {
        self.mtu
    }

    pub(super) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.file.poll_read_ready(context))?;
            match ready.try_io(|file| file.get_ref().read(buffer)) {
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(read) => return Poll::Ready(read),
                // Nothing is left: wait for the kernel's word.
                Err(_) => {}
            }
        }
    }

    pub(super) fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        // The kernel takes a frame whole or not at all.
        self.file.get_ref().write_vectored(&frame.slices()).map(drop)
    }

    pub(super) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // An error shows at the next write.
        self.file.poll_write_ready(context).map(drop)
    }
}
