//! Every format below the application layer, parsed and emitted.
//!
//! Pure functions over byte slices: no allocation, no clock, no I/O, no `std`, no `unsafe`. Each format is a file with
//! one plain type, a `parse` that is total (any bytes in, a value or an [`Error`] out) and an `emit` that writes what
//! `parse` reads. A header borrows nothing but what has no fixed size (options), so it can be kept, changed and emitted
//! again; payloads stay where they lie.
//!
//! Parsing checks what the format itself says: lengths, versions, offsets, checksums where they are in the header's own
//! bytes. Whether a packet makes sense is for the layer that reads it.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
mod bytes;
pub mod checksum;
pub mod dhcpv4;
mod error;
pub mod ethernet;
pub mod fcs;
mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod llc;
pub mod mld;
mod multicast;
pub mod ndp;
pub mod pcapng;
pub mod radiotap;
pub mod tcp;
pub mod udp;
pub mod virtio;
pub mod wlan;

pub use error::Error;
pub use ethernet::{EtherType, MacAddress};
pub use ipv4::Protocol;
