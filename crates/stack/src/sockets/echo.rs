//! Asking other hosts whether they are there.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use host::Runtime;
use tcpip::internet::{EchoRequest, Problem, SendError};

use super::driver::Shared;
use super::error;
use crate::Device;

/// Asks other hosts whether they are there (ping): a socket of ICMP echo requests and what comes of them.
pub struct StackEcho<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
    identifier: u16,
}

/// What came of an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EchoAnswer {
    /// The host is there.
    Reply {
        /// Who answers: for a group, one of many.
        source: IpAddr,
        /// Which request.
        sequence: u16,
        /// Its TTL or hop limit, as it arrived.
        ttl: u8,
        /// What came back.
        data: Vec<u8>,
    },
    /// The request did not get there.
    Failed {
        /// Who says so: a router, that host, or this one where a neighbour does not answer.
        reporter: IpAddr,
        /// Why.
        problem: Problem,
        /// Which request.
        sequence: u16,
    },
}

impl<R: Runtime, D: Device> StackEcho<R, D> {
    pub(super) fn open(shared: Arc<Shared<R, D>>) -> io::Result<Self> {
        let mut random = shared.runtime.random("stack: echo");
        let identifier = shared.peek(|inner, _| {
            // All identifiers taken is beyond any program: a few tries are enough.
            (0..100).map(|_| random.next_u32() as u16).find(|&one| inner.waiting.open_echo(one))
        });
        let none = || io::Error::new(io::ErrorKind::OutOfMemory, "too many ask at the same time");
        Ok(Self { identifier: identifier.ok_or_else(none)?, shared })
    }

    /// Sends one request with `data`, at `ttl` routers' distance at most.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `AddrNotAvailable`, `InvalidInput` when it is too long, `WouldBlock` when the device has no
    /// room now.
    pub fn send(
        &mut self,
        destination: IpAddr,
        sequence: u16,
        ttl: Option<u8>,
        data: &[u8],
    ) -> io::Result<()> {
        let identifier = self.identifier;
        let request = EchoRequest { destination, source: None, identifier, sequence, ttl, data };
        let sent = self.shared.with(|inner, now| inner.stack.echo(now, &request, &mut inner.devices));
        sent.map_err(|why| match why {
            SendError::TooBig(_) => io::Error::new(
                io::ErrorKind::InvalidInput,
                "an echo request carries at most 65,507 bytes over IPv4 and 65,527 over IPv6",
            ),
            why => error::socket(why.into()),
        })
    }

    /// The next answer. Those that nobody fetches make way for later ones.
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<EchoAnswer> {
        self.shared.peek(|inner, _| inner.waiting.poll_echo(self.identifier, context.waker()))
    }
}

impl<R: Runtime, D: Device> Drop for StackEcho<R, D> {
    fn drop(&mut self) {
        self.shared.peek(|inner, _| inner.waiting.close_echo(self.identifier));
    }
}

impl<R: Runtime, D: Device> fmt::Debug for StackEcho<R, D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StackEcho({})", self.identifier)
    }
}
