//! Datagrams: each arrives once and in order, or is lost at a cut or for want of a receiver.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use host::Datagrams;

use super::{Load, Net, Packet, hears, overlap};
use crate::machine::LabHost;
use crate::state::{Happening, Shared, State};
use crate::transcript::{Event, short_hash};

/// What fits into a UDP datagram over IPv4, in bytes.
const LONGEST: usize = 65_507;
/// Datagrams that wait to be received; one that finds the queue full is lost.
const QUEUED: usize = 256;

/// A socket for datagrams of a simulated machine.
pub struct LabDatagrams {
    shared: Arc<Shared>,
    number: u64,
    local: SocketAddr,
}

/// The network's side of it.
pub(super) struct Socket {
    pub(super) machine: usize,
    local: SocketAddr,
    arrived: VecDeque<(Bytes, SocketAddr)>,
    pub(super) waker: Option<Waker>,
}

impl LabDatagrams {
    pub(crate) fn bind(host: &LabHost, local: SocketAddr) -> io::Result<Self> {
        let (number, local) = host.shared.with(|state| state.bind(host.machine, local))?;
        Ok(Self { shared: host.shared.clone(), number, local })
    }
}

impl Datagrams for LabDatagrams {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut old = None;
        let received = self.shared.with(|state| {
            let socket = state.net.sockets.get_mut(&self.number).ok_or_else(crashed)?;
            let datagram = socket.arrived.pop_front();
            if datagram.is_none() {
                old = socket.waker.replace(context.waker().clone());
            }
            Ok::<_, io::Error>(datagram)
        });
        drop(old);
        let Some((payload, from)) = received? else { return Poll::Pending };
        let length = payload.len().min(buffer.len());
        buffer[..length].copy_from_slice(&payload[..length]);
        Poll::Ready(Ok((length, from)))
    }

    fn poll_send(
        &mut self,
        _context: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<()>> {
        if datagram.len() > LONGEST {
            return Poll::Ready(Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("a datagram carries at most {LONGEST} bytes"),
            )));
        }
        let payload = Bytes::copy_from_slice(datagram);
        Poll::Ready(self.shared.with(|state| state.send_datagram(self.number, payload, to)))
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for LabDatagrams {
    fn drop(&mut self) {
        let socket = self.shared.with(|state| state.net.sockets.remove(&self.number));
        drop(socket);
    }
}

impl State {
    fn bind(&mut self, machine: usize, local: SocketAddr) -> io::Result<(u64, SocketAddr)> {
        if !self.net.is_ours(machine, local.ip()) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let taken = |net: &Net, local: SocketAddr| {
            net.sockets.values().any(|socket| socket.machine == machine && overlap(socket.local, local))
        };
        let local = match local.port() {
            0 => {
                let free = |net: &Net, port| taken(net, SocketAddr::new(local.ip(), port));
                let port = self.net.free_port(machine, free).ok_or(ErrorKind::AddrInUse)?;
                SocketAddr::new(local.ip(), port)
            }
            _ => local,
        };
        if taken(&self.net, local) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let number = self.net.number();
        self.net.sockets.insert(number, Socket { machine, local, arrived: VecDeque::new(), waker: None });
        Ok((number, local))
    }

    fn send_datagram(&mut self, number: u64, payload: Bytes, to: SocketAddr) -> io::Result<()> {
        let socket = self.net.sockets.get(&number).ok_or_else(crashed)?;
        let (machine, local) = (socket.machine, socket.local);
        let Some(target) = self.net.machine_at(machine, to.ip()) else {
            return Err(ErrorKind::HostUnreachable.into());
        };
        let from = match local.ip().is_unspecified() {
            true => SocketAddr::new(self.net.source(machine, to.ip()), local.port()),
            false => local,
        };
        let at = self.now + self.latency(machine, target);
        let packet = Packet { from: machine, to: target, load: Load::Datagram { from, to, payload } };
        self.queue.schedule(at, Happening::Arrive(packet));
        Ok(())
    }

    pub(super) fn arrive_datagram(
        &mut self,
        machine: usize,
        from: SocketAddr,
        to: SocketAddr,
        payload: Bytes,
    ) {
        let event = Event::Datagram { from, to, length: payload.len(), hash: short_hash(&payload) };
        self.record(machine, event);
        let mut sockets = self.net.sockets.values_mut();
        let receiver = sockets.find(|socket| socket.machine == machine && hears(socket.local, to));
        if let Some(socket) = receiver
            && socket.arrived.len() < QUEUED
        {
            socket.arrived.push_back((payload, from));
            self.wakers.extend(socket.waker.take());
        }
    }
}

fn crashed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the socket went down with its machine")
}
