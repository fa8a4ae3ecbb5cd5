//! Two devices and a wire between them, in memory, on any runtime.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tcpip::Descending;
use wire::MacAddress;

use super::{Device, Received};

/// One end of a wire in memory. Frames arrive at once, in order, and none is lost while the other end reads.
#[derive(Debug)]
pub struct Memory {
    wire: Arc<Mutex<Wire>>,
    end: usize,
    mac: Option<MacAddress>,
    mtu: u16,
}

#[derive(Debug)]
struct Wire {
    /// What is on its way to each end.
    queues: [VecDeque<Vec<u8>>; 2],
    /// Who drives each end.
    drivers: [Option<Waker>; 2],
    gone: [bool; 2],
    room: usize,
}

impl Memory {
    /// Both ends of a wire that holds up to `room` frames each way: an Ethernet when there are addresses, one for each
    /// end, else a wire for bare IP packets.
    pub fn pair(macs: Option<[MacAddress; 2]>, mtu: u16, room: usize) -> [Self; 2] {
        let wire = Arc::new(Mutex::new(Wire {
            queues: Default::default(),
            drivers: [None, None],
            gone: [false; 2],
            room,
        }));
        [0, 1].map(|end| Self { wire: wire.clone(), end, mac: macs.map(|macs| macs[end]), mtu })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, wire: &mut Wire, context: &Context<'_>) {
        wire.drivers[self.end] = Some(context.waker().clone());
    }
}

impl Device for Memory {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        let mut wire = self.wire();
        while let Some(frame) = wire.queues[self.end].pop_front() {
            // The other end may wait for the room that this makes.
            let full = wire.queues[self.end].len() + 1 == wire.room;
            let driver = if full { wire.drivers[1 - self.end].clone() } else { None };
            if let Some(driver) = driver {
                drop(wire);
                driver.wake();
                wire = self.wire();
            }
            if let Some(place) = buffer.get_mut(..frame.len()) {
                place.copy_from_slice(&frame);
                return Poll::Ready(Ok(Received::plain(frame.len())));
            }
        }
        self.register(&mut wire, context);
        Poll::Pending
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        let driver = {
            let mut wire = self.wire();
            let other = 1 - self.end;
            if wire.gone[other] {
                return Err(io::Error::new(ErrorKind::NotConnected, "the other end of the wire is gone"));
            }
            if wire.queues[other].len() >= wire.room {
                return Err(ErrorKind::WouldBlock.into());
            }
            let mut bytes = Vec::new();
            frame.copy_to(&mut bytes);
            wire.queues[other].push_back(bytes);
            wire.drivers[other].clone()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        let wire = self.wire();
        wire.gone[1 - self.end] || wire.queues[1 - self.end].len() < wire.room
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        self.register(&mut self.wire(), context);
        Poll::Pending
    }

    fn mac(&self) -> Option<MacAddress> {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let driver = {
            let mut wire = self.wire();
            wire.gone[self.end] = true;
            wire.queues[self.end].clear();
            wire.drivers[1 - self.end].take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_order_and_no_more_than_there_is_room_for() {
        let [mut one, mut other] = Memory::pair(None, 1_500, 2);
        let mut context = Context::from_waker(Waker::noop());
        let mut buffer = [0; 8];
        assert!(other.poll_receive(&mut context, &mut buffer).is_pending());
        for text in ["a", "b"] {
            one.transmit(&Descending::new([text.as_bytes(), b"!"])).unwrap();
        }
        assert!(!one.has_room());
        let refused = one.transmit(&Descending::new([b"c", b""])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        for text in [b"a!", b"b!"] {
            assert!(matches!(
                other.poll_receive(&mut context, &mut buffer),
                Poll::Ready(Ok(Received { length: 2, .. }))
            ));
            assert_eq!(&buffer[..2], text);
        }
        assert!(one.poll_room(&mut context).is_ready());
    }

    #[test]
    fn a_frame_that_does_not_fit_is_dropped() {
        let [mut one, mut other] = Memory::pair(None, 1_500, 4);
        let mut context = Context::from_waker(Waker::noop());
        one.transmit(&Descending::new([&[0; 9], &[]])).unwrap();
        one.transmit(&Descending::new([&[7; 8], &[]])).unwrap();
        let mut buffer = [0; 8];
        assert!(matches!(
            other.poll_receive(&mut context, &mut buffer),
            Poll::Ready(Ok(Received { length: 8, .. }))
        ));
        assert_eq!(buffer, [7; 8]);
    }
}
