//! What the hubs of a machine's shards say to each other.

/// A message from one shard's hub to another's. The driver carries it and need not look inside.
#[derive(Clone, Debug)]
pub struct ShardMessage(pub(crate) ());
