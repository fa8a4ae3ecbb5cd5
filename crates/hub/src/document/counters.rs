//! What was counted of documents.

/// What one shard has counted of documents. Names without `_total` are as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections to documents.
    pub sessions: u64,
    /// Documents of this shard in memory.
    pub documents: u64,
    /// Clients of any shard at documents of this shard.
    pub clients: u64,
    /// Bytes in the store of the documents in memory.
    pub bytes: u64,
    /// Connections there have been.
    pub sessions_total: u64,
    /// Updates that were stored and acknowledged.
    pub updates_total: u64,
    /// Snapshots that were made of documents, each in the place of a log.
    pub snapshots_total: u64,
    /// Updates that were refused: by a limit, or because the client may only read.
    pub refused_total: u64,
    /// Clients that a document was denied to.
    pub denied_total: u64,
    /// Messages that were not what they should be. Each has closed its connection.
    pub malformed_total: u64,
    /// Times that the CRDT library failed over an update, and the document was made anew from the store.
    pub panics_total: u64,
    /// Times that a document could not be made from what was in the store.
    pub unreadable_total: u64,
    /// States of awareness for which there was no room.
    pub awareness_refused_total: u64,
}

impl Counters {
    /// Adds what another shard has counted.
    pub fn add(&mut self, other: &Self) {
        // Whole, so that a new counter is not forgotten here.
        let Self {
            sessions,
            documents,
            clients,
            bytes,
            sessions_total,
            updates_total,
            snapshots_total,
            refused_total,
            denied_total,
            malformed_total,
            panics_total,
            unreadable_total,
            awareness_refused_total,
        } = other;
        self.sessions += sessions;
        self.documents += documents;
        self.clients += clients;
        self.bytes += bytes;
        self.sessions_total += sessions_total;
        self.updates_total += updates_total;
        self.snapshots_total += snapshots_total;
        self.refused_total += refused_total;
        self.denied_total += denied_total;
        self.malformed_total += malformed_total;
        self.panics_total += panics_total;
        self.unreadable_total += unreadable_total;
        self.awareness_refused_total += awareness_refused_total;
    }
}
