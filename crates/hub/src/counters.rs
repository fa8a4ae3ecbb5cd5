//! What a hub has counted, for metrics.

use std::collections::BTreeMap;

/// What one shard's hub has counted. Names without `_total` are as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections, whether or not they have sent their connect command.
    pub sessions: u64,
    /// Connections whose connect command was accepted.
    pub connected: u64,
    /// Rooms that connections of this shard are in, summed over the connections.
    pub subscriptions: u64,
    /// Rooms of this shard in memory.
    pub rooms: u64,
    /// Connections of any shard in rooms of this shard, summed over the rooms.
    pub members: u64,
    /// Bytes that publications of this shard's rooms, and their ids, take in memory, about.
    pub history_bytes: u64,
    /// Publications of this shard's rooms that wait for the store.
    pub waiting: u64,
    /// Bytes of what is to be published in this shard's rooms and not stored yet.
    pub waiting_bytes: u64,
    /// Commands, API requests among them, that wait for a room or the store.
    pub pending: u64,
    /// Connections there have been.
    pub sessions_total: u64,
    /// Bytes received from clients.
    pub received_bytes_total: u64,
    /// Commands received, by name. What could not be read counts as `malformed`.
    pub commands_total: BTreeMap<&'static str, u64>,
    /// Publications that were stored and acknowledged.
    pub publications_total: u64,
    /// Publishes that were refused because too much waited for the store, in the room or in all rooms of the shard.
    pub refused_total: u64,
    /// Publishes that were answered from the memory of ids.
    pub duplicates_total: u64,
    /// Signals that were passed on.
    pub signals_total: u64,
    /// Frames handed to subscribers.
    pub deliveries_total: u64,
    /// Recoveries that found all that was missed.
    pub recovered_total: u64,
    /// Recoveries that could not.
    pub unrecovered_total: u64,
    /// Writes to the store that failed, by room and group.
    pub store_failures_total: u64,
    /// Times that a mailbox from another shard overflowed.
    pub lagged_total: u64,
    /// Errors in answers, by Centrifuge error code.
    pub errors_total: BTreeMap<u16, u64>,
    /// Connections closed by us, by Centrifuge disconnect code.
    pub disconnects_total: BTreeMap<u16, u64>,
    /// Of documents.
    pub documents: crate::document::Counters,
}
