//! Where connections arrive.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use host::{ListenOptions, Listener, Runtime};
use tcpip::transport::ListenerId;

use super::connection::StackConnection;
use super::driver::Shared;
use super::error;
use crate::Device;

/// Accepts the connections that arrive at an address of the host.
pub struct StackListener<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
    id: ListenerId,
    address: SocketAddr,
}

impl<R: Runtime, D: Device> StackListener<R, D> {
    pub(super) fn listen(
        shared: Arc<Shared<R, D>>,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<Self> {
        let (id, address) = shared.with(|inner, _| {
            let id = inner.stack.listen(address, options.backlog).map_err(error::socket)?;
            Ok::<_, io::Error>((id, inner.stack.listener_address(id).unwrap_or(address)))
        })?;
        Ok(Self { shared, id, address })
    }
}

impl<R: Runtime, D: Device> Listener for StackListener<R, D> {
    type Connection = StackConnection<R, D>;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Self::Connection>> {
        let accepted = self.shared.peek(|inner, _| {
            let accepted = inner.stack.accept(self.id);
            if accepted.is_none() {
                inner.waiting.for_accepting(self.id, context.waker());
            }
            accepted
        });
        match accepted {
            Some(id) => Poll::Ready(Ok(StackConnection::new(self.shared.clone(), id))),
            None => Poll::Pending,
        }
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl<R: Runtime, D: Device> Drop for StackListener<R, D> {
    fn drop(&mut self) {
        self.shared.with(|inner, now| {
            inner.waiting.forget_listener(self.id);
            inner.stack.unlisten(now, self.id);
        });
    }
}

impl<R: Runtime, D: Device> fmt::Debug for StackListener<R, D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StackListener({})", self.address)
    }
}
