//! The state of a network, as `fourwire net` shows it and as a running server tells it.

use serde::{Deserialize, Serialize};

/// What there is. Names are those of `--json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// `kernel`, `tap:NAME` or `tun:NAME`.
    pub(crate) network: String,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) routes: Vec<Route>,
    pub(crate) neighbors: Vec<Neighbor>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) counters: Vec<Counter>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) mac: Option<String>,
    /// Bytes.
    pub(crate) mtu: u32,
    pub(crate) addresses: Vec<Address>,
    pub(crate) groups: Vec<String>,
    /// Frames.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Not sent, for want of room or because the device refused.
    pub(crate) dropped: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// With the bits of its prefix.
    pub(crate) address: String,
    /// `tentative`, `preferred`, `deprecated` or `duplicate`.
    pub(crate) state: String,
    /// Seconds that it is still ours; `None` for ever.
    pub(crate) valid: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) network: String,
    /// `None` on the link.
    pub(crate) gateway: Option<String>,
    pub(crate) interface: String,
    pub(crate) metric: u32,
    /// Seconds until it ends, where it was learned.
    pub(crate) expires: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbor {
    pub(crate) address: String,
    pub(crate) mac: Option<String>,
    pub(crate) interface: String,
    /// Of RFC 4861 section 7.3.2, and the kernel's further ones.
    pub(crate) state: String,
}

/// A TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) state: String,
    /// Bytes that wait to be acknowledged, and to be read.
    pub(crate) send_queue: u64,
    pub(crate) receive_queue: u64,
    /// Bytes.
    pub(crate) congestion_window: Option<u64>,
    /// Bytes; `None` while there was no loss.
    pub(crate) threshold: Option<u64>,
    /// Microseconds.
    pub(crate) round_trip: Option<u64>,
    /// Microseconds.
    pub(crate) timeout: Option<u64>,
    /// Segments.
    pub(crate) retransmissions: Option<u64>,
    /// Bytes in a second.
    pub(crate) delivery_rate: Option<u64>,
}

/// A place where connections or datagrams arrive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Socket {
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    pub(crate) local: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) name: String,
    pub(crate) value: u64,
}
