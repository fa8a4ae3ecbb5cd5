//! How documents are set up, and every limit they keep.

use std::time::Duration;

/// The most of everything. What goes past a limit is refused with a reason that the client can show.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one document in the store: its last snapshot and what came since. An edit that would go past it is
    /// refused with close code 4413.
    pub document_bytes: usize,
    /// Bytes of one update. A longer one closes the connection with 1009.
    pub update_bytes: usize,
    /// Bytes of one message of awareness. A longer one closes the connection with 1009.
    pub awareness_bytes: usize,
    /// States of awareness that one document holds. Others are ignored.
    pub awareness_states: usize,
    /// Clients at one document. Others are put out with 1013.
    pub clients: usize,
    /// Documents that one connection may have open (Hocuspocus).
    pub documents_per_session: usize,
    /// Documents that one shard keeps in memory.
    pub documents: usize,
    /// How long a document that nobody is at stays in memory.
    pub idle: Duration,
    /// Bytes of updates of one document that wait for the store. More close the connection that brings them, with 1013.
    pub waiting_bytes: usize,
    /// Updates and answers of one document that go to the store, or wait for it, together.
    pub write_group: usize,
    /// Updates since the last snapshot after which the next one is made.
    pub log_records: usize,
    /// Bytes of updates since the last snapshot after which the next one is made, if the snapshot itself has no more.
    pub log_bytes: usize,
    /// Versions that one document may have.
    pub versions: usize,
    /// Bytes of a version's name.
    pub version_name_bytes: usize,
    /// How long a connection may take to say who it is and what it wants (Hocuspocus), else it is closed with 4408.
    pub hello_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 8 * 1024 * 1024,
            update_bytes: 2 * 1024 * 1024,
            awareness_bytes: 16 * 1024,
            awareness_states: 2048,
            clients: 1000,
            documents_per_session: 64,
            documents: 1000,
            idle: Duration::from_secs(60),
            waiting_bytes: 8 * 1024 * 1024,
            write_group: 512,
            log_records: 512,
            log_bytes: 64 * 1024,
            versions: 100,
            version_name_bytes: 256,
            hello_timeout: Duration::from_secs(10),
        }
    }
}
