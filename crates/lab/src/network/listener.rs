//! Where streams arrive.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use host::{ListenOptions, Listener};

use super::{LabConnection, Net, overlap};
use crate::machine::LabHost;
use crate::state::{Shared, State};

/// Accepts the streams that arrive at an address of a simulated machine.
///
/// When several shards share the address, connections are dealt to them in turn, in the order in which they listened.
pub struct LabListener {
    shared: Arc<Shared>,
    number: u64,
    address: SocketAddr,
}

/// The network's side of it.
pub(super) struct Listening {
    pub(super) machine: usize,
    pub(super) shard: usize,
    address: SocketAddr,
    shared: bool,
    backlog: usize,
    /// Streams that wait to be accepted.
    pub(super) arrived: VecDeque<u64>,
    pub(super) waker: Option<Waker>,
}

impl LabListener {
    pub(crate) fn listen(host: &LabHost, address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let (number, address) = host.shared.with(|state| state.listen(host, address, options))?;
        Ok(Self { shared: host.shared.clone(), number, address })
    }
}

impl Listener for LabListener {
    type Connection = LabConnection;

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<LabConnection>> {
        let mut old = None;
        let accepted = self.shared.with(|state| {
            let Some(listener) = state.net.listeners.get_mut(&self.number) else {
                return Err(io::Error::new(
                    ErrorKind::NotConnected,
                    "the listener went down with its machine",
                ));
            };
            let stream = listener.arrived.pop_front();
            if stream.is_none() {
                old = listener.waker.replace(context.waker().clone());
            }
            Ok(stream)
        });
        drop(old);
        match accepted? {
            Some(stream) => Poll::Ready(LabConnection::new(self.shared.clone(), stream, 1)),
            None => Poll::Pending,
        }
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LabListener {
    fn drop(&mut self) {
        let waker = self.shared.with(|state| {
            let listener = state.net.listeners.remove(&self.number)?;
            for stream in listener.arrived {
                state.abort(stream, 1);
                state.let_go(stream, 1);
            }
            listener.waker
        });
        drop(waker);
    }
}

impl State {
    fn listen(
        &mut self,
        host: &LabHost,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<(u64, SocketAddr)> {
        let machine = host.machine;
        if !self.net.is_ours(machine, address.ip()) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let taken = |net: &Net, address: SocketAddr, shared: bool| {
            net.listeners.values().any(|listener| {
                listener.machine == machine
                    && overlap(listener.address, address)
                    && !(shared && listener.shared && listener.address == address)
            })
        };
        let address = match address.port() {
            0 => {
                let free = |net: &Net, port| taken(net, SocketAddr::new(address.ip(), port), false);
                let port = self.net.free_port(machine, free).ok_or(ErrorKind::AddrInUse)?;
                SocketAddr::new(address.ip(), port)
            }
            _ => address,
        };
        if taken(&self.net, address, options.shared) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let number = self.net.number();
        let listening = Listening {
            machine,
            shard: host.shard.index,
            address,
            shared: options.shared,
            backlog: options.backlog.max(1) as usize,
            arrived: VecDeque::new(),
            waker: None,
        };
        self.net.listeners.insert(number, listening);
        Ok((number, address))
    }
}

impl Net {
    /// Whose turn it is to take a stream that arrives at `to`. `None` when nobody listens there, `Some(None)` when all who
    /// do have their hands full.
    pub(super) fn deal(&mut self, machine: usize, to: SocketAddr) -> Option<Option<u64>> {
        let hear = |exactly: bool| {
            let heard = |listener: &Listening| match exactly {
                true => listener.address == to,
                false => super::hears(listener.address, to),
            };
            let candidates = self.listeners.iter().filter(|(_, listener)| listener.machine == machine);
            candidates.filter(|(_, listener)| heard(listener)).map(|(number, _)| *number).collect::<Vec<_>>()
        };
        // Who listens at the very address goes before who listens at all of them.
        let mut candidates = hear(true);
        if candidates.is_empty() {
            candidates = hear(false);
        }
        if candidates.is_empty() {
            return None;
        }
        let turn = self.machines[machine].dealt.entry(to.port()).or_default();
        let first = *turn % candidates.len();
        candidates.rotate_left(first);
        *turn += 1;
        let has_room = |number: &u64| {
            let listener = &self.listeners[number];
            listener.arrived.len() < listener.backlog
        };
        Some(candidates.into_iter().find(has_room))
    }
}
