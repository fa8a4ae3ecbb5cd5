//! The network of pipes: who is where, what is on its way, and who is cut off from whom.

mod connection;
mod datagrams;
mod endpoint;
mod listener;
mod streams;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use connection::Dialing;
pub use connection::LabConnection;
pub use datagrams::LabDatagrams;
pub use listener::LabListener;

use crate::clock::Clock;
use crate::state::State;
use datagrams::Socket;
use listener::Listening;
use streams::Stream;

/// First of the ports that are given to whoever does not ask for one (RFC 6335, section 6).
const EPHEMERAL: u16 = 49_152;

/// The network's part of the lab's state.
pub(crate) struct Net {
    pub(crate) machines: Vec<MachineState>,
    latencies: BTreeMap<(usize, usize), Duration>,
    cuts: BTreeSet<(usize, usize)>,
    held: BTreeMap<(usize, usize), VecDeque<Packet>>,
    streams: BTreeMap<u64, Stream>,
    listeners: BTreeMap<u64, Listening>,
    sockets: BTreeMap<u64, Socket>,
    /// Numbers given to streams, listeners and sockets so far.
    numbered: u64,
}

/// One machine.
pub(crate) struct MachineState {
    pub(crate) name: Arc<str>,
    pub(crate) address: IpAddr,
    /// Counts crashes.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    next_port: u16,
    /// Connections accepted at each port, which are dealt to the shards in turn.
    dealt: BTreeMap<u16, usize>,
}

/// What is on its way between two machines.
pub(crate) struct Packet {
    from: usize,
    to: usize,
    load: Load,
}

enum Load {
    /// For one end (0 called, 1 was called) of a stream.
    Stream {
        stream: u64,
        end: usize,
        segment: Segment,
    },
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        payload: Bytes,
    },
}

/// What the two ends of a stream send each other.
#[derive(Debug)]
enum Segment {
    /// Asks for a connection, for the n-th time.
    Syn {
        attempt: u32,
    },
    SynAck,
    /// Nobody is there.
    Refuse(std::io::ErrorKind),
    Bytes(Bytes),
    /// So many bytes have arrived in all, and so many may be sent in all.
    Acknowledge {
        arrived: u64,
        edge: u64,
    },
    Fin,
    Reset,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            machines: Vec::new(),
            latencies: BTreeMap::new(),
            cuts: BTreeSet::new(),
            held: BTreeMap::new(),
            streams: BTreeMap::new(),
            listeners: BTreeMap::new(),
            sockets: BTreeMap::new(),
            numbered: 0,
        }
    }

    pub(crate) fn add_machine(&mut self, name: &str, address: IpAddr) -> usize {
        assert!(!address.is_unspecified() && !address.is_loopback(), "{address} is no machine's address");
        for machine in &self.machines {
            assert!(&*machine.name != name, "there is a machine {name} already");
            assert!(machine.address != address, "{address} is the address of {} already", machine.name);
        }
        self.machines.push(MachineState {
            name: name.into(),
            address,
            life: 0,
            clock: Clock::RIGHT,
            next_port: EPHEMERAL,
            dealt: BTreeMap::new(),
        });
        self.machines.len() - 1
    }

    pub(crate) fn set_latency(&mut self, one: usize, other: usize, latency: Duration) {
        self.latencies.insert(pair(one, other), latency);
    }

    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        self.cuts.insert(pair(one, other));
    }

    /// What waited at the cut, in order.
    pub(crate) fn heal(&mut self, one: usize, other: usize) -> VecDeque<Packet> {
        let pair = pair(one, other);
        self.cuts.remove(&pair);
        self.held.remove(&pair).unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Who answers at `address`, as seen from `machine`.
    fn machine_at(&self, machine: usize, address: IpAddr) -> Option<usize> {
        // As operating systems do it, the wildcard address means the machine itself.
        if address.is_loopback() || address.is_unspecified() {
            return Some(machine);
        }
        self.machines.iter().position(|candidate| candidate.address == address)
    }

    /// Whether a socket of `machine` may be bound to `address`.
    fn is_ours(&self, machine: usize, address: IpAddr) -> bool {
        self.machine_at(machine, address) == Some(machine)
    }

    /// The source address for what `machine` sends to `to`, without a port.
    fn source(&self, machine: usize, to: IpAddr) -> IpAddr {
        match to {
            IpAddr::V4(to) if to.is_loopback() || to.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(to) if to.is_loopback() || to.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            _ => self.machines[machine].address,
        }
    }

    /// The next port of `machine` that is not `taken`, round and round.
    fn free_port(&mut self, machine: usize, taken: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        for _ in EPHEMERAL..=u16::MAX {
            let port = self.machines[machine].next_port;
            self.machines[machine].next_port = port.checked_add(1).unwrap_or(EPHEMERAL);
            if !taken(self, port) {
                return Some(port);
            }
        }
        None
    }
}

impl State {
    fn latency(&self, from: usize, to: usize) -> Duration {
        let usual = if from == to { self.config.loopback } else { self.config.latency };
        self.net.latencies.get(&pair(from, to)).copied().unwrap_or(usual)
    }

    /// A packet has come as far as the last step.
    pub(crate) fn arrive(&mut self, packet: Packet) {
        let pair = pair(packet.from, packet.to);
        if self.net.cuts.contains(&pair) {
            if matches!(packet.load, Load::Stream { .. }) {
                self.net.held.entry(pair).or_default().push_back(packet);
            }
            return;
        }
        match packet.load {
            Load::Stream { stream, end, segment } => self.arrive_segment(stream, end, segment),
            Load::Datagram { from, to, payload } => self.arrive_datagram(packet.to, from, to, payload),
        }
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

/// Whether something bound to `bound` hears what is sent to `to`. The IPv6 wildcard hears IPv4 too.
fn hears(bound: SocketAddr, to: SocketAddr) -> bool {
    bound.port() == to.port()
        && match bound.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() => true,
            ip if ip.is_unspecified() => to.is_ipv4(),
            ip => ip == to.ip(),
        }
}

/// Whether two bound addresses would hear the same.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    hears(one, other) || hears(other, one)
}
