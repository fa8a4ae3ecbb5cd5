//! The internet layer: addresses, routes, forwarding, fragments and ICMP, for IPv4 and IPv6.

mod service;

pub use service::{Delivery, IcmpError, Internet, Path, Problem, SendError, Sending};
