//! TAP: an Ethernet between this process and the Linux kernel.

use std::io;
use std::task::{Context, Poll};

use tcpip::Descending;
use wire::MacAddress;

use super::tunnel::{Offload, OpenError, Tunnel};
use super::{Device, Received};

/// Our end of an Ethernet whose other end is an interface of the Linux kernel.
#[derive(Debug)]
pub struct Tap {
    tunnel: Tunnel,
    mac: MacAddress,
}

impl Tap {
    /// Opens the TAP interface `name`, or makes it where the process may; what it makes goes with it. `mac` is our own
    /// address on that Ethernet, not the kernel's. Long TCP segments cross it uncut, where the kernel knows how. Must run
    /// inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says.
    pub fn open(name: &str, mac: MacAddress) -> Result<Self, OpenError> {
        Self::open_with(name, mac, Offload::default())
    }

    /// As [`open`](Self::open), with the choice of what crosses it.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says.
    pub fn open_with(name: &str, mac: MacAddress, offload: Offload) -> Result<Self, OpenError> {
        Ok(Self { tunnel: Tunnel::open(name, true, offload)?, mac })
    }
}

impl Device for Tap {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        self.tunnel.poll_receive(context, buffer)
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        self.tunnel.transmit(frame)
    }

    fn has_room(&mut self) -> bool {
        // The kernel drops what its own queue has no room for, and says nothing.
        true
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.tunnel.poll_room(context)
    }

    fn mac(&self) -> Option<MacAddress> {
        Some(self.mac)
    }

    fn mtu(&self) -> u16 {
        self.tunnel.mtu()
    }

    fn segmented(&self) -> u32 {
        self.tunnel.segmented()
    }
}
