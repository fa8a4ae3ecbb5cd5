//! What every part of a hub has at hand while it handles one input.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use host::{Instant, Random, Shard, WallTime};

use crate::budget::{Budget, Share};
use crate::centrifuge::{Disconnect, Protocol, codes};
use crate::config::Config;
use crate::counters::Counters;
use crate::error::Error;
use crate::hub::{Output, SessionId};
use crate::message::{Answer, Asker, Draft, Message, ShardMessage};
use crate::store::{Operation, Request};

/// The time, the settings, and the ways out.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) wall: WallTime,
    pub(crate) shard: Shard,
    pub(crate) config: &'a Config,
    pub(crate) random: &'a mut Random,
    pub(crate) counters: &'a mut Counters,
    outputs: &'a mut Vec<Output>,
    /// What the store was asked and has not answered.
    asked: &'a mut Asked,
    /// What is to be published and not stored yet.
    waiting: &'a Budget,
    /// Messages from this shard to itself, in the order they were sent.
    inbox: &'a mut VecDeque<Message>,
    /// Messages for one session that may still go with others into one frame.
    open: Option<(SessionId, Protocol, Vec<u8>)>,
}

/// Questions to the store, by ticket.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    last: u64,
    open: BTreeMap<u64, Purpose>,
    /// How many of the open ones bring something into memory.
    reading: usize,
    /// Such questions that wait for others to be answered.
    queue: VecDeque<(Operation, Purpose)>,
}

/// What a question to the store is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// To bring a room into memory, or to see what is left of it after a failure.
    Load(Arc<str>),
    /// To keep what was published in a room.
    Write(Arc<str>),
    /// To look at what a room no longer has in memory.
    Read { channel: Arc<str>, lookup: u64 },
    /// To name the rooms.
    Names { gathering: u64 },
    /// For a document.
    Document { document: Arc<str>, purpose: DocumentPurpose },
}

/// What a question about a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentPurpose {
    /// To bring it into memory.
    Load,
    /// To read more of it while it is brought into memory.
    Read,
    /// To keep what was edited.
    Write,
}

impl Purpose {
    fn is_reading(&self) -> bool {
        !matches!(self, Self::Write(_) | Self::Document { purpose: DocumentPurpose::Write, .. })
    }
}

/// Messages are joined until a frame has this many bytes.
pub(crate) const FRAME_BYTES: usize = 16 * 1024;

impl<'a> Context<'a> {
    #[expect(clippy::too_many_arguments, reason = "the hub's own fields, lent one by one")]
    pub(crate) fn new(
        now: Instant,
        wall: WallTime,
        shard: Shard,
        config: &'a Config,
        random: &'a mut Random,
        counters: &'a mut Counters,
        outputs: &'a mut Vec<Output>,
        asked: &'a mut Asked,
        waiting: &'a Budget,
        inbox: &'a mut VecDeque<Message>,
    ) -> Self {
        Self { now, wall, shard, config, random, counters, outputs, asked, waiting, inbox, open: None }
    }

    /// The shard that owns a room: FNV-1a of its name, so that all shards agree.
    pub(crate) fn owner(&self, channel: &str) -> usize {
        owner(channel, self.shard.count)
    }

    /// Sends a message to a shard's hub, which may be this one.
    pub(crate) fn tell(&mut self, to: usize, message: Message) {
        if to == self.shard.index {
            self.inbox.push_back(message);
        } else {
            self.output(Output::Shard { to, message: ShardMessage(message) });
        }
    }

    /// Sends a message to every shard's hub, this one included.
    pub(crate) fn tell_all(&mut self, message: &Message) {
        for to in 0..self.shard.count {
            self.tell(to, message.clone());
        }
    }

    /// Answers a question.
    pub(crate) fn answer(&mut self, asker: Asker, answer: Result<Answer, Error>) {
        self.tell(asker.shard, Message::Answer { ticket: asker.ticket, answer });
    }

    /// Counts what is to be published, with `more` bytes beside it, as long as it waits for the store. What is counted
    /// already may be counted again when it has become more.
    ///
    /// Fails when too much waits.
    pub(crate) fn hold(&mut self, draft: &mut Draft, more: usize) -> Result<(), Error> {
        let bytes = draft.size() + more;
        self.hold_bytes(&mut draft.share, bytes)
    }

