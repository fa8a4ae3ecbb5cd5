//! AF_PACKET: an interface of the Linux kernel as a cable that ends here. Every frame that it receives comes to us, and what
//! we send leaves by it.

use std::io::{self, ErrorKind, Read, Write};
use std::task::{Context, Poll, ready};

use socket2::Socket;
use tcpip::Descending;
use tokio::io::unix::AsyncFd;
use wire::MacAddress;

use super::{Device, Received, sys};

/// Why an interface could not be listened to.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The process may not.
    #[error(
        "taking every frame of {0} needs the capability CAP_NET_RAW, which this process has not.\n\
         Run it as root, or give it to the program once: setcap cap_net_raw+ep PROGRAM"
    )]
    Permission(String),
    /// There is none of that name.
    #[error("there is no interface {0:?}: `ip link` names those that there are")]
    Missing(String),
    /// Anything else.
    #[error("the interface {0} cannot be opened: {1}")]
    System(String, io::Error),
}

/// An interface of the kernel, in promiscuous mode. Frames that the kernel itself sends by it are not received.
///
/// The kernel's own stack still sees what arrives, and answers it where it has addresses: an interface that is to be a mere
/// end of a cable should have none.
#[derive(Debug)]
pub struct Packet {
    socket: AsyncFd<Socket>,
    mac: MacAddress,
    mtu: u16,
}

impl Packet {
    /// Opens the interface `name`. Must run inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`PacketError`] says.
    pub fn open(name: &str) -> Result<Self, PacketError> {
        let opened = sys::packet_socket(name).and_then(|(socket, mac)| {
            let mtu = sys::mtu(&socket, name)?;
            socket.set_nonblocking(true)?;
            // As many bytes as a slow moment of ours may cost; the kernel gives what it allows.
            let _ = socket.set_recv_buffer_size(4 << 20);
            Ok(Self { socket: sys::watch(socket)?, mac: MacAddress(mac), mtu })
        });
        opened.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => PacketError::Permission(name.into()),
            ErrorKind::NotFound | ErrorKind::InvalidInput => PacketError::Missing(name.into()),
            _ if error.raw_os_error() == Some(libc::ENODEV) => PacketError::Missing(name.into()),
            _ => PacketError::System(name.into(), error),
        })
    }
}

impl Device for Packet {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            match ready.try_io(|socket| (&mut socket.get_ref()).read(buffer)) {
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(read) => return Poll::Ready(read.map(Received::plain)),
                // Nothing is left: wait for the kernel's word.
                Err(_) => {}
            }
        }
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        // The kernel takes a frame whole or not at all.
        (&mut self.socket.get_ref()).write_vectored(&frame.slices()).map(drop)
    }

    fn has_room(&mut self) -> bool {
        // The kernel says so at the write.
        true
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // An error shows at the next write.
        self.socket.poll_write_ready(context).map(drop)
    }

    fn mac(&self) -> Option<MacAddress> {
        Some(self.mac)
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }
}
