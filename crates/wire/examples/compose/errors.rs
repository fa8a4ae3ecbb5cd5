//! What hosts and routers say when something goes wrong.

use std::net::Ipv4Addr;

use fourwire_wire::icmpv4::{Message, Redirect, TimeExceeded, Unreachable};
use fourwire_wire::{Protocol, icmpv6};

use crate::capture::{
    Capture, V4_A, V4_B, V6_A, V6_B, icmpv6_bytes, udp_packet, v4_header, v4_packet, v6_header, v6_packet,
};

pub(crate) fn write(capture: &mut Capture) {
    v4(capture);
    v6(capture);
}

fn v4(capture: &mut Capture) {
    let quoted = &udp_packet(V4_B.into(), V4_A.into(), (50_001, 50_002), b"what went wrong")[..];
    let messages = [
        Message::Unreachable { code: Unreachable::Network, quoted },
        Message::Unreachable { code: Unreachable::Host, quoted },
        Message::Unreachable { code: Unreachable::Protocol, quoted },
        Message::Unreachable { code: Unreachable::Port, quoted },
        Message::Unreachable { code: Unreachable::FragmentationNeeded { next_hop_mtu: 1300 }, quoted },
        Message::Unreachable { code: Unreachable::Prohibited, quoted },
        // As much as RFC 792 asks for: the header and eight bytes.
        Message::Unreachable { code: Unreachable::Host, quoted: &quoted[..28] },
        Message::TimeExceeded { code: TimeExceeded::InTransit, quoted },
        Message::TimeExceeded { code: TimeExceeded::Reassembly, quoted },
        Message::ParameterProblem { code: 0, pointer: 20, quoted },
        Message::Redirect { code: Redirect::Host, gateway: Ipv4Addr::new(10, 9, 0, 254), quoted },
    ];
    for message in messages {
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes);
        capture.packet(&v4_packet(&v4_header(Protocol::ICMP), &bytes), "an error");
    }
}

fn v6(capture: &mut Capture) {
    use icmpv6::{Message, ParameterProblem, TimeExceeded, Unreachable};
    let quoted = &udp_packet(V6_B.into(), V6_A.into(), (50_001, 50_002), b"what went wrong")[..];
    let problem = |code, pointer| Message::ParameterProblem { code, pointer, quoted };
    let messages = [
        Message::Unreachable { code: Unreachable::NoRoute, quoted },
        Message::Unreachable { code: Unreachable::Prohibited, quoted },
        Message::Unreachable { code: Unreachable::BeyondScope, quoted },
        Message::Unreachable { code: Unreachable::Address, quoted },
        Message::Unreachable { code: Unreachable::Port, quoted },
        Message::Unreachable { code: Unreachable::SourcePolicy, quoted },
        Message::Unreachable { code: Unreachable::RejectRoute, quoted },
        Message::PacketTooBig { mtu: 1280, quoted },
        Message::TimeExceeded { code: TimeExceeded::InTransit, quoted },
        Message::TimeExceeded { code: TimeExceeded::Reassembly, quoted },
        problem(ParameterProblem::ErroneousHeaderField, 4),
        problem(ParameterProblem::UnrecognizedNextHeader, 6),
        problem(ParameterProblem::UnrecognizedOption, 42),
        problem(ParameterProblem::IncompleteHeaderChain, 0),
    ];
    for message in messages {
        let header = v6_header(Protocol::ICMPV6);
        let bytes = icmpv6_bytes(&header, &message);
        capture.packet(&v6_packet(&header, &bytes), "an error");
    }
}
