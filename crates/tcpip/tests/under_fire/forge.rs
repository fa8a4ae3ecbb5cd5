//! A peer that says what it likes: packets made by hand, and what the host answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::Stack;
use fourwire_tcpip::transport::ListenerId;
use host::Instant;
use wire::checksum::Sum;
use wire::tcp::{Flags, Header, Options, SeqNumber, fill_checksum};
use wire::{Protocol, ip, ipv4};

use super::net::{ON, Out, addresses};

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
        let (header, _) = Header::parse(packet.payload).ok()?;
        Some(Heard { header })
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
