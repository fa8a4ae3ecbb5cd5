//! Requests to a store, and how a batch of them is run with one sync.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Limit, Record, Start, Store, StoreError, StoredRoom, Write};

/// Something to do, and a ticket by which the reply finds its way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by whoever asks.
    pub ticket: u64,
    /// What to do.
    pub operation: Operation,
}

/// What a store can be asked to do. The fields are those of the [`Store`] trait's methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Store::load`]
    Load {
        /// The room's name.
        channel: Arc<str>,
        /// How much, at most.
        limit: Limit,
    },
    /// [`Store::commit`]: these writes are there together or not at all.
    Write(Vec<Write>),
    /// [`Store::read`]
    Read {
        /// The room's name.
        channel: Arc<str>,
        /// From where.
        start: Start,
        /// How much, at most.
        limit: Limit,
    },
    /// [`Store::rooms`]
    Rooms {
        /// The name before the first.
        after: Option<String>,
        /// How many names, at most.
        limit: usize,
    },
}

impl Operation {
    /// Bytes of the records that it would write.
    pub fn bytes(&self) -> usize {
        let Self::Write(writes) = self else { return 0 };
        let body = |write: &Write| match write {
            Write::Append { record, .. } | Write::Replace { record, .. } => record.body.len(),
            Write::Create { .. } | Write::Restore { .. } | Write::Trim { .. } | Write::Remove { .. } => 0,
        };
        writes.iter().map(body).sum()
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's.
    pub ticket: u64,
    /// The answer to its operation.
    pub outcome: Result<Outcome, StoreError>,
}

/// The answer to an [`Operation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To [`Operation::Load`].
    Loaded(Option<StoredRoom>),
    /// To [`Operation::Write`]: the writes are on the storage, synced.
    Written,
    /// To [`Operation::Read`].
    Records(Vec<Record>),
    /// To [`Operation::Rooms`].
    Rooms(Vec<String>),
}

/// Runs `requests` and returns their replies in the same order.
///
/// Every answer is as if the requests were run one after the other; but as few commits are made as that allows, in the
/// common case one for the whole batch. Writes that do not fit what is there fail alone, without those of others.
pub fn run(store: &mut dyn Store, requests: Vec<Request>) -> Vec<Reply> {
    let mut batch = Batch { store, replies: Vec::with_capacity(requests.len()), group: Group::default() };
    for Request { ticket, operation } in requests {
        let outcome = match operation {
            Operation::Write(writes) => {
                batch.write(ticket, writes);
                continue;
            }
            Operation::Load { channel, limit } => {
                batch.settle(&channel);
                batch.store.load(&channel, limit).map(Outcome::Loaded)
            }
            Operation::Read { channel, start, limit } => {
                batch.settle(&channel);
                batch.store.read(&channel, start, limit).map(Outcome::Records)
            }
            Operation::Rooms { after, limit } => {
                batch.commit();
                batch.store.rooms(after.as_deref(), limit).map(Outcome::Rooms)
            }
        };
        batch.replies.push(Reply { ticket, outcome });
    }
    batch.commit();
    batch.replies
}

struct Batch<'a> {
    store: &'a mut dyn Store,
    replies: Vec<Reply>,
    group: Group,
}

/// Writes that wait for the commit which will cover them.
#[derive(Default)]
struct Group {
    channels: BTreeSet<Arc<str>>,
    writes: Vec<Write>,
    /// Where in `replies` each request's answer stands, and where in `writes` its writes end.
    members: Vec<(usize, usize)>,
}

impl Batch<'_> {
    fn write(&mut self, ticket: u64, writes: Vec<Write>) {
        self.group.channels.extend(writes.iter().map(|write| write.channel().clone()));
        self.group.writes.extend(writes);
        self.group.members.push((self.replies.len(), self.group.writes.len()));
        self.replies.push(Reply { ticket, outcome: Ok(Outcome::Written) });
    }

    /// Makes sure that a look at `channel` sees what was written to it before.
    fn settle(&mut self, channel: &Arc<str>) {
        if self.group.channels.contains(channel) {
            self.commit();
        }
    }

    fn commit(&mut self) {
        let Group { writes, members, .. } = std::mem::take(&mut self.group);
        if members.is_empty() {
            return;
        }
        match self.store.commit(&writes) {
            Ok(()) => {}
            Err(error) if error.is_about_the_writes() && members.len() > 1 => {
                let mut start = 0;
                for (reply, end) in members {
                    self.replies[reply].outcome =
                        self.store.commit(&writes[start..end]).map(|()| Outcome::Written);
                    start = end;
                }
            }
            Err(error) => {
                for (reply, _) in members {
                    self.replies[reply].outcome = Err(error.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Epoch, Memory};
    use super::*;

    const ONE: Limit = Limit { records: 1, bytes: usize::MAX };

    /// Counts commits.
    struct Counting(Memory, usize);

    impl Store for Counting {
        fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
            self.0.load(channel, limit)
        }
        fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
            self.1 += 1;
            self.0.commit(writes)
        }
        fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
            self.0.read(channel, start, limit)
        }
        fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
            self.0.rooms(after, limit)
        }
    }

    fn create(channel: &str) -> Operation {
        Operation::Write(vec![Write::Create { channel: channel.into(), epoch: Epoch::new("e") }])
    }

    fn append(channel: &str, offset: u64) -> Operation {
        let record = Record { offset, body: Bytes::from_static(b"body") };
        Operation::Write(vec![Write::Append { channel: channel.into(), record }])
    }

    fn outcomes(store: &mut Counting, operations: Vec<Operation>) -> Vec<Result<Outcome, StoreError>> {
        let requests =
            operations.into_iter().zip(7..).map(|(operation, ticket)| Request { ticket, operation });
        let replies = run(store, requests.collect());
        assert!(replies.iter().zip(7..).all(|(reply, ticket)| reply.ticket == ticket));
        replies.into_iter().map(|reply| reply.outcome).collect()
    }

    #[test]
    fn the_writes_of_a_batch_share_one_commit() {
        let mut store = Counting(Memory::new(), 0);
        let load = Operation::Load { channel: "elsewhere".into(), limit: ONE };
        let outcomes = outcomes(&mut store, vec![create("a"), load, create("b"), append("a", 1)]);
        assert_eq!(outcomes[1], Ok(Outcome::Loaded(None)));
        assert_eq!(outcomes[3], Ok(Outcome::Written));
        assert_eq!(store.1, 1);
    }

    #[test]
    fn a_look_sees_what_was_written_before_it_and_not_what_comes_after() {
        let mut store = Counting(Memory::new(), 0);
        let load = || Operation::Load { channel: "a".into(), limit: ONE };
        let rooms = Operation::Rooms { after: None, limit: 9 };
        let outcomes = outcomes(&mut store, vec![load(), create("a"), load(), create("b"), rooms]);
        assert_eq!(outcomes[0], Ok(Outcome::Loaded(None)));
        assert!(matches!(outcomes[2], Ok(Outcome::Loaded(Some(_)))));
        assert_eq!(outcomes[4], Ok(Outcome::Rooms(vec!["a".into(), "b".into()])));
    }

    #[test]
    fn one_misfit_does_not_fail_the_others() {
        let mut store = Counting(Memory::new(), 0);
        let outcomes = outcomes(&mut store, vec![create("a"), append("b", 1), append("a", 1)]);
        assert_eq!(outcomes[0], Ok(Outcome::Written));
        assert_eq!(outcomes[1], Err(StoreError::NoSuchRoom("b".into())));
        assert_eq!(outcomes[2], Ok(Outcome::Written));
    }
}
