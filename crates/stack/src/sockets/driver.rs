//! What all handles of a host share, and the task that drives it.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use host::{Instant, Runtime, Timer};
use tcpip::internet::ConfigError;
use tcpip::link::InterfaceConfig;
use tcpip::{Descending, InterfaceId, Stack, Transmit};

use super::waiting::Waiting;
use crate::Device;

/// The longest frame that a device gives: an IP packet of 64 KiB and the headers before it, in bytes.
const LONGEST_FRAME: usize = 65_536 + 256;

/// Frames that are read from one device before others have their turn.
const BATCH: usize = 128;

/// What all handles of a host share.
pub(super) struct Shared<R: Runtime, D> {
    pub(super) runtime: R,
    inner: Mutex<Inner<R, D>>,
}

/// Everything that the lock guards. No waker runs or is dropped under it, for it may call the host again.
pub(super) struct Inner<R: Runtime, D> {
    pub(super) stack: Stack,
    pub(super) devices: Devices<D>,
    pub(super) waiting: Waiting,
    timer: R::Timer,
    /// For when the timer is set: never later than the stack's own deadline.
    armed: Option<Instant>,
    driver: Option<Waker>,
    /// It is taken off its devices, for good.
    off: bool,
}

impl<R: Runtime, D: Device> Shared<R, D> {
    pub(super) fn new(runtime: R, stack: Stack) -> Self {
        let timer = runtime.timer();
        let inner = Inner {
            stack,
            devices: Devices(Vec::new()),
            waiting: Waiting::default(),
            timer,
            armed: None,
            driver: None,
            off: false,
        };
        Self { runtime, inner: Mutex::new(inner) }
    }

    /// Runs `change` under the lock, lets the stack send what has become due, then wakes whom that concerns.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Inner<R, D>, Instant) -> T) -> T {
        let now = self.runtime.now();
        self.locked(|inner| {
            let output = change(inner, now);
            inner.settle(now);
            output
        })
    }

    /// Runs `look` under the lock, where nothing can have become due by it.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&mut Inner<R, D>, Instant) -> T) -> T {
        let now = self.runtime.now();
        self.locked(|inner| look(inner, now))
    }

    fn locked<T>(&self, change: impl FnOnce(&mut Inner<R, D>) -> T) -> T {
        let (output, due, stale) = {
            // The state is whole between two calls: a panic elsewhere does not spoil it.
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let output = change(&mut inner);
            let waiting = &mut inner.waiting;
            (output, std::mem::take(&mut waiting.due), std::mem::take(&mut waiting.stale))
        };
        drop(stale);
        due.into_iter().for_each(Waker::wake);
        output
    }

    pub(super) fn power_off(&self) {
        let devices = self.locked(|inner| {
            inner.off = true;
            inner.waiting.due.extend(inner.driver.take());
            std::mem::take(&mut inner.devices.0)
        });
        // A device may do anything when it is dropped: not under the lock.
        drop(devices);
    }

    pub(super) fn attach(&self, config: InterfaceConfig, device: D) -> Result<InterfaceId, ConfigError> {
        self.with(|inner, now| {
            let id = inner.stack.add_interface(now, config)?;
            debug_assert_eq!(usize::from(id.0), inner.devices.0.len(), "interfaces are counted from zero");
            inner.devices.0.push(Port {
                device,
                ended: false,
                wants_room: false,
                counters: DeviceCounters::default(),
            });
            // The driver does not watch it yet.
            inner.waiting.due.extend(inner.driver.clone());
            Ok(id)
        })
    }
}

