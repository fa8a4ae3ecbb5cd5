//! Devices: what frames leave by and arrive from.

mod memory;
#[cfg(target_os = "linux")]
mod packet;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod tap;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod tunnel;

use std::io;
use std::task::{Context, Poll};

use tcpip::Descending;
use wire::{MacAddress, virtio};

pub use memory::Memory;
#[cfg(target_os = "linux")]
pub use packet::{Packet, PacketError};
#[cfg(target_os = "linux")]
pub use tap::Tap;
#[cfg(target_os = "linux")]
pub use tun::Tun;
#[cfg(target_os = "linux")]
pub use tunnel::{Offload, OpenError};

/// A frame that a device gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its length, in bytes.
    pub length: usize,
    /// What the device has left to be done with it, or found out about it.
    pub offload: virtio::Header,
}

impl Received {
    /// A frame as it was on the link.
    pub fn plain(length: usize) -> Self {
        Self { length, offload: virtio::Header::default() }
    }
}

/// A link to other hosts, as one host holds it.
///
/// It is driven by one task: a device remembers one waker for both directions.
pub trait Device: Send + 'static {
    /// Receives the next frame into `buffer`. A frame that does not fit is dropped.
    ///
    /// Whoever drives the device reads until nothing is there.
    ///
    /// # Errors
    ///
    /// What ended the device: nothing comes after it.
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>>;

    /// Sends one frame. One that is [to be cut](Descending::segmentation) comes only where
    /// [`segmented`](Self::segmented) allows it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room now; else why the frame, or the device, is lost.
    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()>;

    /// Whether a frame would be taken now.
    fn has_room(&mut self) -> bool;

    /// Ready once a frame would be taken.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Our hardware address on an Ethernet; `None` where frames are bare IP packets.
    fn mac(&self) -> Option<MacAddress>;

    /// The longest IP packet, in bytes.
    fn mtu(&self) -> u16;

    /// The longest IP packet that the device cuts into TCP segments itself, in bytes; zero where it takes only what fits.
    /// Such a device fills in the checksums of the pieces.
    fn segmented(&self) -> u32 {
        0
    }
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        (**self).poll_receive(context, buffer)
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        (**self).transmit(frame)
    }

    fn has_room(&mut self) -> bool {
        (**self).has_room()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_room(context)
    }

    fn mac(&self) -> Option<MacAddress> {
        (**self).mac()
    }

    fn mtu(&self) -> u16 {
        (**self).mtu()
    }

    fn segmented(&self) -> u32 {
        (**self).segmented()
    }
}
