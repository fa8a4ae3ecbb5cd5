//! An end of a link, as a stack holds it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use stack::Device;
use stack::device::Received;
use tcpip::Descending;
use wire::MacAddress;

use super::Way;
use crate::state::Shared;

/// A simulated machine's end of a [`Link`](super::Link).
pub struct LinkEnd {
    shared: Arc<Shared>,
    segment: usize,
    port: usize,
    mac: MacAddress,
    mtu: u16,
}

impl LinkEnd {
    pub(super) fn attach(shared: Arc<Shared>, segment: usize, machine: usize) -> Self {
        let ((port, mac), mtu) =
            shared.with(|state| (state.plug(segment, machine), state.segments.mtu(segment)));
        Self { shared, segment, port, mac, mtu }
    }
}

impl Device for LinkEnd {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            let (frame, old) =
                self.shared.with(|state| state.segments.receive(self.segment, self.port, context.waker()));
            // A waker may run foreign code when it is dropped: not under the lab's lock.
            drop(old);
            let Some(frame) = frame else { return Poll::Pending };
            if let Some(place) = buffer.get_mut(..frame.len()) {
                place.copy_from_slice(&frame);
                return Poll::Ready(Ok(Received::plain(frame.len())));
            }
        }
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        if frame.len() > wire::ethernet::Header::LEN + usize::from(self.mtu) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the frame is longer than the link's MTU"));
        }
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        self.shared.with(|state| state.start(self.segment, self.port, Way::Out, Bytes::from(bytes)));
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn mac(&self) -> Option<MacAddress> {
        Some(self.mac)
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        let waker = self.shared.with(|state| state.segments.unplug(self.segment, self.port));
        drop(waker);
    }
}

impl fmt::Debug for LinkEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LinkEnd({}, port {})", self.mac, self.port)
    }
}
