//! The families of attacks that other stacks fell to, each a test that says its names.
//!
//! | file | families |
//! | --- | --- |
//! | `addresses` | LAND, martians, broadcast amplification |
//! | `options` | AMNESIA:33 and INFRA:HALT (options of length zero, headers beyond the packet), URGENT/11 (source routes) |
//! | `lengths` | Ripple20 (lengths that contradict each other, IP in IP) |
//! | `fragments` | teardrop, ping of death, rose, FragmentSmack, tiny and overlapping fragments, atomic fragments |
//! | `urgent` | URGENT/11 and INFRA:HALT (urgent pointer) |
//! | `injection` | slipping in the window: resets, SYNs, data; the side channel of challenge acknowledgments; split handshake |
//! | `sack` | SACK Panic and slowness, tiny segments, SegmentSmack |
//! | `optimistic` | optimistic acknowledgments, divided and repeated ones |
//! | `icmp` | errors against TCP: hard errors, path MTU, source quench; errors about errors |
//! | `datagrams` | loops between services, storms of errors |
//! | `exhaustion` | SYN and ACK floods, FIN-WAIT-2, closed windows (sockstress) |
//! | `guesses` | NUMBER:JACK, IP identifications, ports, timestamps, SAD DNS |
//!
//! What is about names (NAME:WRECK) is with the resolver; what is about neighbours and routers with the internet layer.

mod addresses;
mod datagrams;
mod exhaustion;
mod fragments;
mod guesses;
mod icmp;
mod injection;
mod lengths;
mod optimistic;
mod options;
mod sack;
mod urgent;
