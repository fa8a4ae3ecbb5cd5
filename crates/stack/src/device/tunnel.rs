//! What TAP and TUN have in common: the other side of an interface of the Linux kernel, as a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt;
use std::task::{Context, Poll, ready};

use tcpip::Descending;
use tokio::io::unix::AsyncFd;
use wire::virtio::{Checksum, Header, Kind, Segmentation};
use wire::{ethernet, tcp};

use super::{Received, sys};

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

/// What crosses the wire between this process and the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// TCP segments of up to 64 KiB, whose checksums are filled in by whoever cuts them, where the kernel knows how
    /// (IFF_VNET_HDR with TSO).
    #[default]
    Segments,
    /// Frames as they would be on a link.
    None,
}

/// The longest packet that crosses the wire uncut: what the length field of IPv4 can say.
const LONGEST: u32 = 65_535;

/// Our side of an interface.
#[derive(Debug)]
pub(super) struct Tunnel {
    file: AsyncFd<File>,
    mtu: u16,
    /// A virtio-net header goes before each frame.
    offload: bool,
    /// Bytes of the link's header.
    link: u16,
}

impl Tunnel {
    /// Must run inside a tokio runtime.
    pub(super) fn open(name: &str, ethernet: bool, offload: Offload) -> Result<Self, OpenError> {
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
        let offload = offload == Offload::Segments && sys::knows_virtio(&file);
        sys::attach(&file, name, ethernet, offload).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                OpenError::Permission { name: name.into(), mode: if ethernet { "tap" } else { "tun" } }
            }
            ErrorKind::ResourceBusy | ErrorKind::InvalidInput => OpenError::Busy(name.into()),
            _ => OpenError::System(name.into(), error),
        })?;
        let system = |error| OpenError::System(name.into(), error);
        // An interface that lasts remembers what its last user could take.
        sys::offload(&file, offload).map_err(system)?;
        let mtu = UdpSocket::bind("127.0.0.1:0")
            .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
            .and_then(|socket| sys::mtu(&socket, name))
            .map_err(system)?;
        let file = sys::watch(file).map_err(system)?;
        let link = if ethernet { ethernet::Header::LEN as u16 } else { 0 };
        Ok(Self { file, mtu, offload, link })
    }

    pub(super) fn mtu(&self) -> u16 {
        self.mtu
    }

    pub(super) fn segmented(&self) -> u32 {
        if self.offload { LONGEST } else { 0 }
    }

    pub(super) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        loop {
            let mut ready = ready!(self.file.poll_read_ready(context))?;
            match ready.try_io(|file| receive(file.get_ref(), self.offload, buffer)) {
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Ok(None)) => {}
                Ok(Ok(Some(received))) => return Poll::Ready(Ok(received)),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                // Nothing is left: wait for the kernel's word.
                Err(_) => {}
            }
        }
    }

    pub(super) fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        // The kernel takes a frame whole or not at all.
        let mut file = self.file.get_ref();
        if !self.offload {
            return file.write_vectored(&frame.slices()).map(drop);
        }
        let header = describe(frame, self.link).emit();
        let [head, first, second] = frame.slices();
        file.write_vectored(&[IoSlice::new(&header), head, first, second]).map(drop)
    }

    pub(super) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // An error shows at the next write.
        self.file.poll_write_ready(context).map(drop)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.offload {
            // For whoever has the interface next and cannot take long segments.
            let _ = sys::offload(self.file.get_ref(), false);
        }
    }
}

/// Reads a frame; `None` for one that was lost: it did not fit, or its header makes no sense.
fn receive(mut file: &File, offload: bool, buffer: &mut [u8]) -> io::Result<Option<Received>> {
    if !offload {
        return file.read(buffer).map(|length| Some(Received::plain(length)));
    }
    let mut header = [0; Header::LEN];
    let read = file.read_vectored(&mut [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)])?;
    let Ok(offload) = Header::parse(&header[..read.min(Header::LEN)]) else { return Ok(None) };
    Ok(Some(Received { length: read - Header::LEN, offload }))
}

/// What the kernel is to do with `frame`, whose link has a header of `link` bytes.
fn describe(frame: &Descending<'_>, link: u16) -> Header {
    let Some(cut) = frame.segmentation() else { return Header::default() };
    let head = frame.headers();
    let start = head.len() as u16 - cut.header;
    let kind = match head.get(usize::from(link)) {
        Some(first) if first >> 4 == 4 => Kind::TcpV4,
        _ => Kind::TcpV6,
    };
    let flags = head.get(usize::from(start) + 13).copied().unwrap_or_default();
    let ecn = tcp::Flags(flags.into()).contains(tcp::Flags::CWR);
    Header {
        checksum: Checksum::Missing { start, offset: tcp::CHECKSUM as u16 },
        segmentation: Some(Segmentation { kind, ecn, size: cut.size, headers: head.len() as u16 }),
    }
}
