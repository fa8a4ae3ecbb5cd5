#![no_main]
//! A whole host against a peer that says anything: packets as they come, segments that nearly fit the connection, time
//! that passes, and a program that accepts, reads, writes and closes. Nothing panics, and nothing is answered for ever.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fourwire_host::{Instant, Random};
use fourwire_tcpip::internet::Cidr;
use fourwire_tcpip::link::{InterfaceConfig, Medium};
use fourwire_tcpip::transport::{Config, ConnectionId};
use fourwire_tcpip::{Descending, InterfaceId, Stack, StackConfig, Transmit};
use fourwire_trace::Tracer;
use fourwire_wire::checksum::Sum;
use fourwire_wire::tcp::{self, Flags, SeqNumber};
use fourwire_wire::{Protocol, icmpv4, ip, ipv4, udp};
use libfuzzer_sys::fuzz_target;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const INTERFACE: InterfaceId = InterfaceId(0);

/// What the peer has heard.
#[derive(Default)]
struct Heard {
    frames: usize,
    /// The number after the last segment.
    next: SeqNumber,
    acknowledged: SeqNumber,
}

impl Transmit for Heard {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _: InterfaceId, frame: &Descending<'_>) {
        self.frames += 1;
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        let packet = ip::Packet::parse(&bytes).expect("we say nothing that we do not understand");
        if packet.protocol == Protocol::TCP
            && packet.fragment_offset == 0
            && let Ok((header, payload)) = tcp::Header::parse(packet.payload)
        {
            let len = payload.len() as u32 + u32::from(header.flags.intersects(Flags::SYN | Flags::FIN));
            self.next = header.sequence + len;
            if header.flags.contains(Flags::ACK) {
                self.acknowledged = header.acknowledgment;
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::from_nanos(1);
    let random = |name: &str| Random::from_seed([name.len() as u8; 32]);
    // Half of the hosts have little memory.
    let memory = if bytes.len() % 2 == 0 { 16 << 10 } else { 256 << 20 };
    let transport = Config { memory, ..Config::default() };
    let config = StackConfig { transport, ..StackConfig::default() };
    let mut stack = Stack::new(config, random, Tracer::OFF);
    let config = InterfaceConfig { name: "peer".into(), medium: Medium::Ip, mtu: 1500, segmented: 0 };
    stack.add_interface(now, config).unwrap();
    for (address, bits) in [(IpAddr::V4(OURS), 24), ("fd09::2".parse().unwrap(), 64)] {
        stack.add_address(now, INTERFACE, Cidr::new(address, bits)).unwrap();
    }
    let listener = stack.listen("10.9.0.2:80".parse().unwrap(), 8).unwrap();
    let _datagrams = stack.bind_udp("10.9.0.2:53".parse().unwrap()).unwrap();
    let mut heard = Heard::default();
    let mut connections: Vec<ConnectionId> = Vec::new();
    let mut rest = bytes;
    while let [operation, length, tail @ ..] = rest {
        let (data, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let before = heard.frames;
        match operation % 8 {
            0 => {
                let mut packet = data.to_vec();
                mend(&mut packet);
                stack.receive(now, INTERFACE, &mut packet, &mut heard);
            }
            1..=3 => {
                let mut packet = segment(data, &heard);
                stack.receive(now, INTERFACE, &mut packet, &mut heard);
            }
            4 => {
                now += Duration::from_millis(u64::from(*length) * 37);
                stack.handle_timeout(now, &mut heard);
            }
            5 => connections.extend(stack.accept(listener)),
            6 => {
                if let Some(&id) = connections.last()
                    && let Some(mut connection) = stack.connection(id)
                {
                    let mut buffer = [0; 4096];
                    let _ = connection.read(now, &mut buffer);
                    let _ = connection.write(now, &[IoSlice::new(data), IoSlice::new(&buffer)]);
                }
            }
            _ => {
                if let Some(id) = connections.pop() {
                    stack.release(now, id);
                }
            }
        }
        stack.transmit(now, &mut heard);
        while stack.poll_event().is_some() {}
        assert!(heard.frames - before < 4096, "it answers for ever");
        assert!(stack.transport().memory().held <= memory, "it holds more than it may");
    }
});

/// A segment of the peer that is off by what `data` says: flags, distances, window, then options and payload.
fn segment(data: &[u8], heard: &Heard) -> Vec<u8> {
    let byte = |at: usize| data.get(at).copied().unwrap_or(0);
    let distance = |at: usize| i32::from(byte(at) as i8) as u32;
    let mut header = tcp::Header {
        source_port: 4000 + u16::from(byte(0) >> 6),
        destination_port: 80,
        sequence: heard.acknowledged + distance(1).wrapping_mul(u32::from(byte(5) & 0xf)),
        acknowledgment: heard.next + distance(2).wrapping_mul(u32::from(byte(5) >> 4)),
        flags: Flags(u16::from(byte(0) & 0x3f)),
        window: u16::from_be_bytes([byte(3), byte(4)]),
        urgent: u16::from(byte(3)),
        options: tcp::Options::default(),
    };
    if byte(6) & 1 != 0 {
        header.options.timestamps = Some(tcp::Timestamps { value: distance(7), echo: distance(8) });
    }
    header.options.sack_permitted = byte(6) & 2 != 0;
    header.options.window_scale = (byte(6) & 4 != 0).then_some(byte(9));
    header.options.max_segment_size = (byte(6) & 8 != 0).then(|| u16::from_be_bytes([byte(10), byte(11)]));
    if byte(6) & 16 != 0 {
        let start = heard.next + distance(12);
        header.options.sack.push(tcp::SackBlock { start, end: start + distance(13) });
    }
    let payload = data.get(14..).unwrap_or_default();
    let mut packet = vec![0; ipv4::Header::MIN_LEN + header.len()];
    header.emit(&mut packet[ipv4::Header::MIN_LEN..]);
    packet.extend_from_slice(payload);
    let len = packet.len() - ipv4::Header::MIN_LEN;
    let outer = ipv4::Header {
        traffic_class: byte(5) & 3,
        identification: 1,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::TCP,
        source: PEER,
        destination: OURS,
        options: ipv4::Options::default(),
    };
    outer.emit(&mut packet, len);
    mend(&mut packet);
    packet
}

/// Makes the checksums of an IPv4 packet right, so that what lies behind them is reached.
fn mend(packet: &mut [u8]) {
    let Some(&first) = packet.first().filter(|first| **first >> 4 == 4) else { return };
    let len = usize::from(first & 15) * 4;
    if len < 20 || packet.len() < len {
        return;
    }
    let (header, body) = packet.split_at_mut(len);
    header[10..12].fill(0);
    let sum = Sum::of(header).checksum();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let address = |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let pseudo_header = Sum::pseudo_header(address(12), address(16), header[9], body.len());
    let (at, sum) = match Protocol(header[9]) {
        Protocol::TCP if body.len() >= tcp::Header::MIN_LEN => (16, pseudo_header),
        Protocol::UDP if body.len() >= udp::Header::LEN => (6, pseudo_header),
        Protocol::ICMP if body.len() >= icmpv4::Message::MIN_LEN => (2, Sum::default()),
        _ => return,
    };
    body[at..at + 2].fill(0);
    let sum = sum.and(body).checksum();
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
