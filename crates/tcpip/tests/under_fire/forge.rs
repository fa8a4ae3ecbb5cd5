//! A peer that says what it likes: packets made by hand, and what the host answers.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::transport::{ConnectionId, ListenerId};
use fourwire_tcpip::{Stack, StackConfig};
use host::Instant;
use wire::checksum::Sum;
use wire::tcp::{Flags, Header, Options, SeqNumber, fill_checksum};
use wire::{Protocol, ip, ipv4, udp};

use super::net::{ON, Out, addresses, host};

/// A host and the time, and nobody but us on the other side.
pub(crate) struct Victim {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    /// Where it listens, if it does.
    pub(crate) listener: Option<ListenerId>,
}

/// A segment that the host sent.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

impl Victim {
    pub(crate) fn new(stack: Stack) -> Self {
        Self { stack, now: Instant::ORIGIN + Duration::from_secs(10), listener: None }
    }

    /// It listens at `port` of its IPv4 address.
    pub(crate) fn listening(mut stack: Stack, port: u16) -> Self {
        let listener = stack.listen(SocketAddr::new(addresses(1)[0], port), 1024).expect("a listener");
        Self { listener: Some(listener), ..Self::new(stack) }
    }

    /// It listens at port 80, and nothing else is said.
    pub(crate) fn at_home() -> Self {
        Self::listening(host(1, StackConfig::default(), 1500), 80)
    }

    /// Whether it still does its work: who connects is answered, and what is said arrives.
    pub(crate) fn is_well(&mut self) -> bool {
        let us = SocketAddr::from(([198, 51, 100, 7], 7777));
        let at = SocketAddr::new(addresses(1)[0], 80);
        let Some(peer) = Peer::open(self, us, at, Options::default()) else { return false };
        let listener = self.listener.expect("it listens");
        // Others may have come before.
        let accepted = std::iter::from_fn(|| self.stack.accept(listener)).last();
        self.gets(peer.says(Flags::ACK, 0, 0, b"how are you?"));
        let (now, mut buffer) = (self.now, [0; 100]);
        let Some(mut connection) = accepted.and_then(|id| self.stack.connection(id)) else { return false };
        let well = connection.read(now, &mut buffer) == Ok(12) && buffer[..12] == *b"how are you?";
        connection.abort(now);
        drop(connection);
        self.stack.release(now, accepted.expect("it was there"));
        self.run(Duration::ZERO);
        well
    }

    /// A connection from port `port` of somebody, and its end here.
    pub(crate) fn call(&mut self, port: u16, options: Options) -> (Peer, ConnectionId) {
        let us = SocketAddr::from(([192, 0, 2, 1], port));
        let at = SocketAddr::new(addresses(1)[0], 80);
        let peer = Peer::open(self, us, at, options).expect("an answer");
        let id = self.stack.accept(self.listener.expect("it listens")).expect("a connection");
        (peer, id)
    }

    /// What can be read from a connection.
    pub(crate) fn read(&mut self, id: ConnectionId) -> Vec<u8> {
        let (now, mut buffer) = (self.now, vec![0; 1 << 17]);
        let len = self.stack.connection(id).and_then(|mut connection| connection.read(now, &mut buffer).ok());
        buffer.truncate(len.unwrap_or(0));
        buffer
    }

    /// Writes to a connection: what the host sends.
    pub(crate) fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> Vec<Heard> {
        let now = self.now;
        let _ = self.stack.connection(id).unwrap().write(now, &[IoSlice::new(bytes)]);
        segments(&self.run(Duration::ZERO))
    }

    /// The host gets a packet: what it sends.
    pub(crate) fn gets(&mut self, mut packet: Vec<u8>) -> Vec<Vec<u8>> {
        let mut out = Out::default();
        self.stack.receive(self.now, ON, &mut packet, &mut out);
        self.stack.transmit(self.now, &mut out);
        while self.stack.poll_event().is_some() {}
        out.0
    }

    /// Lets `time` pass: what the host sends.
    pub(crate) fn run(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let (end, mut out) = (self.now + time, Out::default());
        self.stack.transmit(self.now, &mut out);
        while let Some(at) = self.stack.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now, &mut out);
            self.stack.transmit(self.now, &mut out);
        }
        self.now = end;
        while self.stack.poll_event().is_some() {}
        out.0
    }
}

