//! What happened, in numbers.

use crate::counters::counters;

counters! {
/// Counts of what the internet and link layers did, each from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came.
    pub frames_received: u64,
    /// Frames that left.
    pub frames_sent: u64,
    /// IP packets that came.
    pub packets_received: u64,
    /// IP packets of ours that left, fragments each.
    pub packets_sent: u64,
    /// Packets handed to the transport layer.
    pub delivered: u64,
    /// Packets of others sent on.
    pub forwarded: u64,
    /// Packets from this host to itself.
    pub looped: u64,
    /// Dropped: the bytes are not what the format says.
    pub malformed: u64,
    /// Dropped: the checksum is wrong.
    pub bad_checksum: u64,
    /// Dropped: for somebody else.
    pub not_ours: u64,
    /// Dropped: an address that cannot be where it is, or a source route.
    pub martian: u64,
    /// Dropped on the way: the TTL ran out.
    pub expired: u64,
    /// Dropped: no route.
    pub no_route: u64,
    /// Dropped: the neighbour does not answer, or too much waited for it.
    pub no_neighbor: u64,
    /// Dropped: the device had no room.
    pub no_room: u64,
    /// Dropped on the way: too long, and not to be cut.
    pub too_big: u64,
    /// Packets that were cut.
    pub fragmented: u64,
    /// Fragments that came.
    pub fragments_received: u64,
    /// Packets put together.
    pub reassembled: u64,
    /// Packets whose fragments were given up: overlap, nonsense.
    pub reassembly_failed: u64,
    /// Packets whose fragments did not all come in time.
    pub reassembly_timeout: u64,
    /// Packets whose fragments had to make room for others.
    pub reassembly_limit: u64,
    /// ICMP errors sent.
    pub errors_sent: u64,
    /// ICMP errors not sent because of their rate.
    pub errors_limited: u64,
    /// ICMP errors that came.
    pub errors_received: u64,
    /// Echo requests answered.
    pub echoes_answered: u64,
    /// ARP and neighbour discovery packets that came and were understood.
    pub discovery_received: u64,
    /// Of these not believed.
    pub discovery_rejected: u64,
    /// Addresses that somebody else had.
    pub duplicates: u64,
}
}
