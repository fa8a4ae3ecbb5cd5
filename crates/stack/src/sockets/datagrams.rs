//! UDP sockets of the host.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use host::{Datagrams, Runtime};
use tcpip::InterfaceId;
use tcpip::transport::UdpId;

use super::driver::Shared;
use super::error;
use crate::Device;

/// A UDP socket of the host.
pub struct StackDatagrams<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
    id: UdpId,
    local: SocketAddr,
}

impl<R: Runtime, D: Device> StackDatagrams<R, D> {
    pub(super) fn bind(shared: Arc<Shared<R, D>>, local: SocketAddr) -> io::Result<Self> {
        let (id, local) = shared.with(|inner, _| {
            let id = inner.stack.bind_udp(local).map_err(error::socket)?;
            Ok::<_, io::Error>((id, inner.stack.udp_address(id).unwrap_or(local)))
        })?;
        Ok(Self { shared, id, local })
    }

    /// Receives what is sent to `group` at this socket's port as well, by the interface `on`, or by the one that leads
    /// there. Says which it is. The socket leaves its groups when it is dropped.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is no group or there is no such interface, `OutOfMemory` when too many were joined.
    pub fn join(&mut self, group: IpAddr, on: Option<InterfaceId>) -> io::Result<InterfaceId> {
        self.shared.with(|inner, now| {
            inner.stack.udp_join(now, self.id, group, on, &mut inner.devices).map_err(error::socket)
        })
    }

    /// Receives what is sent to `group` by `on` no more.
    pub fn leave(&mut self, group: IpAddr, on: InterfaceId) {
        self.shared.with(|inner, now| inner.stack.udp_leave(now, self.id, group, on, &mut inner.devices));
    }
}

impl<R: Runtime, D: Device> Datagrams for StackDatagrams<R, D> {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.shared.peek(|inner, _| {
            if let Some(problem) = inner.stack.udp_error(self.id) {
                return Poll::Ready(Err(error::problem(problem)));
            }
            match inner.stack.udp_receive(self.id, buffer) {
                Some((length, from)) => Poll::Ready(Ok((length, from))),
                None => {
                    inner.waiting.for_receiving(self.id, context.waker());
                    Poll::Pending
                }
            }
        })
    }

    /// Never waits: what the device has no room for is dropped, as networks do.
    fn poll_send(
        &mut self,
        _context: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(self.shared.with(|inner, now| {
            inner.stack.udp_send(now, self.id, datagram, to, &mut inner.devices).map_err(error::socket)
        }))
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl<R: Runtime, D: Device> Drop for StackDatagrams<R, D> {
    fn drop(&mut self) {
        self.shared.with(|inner, _| {
            inner.waiting.forget_datagrams(self.id);
            inner.stack.close_udp(self.id);
        });
    }
}

impl<R: Runtime, D: Device> fmt::Debug for StackDatagrams<R, D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StackDatagrams({})", self.local)
    }
}