impl<R: Runtime, D: Device> Inner<R, D> {
    /// Sends what is due, tells who waits, and brings the timer forward where need be.
    fn settle(&mut self, now: Instant) {
        self.stack.transmit(now, &mut self.devices);
        self.tell();
        // Putting it off can wait until it rings: that spares the timer what nearly every segment does to the deadline.
        if let Some(deadline) = self.stack.poll_timeout()
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.arm(Some(deadline));
        }
        if self.devices.0.iter().any(|port| port.wants_room) {
            self.waiting.due.extend(self.driver.clone());
        }
    }

    /// Tells what happened to whom it concerns.
    fn tell(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            self.waiting.tell(&event);
        }
        while let Some(notice) = self.stack.poll_notice() {
            self.waiting.note(notice);
        }
    }

    fn arm(&mut self, deadline: Option<Instant>) {
        self.armed = deadline;
        self.timer.set(deadline);
    }

    /// One round of the driver. `true` when there may be more to do at once.
    fn drive(&mut self, now: Instant, context: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        match &self.driver {
            Some(driver) if driver.will_wake(context.waker()) => {}
            _ => self.waiting.stale.extend(self.driver.replace(context.waker().clone())),
        }
        let mut more = false;
        for index in 0..self.devices.0.len() {
            more |= self.read(now, index, context, buffer);
        }
        if self.stack.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.stack.handle_timeout(now, &mut self.devices);
        }
        for port in self.devices.0.iter_mut().filter(|port| port.wants_room) {
            if port.device.poll_room(context).is_ready() {
                port.wants_room = false;
                more = true;
            }
        }
        self.stack.transmit(now, &mut self.devices);
        self.tell();
        let deadline = self.stack.poll_timeout();
        if deadline != self.armed {
            self.arm(deadline);
        }
        // Also while there is no deadline: whoever writes sets the timer, and it must know whom to wake.
        let expired = self.timer.poll_expired(context).is_ready();
        more || (expired && deadline.is_some())
    }

    /// Reads a device until it is empty or others should have their turn; `true` in the second case.
    fn read(&mut self, now: Instant, index: usize, context: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        for _ in 0..BATCH {
            let port = &mut self.devices.0[index];
            if port.ended {
                return false;
            }
            match port.device.poll_receive(context, buffer) {
                Poll::Ready(Ok(received)) => {
                    port.counters.received += 1;
                    let interface = InterfaceId(index as u16);
                    let frame = &mut buffer[..received.length];
                    self.stack.receive_offloaded(now, interface, frame, &received.offload, &mut self.devices);
                }
                Poll::Ready(Err(_)) => port.ended = true,
                Poll::Pending => return false,
            }
        }
        true
    }
}

/// Drives a host for as long as its runtime lives, or until it is taken off its devices.
pub(super) async fn drive<R: Runtime, D: Device>(shared: Arc<Shared<R, D>>) {
    let mut buffer = vec![0; LONGEST_FRAME];
    poll_fn(|context| {
        let more = shared.peek(|inner, now| (!inner.off).then(|| inner.drive(now, context, &mut buffer)));
        match more {
            None => return Poll::Ready(()),
            Some(true) => context.waker().wake_by_ref(),
            Some(false) => {}
        }
        Poll::Pending
    })
    .await;
}

/// The devices, as the stack's way out.
pub(super) struct Devices<D>(Vec<Port<D>>);

struct Port<D> {
    device: D,
    /// It gave an error: nothing comes any more.
    ended: bool,
    /// The stack has more to send than the device takes now.
    wants_room: bool,
    counters: DeviceCounters,
}

/// What a device has moved and lost, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
    /// Not sent, because the device had no room.
    pub full: u64,
    /// Not sent, because the device refused.
    pub refused: u64,
    /// Whether the device has ended.
    pub ended: bool,
}

impl<D> Devices<D> {
    pub(super) fn counters(&self, interface: InterfaceId) -> DeviceCounters {
        let port = self.0.get(usize::from(interface.0));
        port.map_or_else(DeviceCounters::default, |port| DeviceCounters {
            ended: port.ended,
            ..port.counters
        })
    }
}

impl<D: Device> Transmit for Devices<D> {
    fn has_room(&mut self, interface: InterfaceId) -> bool {
        let Some(port) = self.0.get_mut(usize::from(interface.0)) else { return true };
        let room = port.device.has_room();
        port.wants_room |= !room;
        room
    }

    fn transmit(&mut self, interface: InterfaceId, frame: &Descending<'_>) {
        let Some(port) = self.0.get_mut(usize::from(interface.0)) else { return };
        let outcome: io::Result<()> = port.device.transmit(frame);
        match outcome {
            Ok(()) => port.counters.sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                port.counters.full += 1;
                port.wants_room = true;
            }
            Err(_) => port.counters.refused += 1,
        }
    }
}