    /// Counts so many bytes of what is to be stored as long as `share` lives.
    ///
    /// Fails when too much waits.
    pub(crate) fn hold_bytes(&mut self, share: &mut Share, bytes: usize) -> Result<(), Error> {
        if self.waiting.fill(share, bytes, self.config.limits.total_waiting_bytes) {
            Ok(())
        } else {
            Err(self.overloaded("too much waits for the store already: try again later"))
        }
    }

    /// The answer to a publish for which there is no room now, in these words.
    pub(crate) fn overloaded(&mut self, message: &'static str) -> Error {
        self.counters.refused_total += 1;
        Error::new(codes::TOO_MANY_REQUESTS, message)
    }

    /// Asks the store, now or, when it is to bring something into memory and enough others do, later. That changes
    /// nothing for a room: while it is loaded it is not written to, and what it looks up was written before.
    pub(crate) fn ask_store(&mut self, operation: Operation, purpose: Purpose) {
        if purpose.is_reading() {
            if self.asked.reading >= self.config.limits.reads_at_once.max(1) {
                self.asked.queue.push_back((operation, purpose));
                return;
            }
            self.asked.reading += 1;
        }
        self.asked.last += 1;
        let ticket = self.asked.last;
        self.asked.open.insert(ticket, purpose);
        self.output(Output::Store { request: Request { ticket, operation } });
    }

    /// What the store was asked for by this ticket, unless it has answered already.
    pub(crate) fn asked(&mut self, ticket: u64) -> Option<Purpose> {
        let purpose = self.asked.open.remove(&ticket)?;
        if purpose.is_reading() {
            self.asked.reading -= 1;
            if let Some((operation, purpose)) = self.asked.queue.pop_front() {
                self.ask_store(operation, purpose);
            }
        }
        Some(purpose)
    }

    /// The next message of this shard to itself.
    pub(crate) fn next_message(&mut self) -> Option<Message> {
        self.inbox.pop_front()
    }

    /// Sends one message to a client. Messages that follow one another share a frame.
    pub(crate) fn send(&mut self, session: SessionId, protocol: Protocol, message: &[u8]) {
        match &mut self.open {
            Some((open, _, frame)) if *open == session && frame.len() + message.len() < FRAME_BYTES => {
                protocol.join(frame, message);
            }
            _ => {
                self.flush();
                self.open = Some((session, protocol, message.to_vec()));
            }
        }
    }

    /// Sends one frame to many clients.
    pub(crate) fn fan_out(&mut self, sessions: Vec<SessionId>, protocol: Protocol, frame: Bytes) {
        if !sessions.is_empty() {
            self.counters.deliveries_total += sessions.len() as u64;
            self.output(Output::Fanout { sessions, protocol, frame });
        }
    }

    /// Sends one binary message to one or many clients.
    pub(crate) fn send_binary(&mut self, sessions: Vec<SessionId>, frame: Bytes) {
        self.counters.deliveries_total += sessions.len() as u64;
        self.output(Output::Binary { sessions, frame });
    }

    /// Closes a connection. The session must be gone by now.
    pub(crate) fn close(&mut self, session: SessionId, disconnect: Disconnect) {
        *self.counters.disconnects_total.entry(disconnect.code).or_default() += 1;
        self.output(Output::Close { session, code: disconnect.code, reason: disconnect.reason });
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.flush();
        self.outputs.push(output);
    }

    /// Puts out what is still held back. To be called last.
    pub(crate) fn flush(&mut self) {
        if let Some((session, protocol, frame)) = self.open.take() {
            self.outputs.push(Output::Send { session, protocol, frame: frame.into() });
        }
    }
}

fn owner(channel: &str, shards: usize) -> usize {
    let hash = channel
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash % shards as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_spread_over_the_shards_and_stay_where_they_are() {
        let mut rooms = [0; 4];
        for number in 0..400 {
            rooms[owner(&format!("room-{number}"), 4)] += 1;
        }
        assert!(rooms.iter().all(|&count| count > 60), "{rooms:?}");
        // Another answer would move rooms between the shards of a machine that speak of them.
        assert_eq!([1, 2, 7, 8].map(|shards| owner("chat:index", shards)), [0, 1, 3, 1]);
    }
}
