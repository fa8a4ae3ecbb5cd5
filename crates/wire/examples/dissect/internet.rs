//! IPv4 and IPv6, and the protocols that have ports.

use std::net::IpAddr;

use fourwire_wire::checksum::Sum;
use fourwire_wire::ipv6::Extension;
use fourwire_wire::{Error, Protocol, igmp, ip, ipv4, ipv6, tcp, udp};

use crate::line::Line;
use crate::{dhcp, icmp, multicast};

/// A packet that was received.
pub(crate) fn packet(line: &mut Line, bytes: &[u8]) -> Result<(), Error> {
    if bytes.first().is_some_and(|first| first >> 4 == 4) {
        let (header, payload) = ipv4::Header::parse(bytes)?;
        v4(line, &header, bytes);
        line.flag("ip.checksum.status", true);
        if header.is_fragment() {
            return Ok(());
        }
        let ends = (header.source.into(), header.destination.into());
        return upper(line, ends, header.protocol, payload);
    }
    let (header, payload) = ipv6::Header::parse(bytes)?;
    v6(line, &header, bytes)?;
    let packet = ip::Packet::parse(bytes)?;
    // Where a host may go on, it goes on where a reader does.
    if let Ok(chain) = ipv6::Chain::of(&header, payload)
        && (chain.protocol, &payload[chain.offset..]) != (packet.protocol, packet.payload)
    {
        return Err(Error::Malformed);
    }
    if packet.more_fragments || packet.fragment_offset > 0 {
        return Ok(());
    }
    upper(line, (packet.source, packet.destination), packet.protocol, packet.payload)
}

/// A packet that an error quotes.
pub(crate) fn quoted(line: &mut Line, bytes: &[u8]) -> Result<(), Error> {
    if bytes.first().is_some_and(|first| first >> 4 == 4) {
        let (header, _) = ipv4::Header::parse_quoted(bytes)?;
        v4(line, &header, bytes);
        return Ok(());
    }
    let (header, _) = ipv6::Header::parse_quoted(bytes)?;
    v6(line, &header, bytes)
}

fn v4(line: &mut Line, header: &ipv4::Header, bytes: &[u8]) {
    line.add("ip.hdr_len", header.len());
    line.add("ip.dsfield", header.traffic_class);
    line.add("ip.len", u16::from_be_bytes([bytes[2], bytes[3]]));
    line.add("ip.id", header.identification);
    line.flag("ip.flags.df", header.dont_fragment);
    line.flag("ip.flags.mf", header.more_fragments);
    line.add("ip.frag_offset", header.fragment_offset / 8);
    line.add("ip.ttl", header.ttl);
    line.add("ip.proto", header.protocol.0);
    line.add("ip.src", header.source);
    line.add("ip.dst", header.destination);
    for option in header.options.iter() {
        line.add("ip.opt.type", option.kind);
    }
}

fn v6(line: &mut Line, header: &ipv6::Header, bytes: &[u8]) -> Result<(), Error> {
    line.add("ipv6.tclass", header.traffic_class);
    line.add("ipv6.flow", header.flow_label);
    line.add("ipv6.plen", u16::from_be_bytes([bytes[4], bytes[5]]));
    line.add("ipv6.nxt", header.next_header.0);
    line.add("ipv6.hlim", header.hop_limit);
    line.add("ipv6.src", header.source);
    line.add("ipv6.dst", header.destination);
    for extension in ipv6::Extensions::of(header, &bytes[ipv6::Header::LEN..]) {
        match extension? {
            Extension::HopByHop(options) | Extension::Destination(options) => {
                for option in options.iter() {
                    line.add("ipv6.opt.type", option?.kind);
                }
            }
            Extension::Routing(routing) => {
                line.add("ipv6.routing.type", routing.kind);
                line.add("ipv6.routing.segleft", routing.segments_left);
            }
            Extension::Fragment(fragment) => {
                line.add("ipv6.fraghdr.nxt", fragment.next_header.0);
                line.add("ipv6.fraghdr.offset", fragment.offset / 8);
                line.flag("ipv6.fraghdr.more", fragment.more_fragments);
                line.add("ipv6.fraghdr.ident", fragment.identification);
            }
            Extension::Authentication(_) => {}
        }
    }
    Ok(())
}

fn upper(line: &mut Line, ends: (IpAddr, IpAddr), protocol: Protocol, payload: &[u8]) -> Result<(), Error> {
    let sum = Sum::pseudo_header(ends.0, ends.1, protocol.0, payload.len());
    match protocol {
        Protocol::UDP => {
            let (header, data) = udp::Header::parse(payload, sum, ends.0.is_ipv4())?;
            line.add("udp.srcport", header.source_port);
            line.add("udp.dstport", header.destination_port);
            line.add("udp.length", udp::Header::LEN + data.len());
            line.flag("udp.checksum.status", true);
            if [header.source_port, header.destination_port].contains(&67) {
                dhcp::message(line, data)?;
            }
            Ok(())
        }
        Protocol::TCP => {
            let (header, data) = tcp::Header::parse(payload)?;
            segment(line, &header, data.len());
            line.flag("tcp.checksum.status", tcp::is_whole(payload, sum));
            Ok(())
        }
        Protocol::ICMP => icmp::v4(line, payload),
        Protocol::ICMPV6 => icmp::v6(line, payload, sum),
        Protocol::IGMP => multicast::igmp(line, &igmp::Message::parse(payload)?),
        _ => Ok(()),
    }
}

fn segment(line: &mut Line, header: &tcp::Header, len: usize) {
    line.add("tcp.srcport", header.source_port);
    line.add("tcp.dstport", header.destination_port);
    line.add("tcp.seq_raw", header.sequence.0);
    line.add("tcp.ack_raw", header.acknowledgment.0);
    line.add("tcp.hdr_len", header.len());
    line.add("tcp.len", len);
    line.add("tcp.flags", header.flags.0);
    line.add("tcp.window_size_value", header.window);
    line.add("tcp.urgent_pointer", header.urgent);
    if let Some(size) = header.options.max_segment_size {
        line.add("tcp.options.mss_val", size);
    }
    if let Some(shift) = header.options.window_scale {
        line.add("tcp.options.wscale.shift", shift);
    }
    if let Some(tcp::Timestamps { value, echo }) = header.options.timestamps {
        line.add("tcp.options.timestamp.tsval", value);
        line.add("tcp.options.timestamp.tsecr", echo);
    }
    for block in header.options.sack.as_slice() {
        line.add("tcp.options.sack_le", block.start.0);
        line.add("tcp.options.sack_re", block.end.0);
    }
}
