//! Prints what our parsers read in a pcapng capture: one line for each packet, with the names and the shape that
//! `tshark -T fields -E header=y -E occurrence=a` gives its own. The judge in `conformance/wire` compares the two.
//!
//!     dissect FILE          the packets of a capture
//!     dissect --fields      the names of the fields, a line each

#![allow(missing_docs, reason = "a program, whose modules nobody else uses")]

mod dhcp;
mod icmp;
mod internet;
mod line;
mod link;
mod multicast;

use std::process::ExitCode;

use fourwire_wire::pcapng::{Block, Direction, Interface, Packet, Reader};
use line::{FIELDS, Line};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [fields] if fields == "--fields" => {
            println!("{}", FIELDS.join("\n"));
            ExitCode::SUCCESS
        }
        [file] => match std::fs::read(file) {
            Ok(capture) => dissect(&capture),
            Err(error) => fail(&format!("{}: {error}", file.display())),
        },
        _ => fail("give one capture in the pcapng format, or --fields"),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("dissect: {message}");
    ExitCode::FAILURE
}

fn dissect(capture: &[u8]) -> ExitCode {
    println!("{}", FIELDS.join("\t"));
    let mut interfaces: Vec<Interface<'_>> = Vec::new();
    for (number, block) in Reader::new(capture).enumerate() {
        match block {
            Ok(Block::Section(_)) => interfaces.clear(),
            Ok(Block::Interface(interface)) => interfaces.push(interface),
            Ok(Block::Packet(packet)) => match interfaces.get(packet.interface as usize) {
                Some(interface) => println!("{}", line_of(interface, &packet)),
                None => {
                    return fail(&format!(
                        "block {number} is of interface {}, which is not there",
                        packet.interface
                    ));
                }
            },
            Ok(Block::SimplePacket { .. } | Block::Other { .. }) => {}
            Err(error) => return fail(&format!("block {number}: {error}")),
        }
    }
    ExitCode::SUCCESS
}

fn line_of(interface: &Interface<'_>, packet: &Packet<'_>) -> Line {
    let mut line = Line::default();
    let nanoseconds = interface.resolution.nanoseconds(packet.timestamp);
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    line.add("frame.time_epoch", format_args!("{seconds}.{rest:09}"));
    line.add("frame.len", packet.original_len);
    line.add("frame.cap_len", packet.data.len());
    line.add("frame.interface_name", interface.name);
    if let Some(direction) = packet.direction {
        line.add("frame.packet_flags_direction", if direction == Direction::Inbound { 1 } else { 2 });
    }
    if !packet.comment.is_empty() {
        line.add("frame.comment", packet.comment);
    }
    if let Err(error) = link::frame(&mut line, interface.link_type, packet.data) {
        line.add("error", error);
    }
    line
}
