//! Requests under way: sent in order, repeated where repeating is harmless, each ended by one outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use host::{Instant, Random};

use super::{Answer, Outputs};
use crate::protocol::{Published, Reply};
use crate::{Backoff, Error};

/// What a request asks, as far as its answer and its repetition go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The plain command.
    Publish,
    /// The RPC, whose id makes repeating it harmless.
    PublishOnce,
    /// Any other RPC.
    Rpc,
    History,
    Presence,
    PresenceStats,
}

impl What {
    /// Whether sending it twice does what sending it once does.
    fn is_repeatable(self) -> bool {
        match self {
            Self::PublishOnce | Self::History | Self::Presence | Self::PresenceStats => true,
            Self::Publish | Self::Rpc => false,
        }
    }

    fn read(self, reply: Reply) -> Result<Answer, Error> {
        let lacking = || Error::Protocol(format!("a reply to {self:?} without its result"));
        match self {
            Self::Publish => Ok(Answer::Done),
            Self::PublishOnce => {
                let data = reply.rpc.and_then(|rpc| rpc.data).ok_or_else(lacking)?;
                data.parse::<Published>().map(Answer::Published)
            }
            Self::Rpc => Ok(Answer::Rpc(reply.rpc.ok_or_else(lacking)?.data)),
            Self::History => reply.history.map(Answer::Page).ok_or_else(lacking),
            Self::Presence => {
                reply.presence.map(|result| Answer::Presence(result.presence)).ok_or_else(lacking)
            }
            Self::PresenceStats => reply.presence_stats.map(Answer::PresenceStats).ok_or_else(lacking),
        }
    }
}

/// All requests under way, by the id of their command, which rises with age.
pub(crate) struct Requests<W> {
    pending: BTreeMap<u32, Request<W>>,
}

struct Request<W> {
    what: What,
    /// The command's text, the same at each attempt.
    text: String,
    deadline: Instant,
    standing: Standing,
    failures: u32,
    waiter: W,
}

enum Standing {
    Queued,
    Sent(Instant),
    /// Refused for now.
    Later(Instant),
}

impl<W> Requests<W> {
    pub(crate) fn new() -> Self {
        Self { pending: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
        self.pending.contains_key(&id)
    }

    pub(crate) fn add(&mut self, id: u32, what: What, text: String, deadline: Instant, waiter: W) {
        let request = Request { what, text, deadline, standing: Standing::Queued, failures: 0, waiter };
        self.pending.insert(id, request);
    }

    /// Sends what is due, the oldest first.
    pub(crate) fn send_due(&mut self, now: Instant, outputs: &mut Outputs<W>) {
        for request in self.pending.values_mut() {
            let due = match request.standing {
                Standing::Queued => true,
                Standing::Later(at) => at <= now,
                Standing::Sent(_) => false,
            };
            if due {
                request.standing = Standing::Sent(now);
                outputs.lines.push_back(request.text.clone());
            }
        }
    }

    /// Takes the reply to one of these requests; others are not ours.
    pub(crate) fn handle_reply(
        &mut self,
        now: Instant,
        mut reply: Reply,
        backoff: &Backoff,
        jitter: &mut Random,
        outputs: &mut Outputs<W>,
    ) {
        let Some(request) = self.pending.get_mut(&reply.id) else { return };
        let outcome = match reply.error.take() {
            Some(error) if error.temporary && request.what.is_repeatable() => {
                request.standing = Standing::Later(now + backoff.draw(request.failures, jitter));
                request.failures = request.failures.saturating_add(1);
                return;
            }
            Some(error) => Err(Error::Refused { code: error.code, message: error.message }),
            None => request.what.read(Reply { id: reply.id, ..reply }),
        };
        self.finish(reply.id, outcome, outputs);
    }

    /// Keeps what can be sent again, fails the rest that was sent.
    pub(crate) fn connection_lost(&mut self, outputs: &mut Outputs<W>) {
        let sent = self.ids(|request| match request.standing {
            Standing::Sent(_) => !request.what.is_repeatable(),
            Standing::Queued | Standing::Later(_) => false,
        });
        for id in sent {
            self.finish(id, Err(Error::Lost), outputs);
        }
        for request in self.pending.values_mut() {
            if let Standing::Sent(_) = request.standing {
                request.standing = Standing::Queued;
            }
        }
    }

    /// Fails everything.
    pub(crate) fn end(&mut self, reason: &str, outputs: &mut Outputs<W>) {
        for id in self.ids(|_| true) {
            self.finish(id, Err(Error::Closed(reason.to_owned())), outputs);
        }
    }

    /// Fails what has run out of time.
    pub(crate) fn expire(&mut self, now: Instant, outputs: &mut Outputs<W>) {
        for id in self.ids(|request| request.deadline <= now) {
            self.finish(id, Err(Error::Timeout), outputs);
        }
    }

    /// The moment since which the oldest unanswered command waits for its reply.
    pub(crate) fn unanswered_since(&self) -> Option<Instant> {
        self.pending
            .values()
            .filter_map(|request| match request.standing {
                Standing::Sent(at) => Some(at),
                Standing::Queued | Standing::Later(_) => None,
            })
            .min()
    }

    /// Counts the wait for replies from `now` on.
    pub(crate) fn forgive(&mut self, now: Instant) {
        for request in self.pending.values_mut() {
            if let Standing::Sent(at) = &mut request.standing {
                *at = now;
            }
        }
    }

    /// The next deadline, or attempt when there is a connection for it.
    pub(crate) fn poll_timeout(&self, open: bool) -> Option<Instant> {
        self.pending
            .values()
            .map(|request| match request.standing {
                Standing::Later(at) if open => at.min(request.deadline),
                _ => request.deadline,
            })
            .min()
    }

    fn ids(&self, which: impl Fn(&Request<W>) -> bool) -> Vec<u32> {
        self.pending.iter().filter(|(_, request)| which(request)).map(|(id, _)| *id).collect()
    }

    fn finish(&mut self, id: u32, outcome: Result<Answer, Error>, outputs: &mut Outputs<W>) {
        if let Some(request) = self.pending.remove(&id) {
            outputs.outcomes.push_back((request.waiter, outcome));
        }
    }
}

/// `since` plus `patience`, when there is a `since`.
pub(crate) fn after(since: Option<Instant>, patience: Duration) -> Option<Instant> {
    since.map(|since| since + patience)
}