/// The TCP segments among packets.
pub(crate) fn segments(packets: &[Vec<u8>]) -> Vec<Heard> {
    let parse = |packet: &Vec<u8>| {
        let packet = ip::Packet::parse(packet).ok().filter(|packet| packet.protocol == Protocol::TCP)?;
        let (header, payload) = Header::parse(packet.payload).ok()?;
        Some(Heard { header, payload: payload.to_vec() })
    };
    packets.iter().filter_map(parse).collect()
}

/// An IP packet around `payload`.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ipv4::Header {
                traffic_class: 0,
                identification: 1,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol,
                source,
                destination,
                options: ipv4::Options::default(),
            };
            v4(&header, payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0; 40];
            bytes[0] = 0x60;
            bytes[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            (bytes[6], bytes[7]) = (protocol.0, 64);
            bytes[8..24].copy_from_slice(&source.octets());
            bytes[24..40].copy_from_slice(&destination.octets());
            bytes.extend_from_slice(payload);
            bytes
        }
        _ => panic!("two families"),
    }
}

/// An IPv4 packet with this header.
pub(crate) fn v4(header: &ipv4::Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// A segment from `from` to `to`, with its IP header.
pub(crate) fn segment(from: SocketAddr, to: SocketAddr, header: Header, payload: &[u8]) -> Vec<u8> {
    let header = Header { source_port: from.port(), destination_port: to.port(), ..header };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let sum = Sum::pseudo_header(from.ip(), to.ip(), Protocol::TCP.0, bytes.len());
    fill_checksum(&mut bytes, sum);
    packet(from.ip(), to.ip(), Protocol::TCP, &bytes)
}

/// A datagram from `from` to `to`, with its IP header.
pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    packet(from.ip(), to.ip(), Protocol::UDP, &bare_datagram(from, to, payload))
}

/// As [`datagram`], without the IP header.
pub(crate) fn bare_datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; udp::Header::LEN];
    bytes.extend_from_slice(payload);
    let sum = Sum::pseudo_header(from.ip(), to.ip(), Protocol::UDP.0, bytes.len());
    udp::Header { source_port: from.port(), destination_port: to.port() }.emit(&mut bytes, sum);
    bytes
}

/// An ICMP error of this type and code from `from` about `about`; `rest` is what stands before the quote.
pub(crate) fn error(from: IpAddr, to: IpAddr, kind: (u8, u8), rest: u32, about: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind.0, kind.1, 0, 0];
    bytes.extend_from_slice(&rest.to_be_bytes());
    bytes.extend_from_slice(about);
    let (protocol, sum) = match from {
        IpAddr::V4(_) => (Protocol::ICMP, Sum::default()),
        IpAddr::V6(_) => {
            let protocol = Protocol::ICMPV6;
            (protocol, Sum::pseudo_header(from, to, protocol.0, bytes.len()))
        }
    };
    let checksum = sum.and(&bytes).checksum();
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet(from, to, protocol, &bytes)
}

/// A header without ports.
pub(crate) fn header(flags: Flags, sequence: SeqNumber, acknowledgment: SeqNumber) -> Header {
    Header {
        source_port: 0,
        destination_port: 0,
        sequence,
        acknowledgment,
        flags,
        window: 65_535,
        urgent: 0,
        options: Options::default(),
    }
}

/// A hostile peer's end of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) us: SocketAddr,
    pub(crate) host: SocketAddr,
    /// What we send next, and what we wait for.
    pub(crate) next: SeqNumber,
    pub(crate) wants: SeqNumber,
}

impl Peer {
    /// Opens a connection from `us` to where `victim` listens.
    pub(crate) fn open(
        victim: &mut Victim,
        us: SocketAddr,
        host: SocketAddr,
        options: Options,
    ) -> Option<Self> {
        let syn = Header { options, ..header(Flags::SYN, SeqNumber(1000), SeqNumber(0)) };
        let answers = segments(&victim.gets(segment(us, host, syn, &[])));
        let answer = answers.first().filter(|heard| heard.header.flags.contains(Flags::SYN))?;
        let peer = Self { us, host, next: SeqNumber(1001), wants: answer.header.sequence + 1 };
        victim.gets(peer.says(Flags::ACK, 0, 0, &[]));
        Some(peer)
    }

    /// A segment that is off by these.
    pub(crate) fn says(&self, flags: Flags, sequence: u32, acknowledgment: u32, payload: &[u8]) -> Vec<u8> {
        let header = header(flags, self.next + sequence, self.wants + acknowledgment);
        segment(self.us, self.host, header, payload)
    }
}
