//! Both ICMPs and neighbour discovery.

use fourwire_wire::checksum::Sum;
use fourwire_wire::{Error, icmpv4, icmpv6, ndp};

use crate::line::Line;
use crate::{internet, multicast};

pub(crate) fn v4(line: &mut Line, payload: &[u8]) -> Result<(), Error> {
    let message = icmpv4::Message::parse(payload)?;
    line.flag("icmp.checksum.status", true);
    let mut head = |kind: u8, code: u8| {
        line.add("icmp.type", kind);
        line.add("icmp.code", code);
    };
    use icmpv4::Message;
    let packet = match message {
        Message::EchoRequest(echo) | Message::EchoReply(echo) => {
            head(if matches!(message, Message::EchoRequest(_)) { 8 } else { 0 }, 0);
            line.add("icmp.ident", echo.identifier);
            line.add("icmp.seq", echo.sequence);
            return Ok(());
        }
        Message::Unreachable { code, quoted } => {
            head(3, code.code());
            if let icmpv4::Unreachable::FragmentationNeeded { next_hop_mtu } = code {
                line.add("icmp.mtu", next_hop_mtu);
            }
            quoted
        }
        Message::TimeExceeded { code, quoted } => {
            head(11, code.code());
            quoted
        }
        Message::ParameterProblem { code, quoted, .. } => {
            head(12, code);
            quoted
        }
        Message::Redirect { code, gateway, quoted } => {
            head(5, code.code());
            line.add("icmp.redir_gw", gateway);
            quoted
        }
        Message::SourceQuench { quoted } => {
            head(4, 0);
            quoted
        }
        Message::Other { kind, code, .. } => {
            head(kind, code);
            return Ok(());
        }
    };
    internet::quoted(line, packet)
}

pub(crate) fn v6(line: &mut Line, payload: &[u8], pseudo_header: Sum) -> Result<(), Error> {
    let message = icmpv6::Message::parse(payload, pseudo_header)?;
    line.flag("icmpv6.checksum.status", true);
    // The messages of discovery have no number of their own once they are read.
    line.add("icmpv6.type", payload[0]);
    line.add("icmpv6.code", payload[1]);
    use icmpv6::Message;
    let packet = match message {
        Message::EchoRequest(echo) | Message::EchoReply(echo) => {
            line.add("icmpv6.echo.identifier", echo.identifier);
            line.add("icmpv6.echo.sequence_number", echo.sequence);
            return Ok(());
        }
        Message::Unreachable { quoted, .. } | Message::TimeExceeded { quoted, .. } => quoted,
        Message::PacketTooBig { mtu, quoted } => {
            line.add("icmpv6.mtu", mtu);
            quoted
        }
        Message::ParameterProblem { pointer, quoted, .. } => {
            line.add("icmpv6.pointer", pointer);
            quoted
        }
        Message::Neighbor(message) => return neighbor(line, &message),
        Message::Multicast(message) => return multicast::mld(line, &message),
        Message::Other { .. } => return Ok(()),
    };
    internet::quoted(line, packet)
}

fn neighbor(line: &mut Line, message: &ndp::Message<'_>) -> Result<(), Error> {
    match message {
        ndp::Message::RouterSolicitation { .. } => {}
        ndp::Message::RouterAdvertisement { router, .. } => {
            line.add("icmpv6.nd.ra.cur_hop_limit", router.hop_limit);
            line.flag("icmpv6.nd.ra.flag.m", router.managed);
            line.flag("icmpv6.nd.ra.flag.o", router.other);
            line.add("icmpv6.nd.ra.router_lifetime", router.lifetime);
            line.add("icmpv6.nd.ra.reachable_time", router.reachable_time);
            line.add("icmpv6.nd.ra.retrans_timer", router.retransmit_timer);
        }
        ndp::Message::NeighborSolicitation { target, .. } => {
            line.add("icmpv6.nd.ns.target_address", target);
        }
        ndp::Message::NeighborAdvertisement { router, solicited, replace, target, .. } => {
            line.flag("icmpv6.nd.na.flag.r", *router);
            line.flag("icmpv6.nd.na.flag.s", *solicited);
            line.flag("icmpv6.nd.na.flag.o", *replace);
            line.add("icmpv6.nd.na.target_address", target);
        }
        ndp::Message::Redirect { target, destination, .. } => {
            line.add("icmpv6.nd.rd.target_address", target);
            line.add("icmpv6.rd.na.destination_address", destination);
        }
    }
    message.options().iter().try_for_each(|found| option(line, found))
}

fn option(line: &mut Line, option: ndp::NdpOption<'_>) -> Result<(), Error> {
    use ndp::NdpOption;
    let kind = match option {
        NdpOption::SourceLinkAddress(address) => {
            line.add("icmpv6.opt.linkaddr", address);
            1
        }
        NdpOption::TargetLinkAddress(address) => {
            line.add("icmpv6.opt.linkaddr", address);
            2
        }
        NdpOption::Prefix(prefix) => {
            line.add("icmpv6.opt.prefix", prefix.prefix);
            line.add("icmpv6.opt.prefix.length", prefix.len);
            line.flag("icmpv6.opt.prefix.flag.l", prefix.on_link);
            line.flag("icmpv6.opt.prefix.flag.a", prefix.autonomous);
            line.add("icmpv6.opt.prefix.valid_lifetime", prefix.valid_lifetime);
            line.add("icmpv6.opt.prefix.preferred_lifetime", prefix.preferred_lifetime);
            3
        }
        NdpOption::Redirected(packet) => {
            line.add("icmpv6.opt.type", 4);
            return internet::quoted(line, packet);
        }
        NdpOption::Mtu(mtu) => {
            line.add("icmpv6.opt.mtu", mtu);
            5
        }
        NdpOption::Nonce(_) => 14,
        NdpOption::DnsServers { lifetime, servers } => {
            line.add("icmpv6.opt.rdnss.lifetime", lifetime);
            servers.iter().for_each(|server| line.add("icmpv6.opt.rdnss", server));
            25
        }
        NdpOption::Other { kind, .. } => kind,
    };
    line.add("icmpv6.opt.type", kind);
    Ok(())
}
