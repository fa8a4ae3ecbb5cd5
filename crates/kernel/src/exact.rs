//! Alarms that ring to the microsecond, as far as the machine has one to spare: Linux's timerfd(2).

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use host::{Instant, Timer};
use rustix::io::read;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{clock, sys};

/// An alarm with a descriptor of its own.
#[derive(Debug)]
pub(crate) struct ExactTimer {
    descriptor: AsyncFd<OwnedFd>,
    deadline: Option<Instant>,
}

impl ExactTimer {
    /// Must be called inside a tokio runtime. Fails where no descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { descriptor: sys::watch(descriptor, Interest::READABLE)?, deadline: None })
    }
}

impl Timer for ExactTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        // Zero would take the alarm back.
        let after = deadline.map(|deadline| deadline.since(clock::now()).max(Duration::from_nanos(1)));
        let value = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(after.unwrap_or_default()),
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &value)
            .expect("the descriptor is a timer's, and the time is in range");
    }

    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return Poll::Ready(());
            }
            let Ok(mut readable) = ready!(self.descriptor.poll_read_ready(context)) else {
                // The runtime shuts down: nobody waits any more.
                return Poll::Pending;
            };
            // An alarm that was set before: its ringing is taken away, so that the next one is heard.
            let _ = readable.try_io(|descriptor| match read(descriptor, &mut [0; 8]) {
                Ok(_) => Err(ErrorKind::WouldBlock.into()),
                Err(error) => Err::<(), _>(error.into()),
            });
        }
    }
}

/// `duration` as the system writes it; what it cannot write is as far away as makes no difference.
fn timespec(duration: Duration) -> Timespec {
    const FAR: u64 = 86_400 * 365 * 30;
    Timespec { tv_sec: duration.as_secs().min(FAR).cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}
