//! One client's connection, as the hub has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::Instant;

use crate::centrifuge::{Admission, Protocol};
use crate::hub::SessionId;
use crate::identity::ClientInfo;

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    #[expect(dead_code, reason = "for the operator's view of connections")]
    pub(super) remote: SocketAddr,
    pub(super) protocol: Protocol,
    /// The name that the driver gave it, until the client was told.
    pub(super) name: Option<String>,
    pub(super) stage: Stage,
    pub(super) info: Arc<ClientInfo>,
    /// Rooms that its token lets it enter at its start.
    pub(super) invitations: Vec<String>,
    /// The rooms it is in or about to be in, by name.
    pub(super) subscriptions: Vec<Subscription>,
    /// While the rooms that it is in from its start are being entered.
    pub(super) joining: Option<Box<Joining>>,
    /// Its commands that wait for an answer.
    pub(super) pending: usize,
    pub(super) commands: Bucket,
    pub(super) signals: Bucket,
    /// When the session has something to do next.
    pub(super) deadline: Instant,
    /// When it is to be pinged, or, while it owes a sign of life, when that is too late.
    pub(super) ping_at: Instant,
    pub(super) owes_pong: bool,
    /// When its identity is over, if ever.
    pub(super) expires_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connect command has come.
    New,
    /// The connect command was answered with an error: nothing more is expected.
    Refused,
    Connected,
}

/// A room that a session is in, or about to be in.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Arc<str>,
    pub(super) place: Place,
    /// When the session is to leave, if ever.
    pub(super) expires_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The room's owner was asked, by this ticket.
    Asked(u64),
    /// In the room's list of subscribers, here.
    Listed(u32),
}

/// A connect command that waits for rooms. All messages for the session are held until it is answered.
#[derive(Debug)]
pub(super) struct Joining {
    /// Of the connect command.
    pub(super) id: u32,
    pub(super) expires_in: Option<u64>,
    /// Rooms that have not answered yet.
    pub(super) missing: usize,
    pub(super) subscribed: Vec<(Arc<str>, Admission)>,
    pub(super) held: Vec<Bytes>,
    pub(super) held_bytes: usize,
}

impl Session {
    /// Where among the subscriptions the room is, or would be.
    pub(super) fn find(&self, channel: &str) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|subscription| (*subscription.channel).cmp(channel))
    }

    /// The rooms that the session is to leave by now.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Arc<str>> {
        let overdue = self.subscriptions.iter().filter(|room| room.expires_at.is_some_and(|at| at <= now));
        overdue.map(|room| room.channel.clone()).collect()
    }

    /// Whether the session is in the room.
    pub(super) fn is_in(&self, channel: &str) -> bool {
        self.find(channel).is_ok_and(|index| matches!(self.subscriptions[index].place, Place::Listed(_)))
    }
}

/// Lets so many pass each second, and so many at once after a silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// In billionths of one that may pass. Below zero when more came than could pass.
    level: i64,
    at: Instant,
}

/// Whether one may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Yes,
    No,
    /// No, and as many were told so already as may pass at once.
    FarTooMany,
}

impl Bucket {
    const ONE: i64 = 1_000_000_000;

    pub(super) fn full(burst: u32, now: Instant) -> Self {
        Self { level: i64::from(burst) * Self::ONE, at: now }
    }

    pub(super) fn take(&mut self, now: Instant, per_second: u32, burst: u32) -> Passage {
        let full = i64::from(burst) * Self::ONE;
        let elapsed = now.since(self.at).min(Duration::from_secs(3600));
        let gained = (elapsed.as_nanos() as i64).saturating_mul(per_second.into());
        self.at = now;
        self.level = self.level.saturating_add(gained).min(full);
        let may_pass = self.level >= Self::ONE;
        self.level -= Self::ONE;
        if may_pass {
            Passage::Yes
        } else if self.level > -full {
            Passage::No
        } else {
            self.level = -full;
            Passage::FarTooMany
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_pass_and_then_its_rate() {
        let start = Instant::from_nanos(5);
        let mut bucket = Bucket::full(10, start);
        let passed = (0..15).filter(|_| bucket.take(start, 2, 10) == Passage::Yes).count();
        assert_eq!(passed, 10);
        // Five too many were asked for: they are paid back first.
        let later = start + Duration::from_secs(4);
        let passed = (0..15).filter(|_| bucket.take(later, 2, 10) == Passage::Yes).count();
        assert_eq!(passed, 3);
        let much_later = start + Duration::from_secs(100_000);
        assert_eq!((0..40).filter(|_| bucket.take(much_later, 2, 10) == Passage::Yes).count(), 10);
        assert_eq!(bucket.take(much_later, 2, 10), Passage::FarTooMany);
    }
}
