//! The client's side of the protocol, without I/O: replies, requests and the time go in; commands, events, outcomes and
//! the wish to dial or to leave come out.

mod requests;
mod rooms;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use host::{Instant, Random};

pub(crate) use requests::What;
use requests::{Requests, after};
use rooms::Rooms;

use crate::event::{Event, Recovery};
use crate::protocol::{
    Channel, Connect, Info, Page, Position, PresenceStats, Published, Reply, ReplyError, Request, numbered,
};
use crate::{Backoff, Error, Json, SubscribeOptions};

/// Commands that leave in one message. Servers bound them.
const LINES: usize = 64;

/// What a session is told before it starts.
pub(crate) struct Settings {
    pub(crate) token: Option<String>,
    pub(crate) data: Option<Json>,
    pub(crate) name: String,
    pub(crate) reply_timeout: Duration,
    pub(crate) ping_slack: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) requests: usize,
}

/// What the driver has to do next for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing until a time-out or a request.
    Wait,
    /// Dial, and say [`opened`](Session::opened) or [`lost`](Session::lost).
    Dial,
    /// Carry messages both ways.
    Talk,
    /// Close the connection if there is one. It is over.
    Leave,
}

/// How a request ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Published(Published),
    Rpc(Option<Json>),
    Page(Page),
    Presence(BTreeMap<String, Info>),
    PresenceStats(PresenceStats),
    Subscribed(Subscribed),
}

/// How a subscription began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// Whether anything was missed; [`Recovery::Fresh`] also when we were in the room already.
    pub recovery: Recovery,
    /// Where the room's stream stands; `None` in a room without recovery.
    pub position: Option<Position>,
}

/// What waits to be fetched by the driver. `W` is whatever the driver uses to find who waits for an outcome.
pub(crate) struct Outputs<W> {
    /// Commands, each one line.
    lines: VecDeque<String>,
    events: VecDeque<Event>,
    outcomes: VecDeque<(W, Result<Answer, Error>)>,
}

/// The client's side of the protocol.
pub(crate) struct Session<W> {
    settings: Settings,
    jitter: Random,
    phase: Phase,
    /// Attempts in a row that did not lead to a lasting connection.
    failures: u32,
    last_id: u32,
    pong_due: bool,
    rooms: Rooms<W>,
    requests: Requests<W>,
    outputs: Outputs<W>,
}

enum Phase {
    Waiting { until: Instant },
    Dialing,
    Greeting { id: u32, deadline: Instant },
    Open { since: Instant, heard: Instant, silence: Option<Duration>, pong: bool },
    Ended { reason: String },
}

impl<W> Session<W> {
    pub(crate) fn new(settings: Settings, jitter: Random) -> Self {
        Self {
            settings,
            jitter,
            phase: Phase::Dialing,
            failures: 0,
            last_id: 0,
            pong_due: false,
            rooms: Rooms::new(),
            requests: Requests::new(),
            outputs: Outputs { lines: VecDeque::new(), events: VecDeque::new(), outcomes: VecDeque::new() },
        }
    }

    pub(crate) fn step(&self) -> Step {
        match self.phase {
            Phase::Waiting { .. } => Step::Wait,
            Phase::Dialing => Step::Dial,
            Phase::Greeting { .. } | Phase::Open { .. } => Step::Talk,
            Phase::Ended { .. } => Step::Leave,
        }
    }

    /// Whether another request may be handed in.
    pub(crate) fn has_room(&self) -> bool {
        self.requests.len() + self.rooms.waiting() < self.settings.requests
    }

    /// Whether messages may be handed in: not while events wait to be taken.
    pub(crate) fn is_listening(&self) -> bool {
        self.outputs.events.is_empty()
    }

    /// Asks for something by a command with this `body`.
    pub(crate) fn request(&mut self, now: Instant, what: What, body: &str, deadline: Instant, waiter: W) {
        let Some(waiter) = self.unless_ended(waiter) else { return };
        let id = self.next_id();
        self.requests.add(id, what, numbered(id, body), deadline, waiter);
        self.send_due(now);
    }

    /// Enters a room, and comes back to it on each new connection.
    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        room: String,
        options: SubscribeOptions,
        deadline: Instant,
        waiter: W,
    ) {
        let Some(waiter) = self.unless_ended(waiter) else { return };
        self.rooms.subscribe(room, options, deadline, waiter, &mut self.outputs);
        self.send_due(now);
    }

    /// Leaves a room.
    pub(crate) fn unsubscribe(&mut self, room: &str, waiter: W) {
        let Some(waiter) = self.unless_ended(waiter) else { return };
        let told = self.rooms.unsubscribe(room, &mut self.outputs);
        if let (true, Phase::Open { .. }) = (told, &self.phase) {
            // Nobody waits for the reply: whatever the server says, we are out.
            let id = self.next_id();
            self.outputs.lines.push_back(Request::Unsubscribe(Channel { channel: room }).line(id));
        }
        self.outputs.outcomes.push_back((waiter, Ok(Answer::Done)));
    }

    /// Ends the session at the program's wish.
    pub(crate) fn close(&mut self) {
        self.end("closed by this program");
    }

    /// A connection is there.
    pub(crate) fn opened(&mut self, now: Instant) {
        let id = self.next_id();
        let Settings { token, data, name, .. } = &self.settings;
        let connect = Connect {
            token: token.as_deref(),
            data: data.as_ref(),
            name,
            version: env!("CARGO_PKG_VERSION"),
        };
        self.outputs.lines.push_back(Request::Connect(connect).line(id));
        self.phase = Phase::Greeting { id, deadline: now + self.settings.reply_timeout };
    }

    /// The connection is gone, or could not be made.
    pub(crate) fn lost(&mut self, now: Instant, code: Option<u16>, reason: String) {
        let bound = self.settings.backoff.bound(self.failures.saturating_sub(1));
        match self.phase {
            Phase::Waiting { .. } | Phase::Ended { .. } => return,
            // Forgotten only once a connection has outlived the wait before it: a server that greets and drops us again
            // and again is not to be hurried.
            Phase::Open { since, .. } if now.since(since) >= bound => self.failures = 0,
            Phase::Dialing | Phase::Greeting { .. } | Phase::Open { .. } => {}
        }
        self.outputs.lines.clear();
        self.pong_due = false;
        if code.is_some_and(is_final) {
            self.outputs.events.push_back(Event::Disconnected {
                code,
                reason: reason.clone(),
                retry_in: None,
            });
            self.end(&reason);
            return;
        }
        self.rooms.connection_lost();
        self.requests.connection_lost(&mut self.outputs);
        let wait = self.settings.backoff.draw(self.failures, &mut self.jitter);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { until: now + wait };
        self.outputs.events.push_back(Event::Disconnected { code, reason, retry_in: Some(wait) });
    }

    /// Takes one text message of the server.
    pub(crate) fn handle_message(&mut self, now: Instant, text: &[u8]) {
        for reply in serde_json::Deserializer::from_slice(text).into_iter::<Reply>() {
            if self.step() != Step::Talk {
                return;
            }
            match reply {
                Ok(reply) => self.handle_reply(now, reply),
                Err(error) => {
                    return self.lost(
                        now,
                        None,
                        format!("the server sent something else than replies: {error}"),
                    );
                }
            }
        }
        if let Phase::Open { heard, .. } = &mut self.phase {
            *heard = now;
        }
        self.send_due(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next needed.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let open = matches!(self.phase, Phase::Open { .. });
        let of_phase = match self.phase {
            _ if !self.is_listening() => None,
            Phase::Waiting { until } => Some(until),
            Phase::Greeting { deadline, .. } => Some(deadline),
            Phase::Open { heard, silence, .. } => {
                let silent = silence.map(|silence| heard + silence);
                earliest([silent, after(self.unanswered_since(), self.settings.reply_timeout)])
            }
            Phase::Dialing | Phase::Ended { .. } => None,
        };
        earliest([of_phase, self.rooms.poll_timeout(open), self.requests.poll_timeout(open)])
    }

    /// Does what is due by `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.rooms.expire(now, &mut self.outputs);
        self.requests.expire(now, &mut self.outputs);
        // Who does not listen cannot say that the other is silent; and attempts that nobody hears of would pile up.
        if self.is_listening() {
            match self.phase {
                Phase::Waiting { until } if until <= now => self.phase = Phase::Dialing,
                Phase::Greeting { deadline, .. } if deadline <= now => {
                    self.lost(now, None, "the server did not answer to connect in time".to_owned());
                }
                Phase::Open { heard, silence: Some(silence), .. } if heard + silence <= now => {
                    let seconds = silence.as_secs();
                    self.lost(
                        now,
                        None,
                        format!("the server was silent for {seconds} s, longer than its pings allow"),
                    );
                }
                Phase::Open { .. }
                    if after(self.unanswered_since(), self.settings.reply_timeout)
                        .is_some_and(|at| at <= now) =>
                {
                    let seconds = self.settings.reply_timeout.as_secs();
                    self.lost(now, None, format!("the server left a command without reply for {seconds} s"));
                }
                _ => {}
            }
        }
        self.send_due(now);
    }

    /// The next text message for the server: as many lines as fit `limit` bytes, or one that does not; at most
    /// [`LINES`].
    pub(crate) fn poll_transmit(&mut self, limit: usize) -> Option<String> {
        let pong = std::mem::take(&mut self.pong_due).then(|| "{}".to_owned());
        let mut message = pong.or_else(|| self.outputs.lines.pop_front())?;
        for _ in 1..LINES {
            let Some(next) = self.outputs.lines.front() else { break };
            if message.len() + 1 + next.len() > limit {
                break;
            }
            message.push('\n');
            message.push_str(next);
            self.outputs.lines.pop_front();
        }
        Some(message)
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        let event = self.outputs.events.pop_front()?;
        if self.is_listening() {
            // We listen again: what the server did not say meanwhile is not its fault.
            self.rooms.forgive(now);
            self.requests.forgive(now);
            match &mut self.phase {
                Phase::Open { heard, .. } => *heard = now,
                Phase::Greeting { deadline, .. } => *deadline = now + self.settings.reply_timeout,
                Phase::Waiting { .. } | Phase::Dialing | Phase::Ended { .. } => {}
            }
        }
        Some(event)
    }

    /// The next request that has ended, and how.
    pub(crate) fn poll_outcome(&mut self) -> Option<(W, Result<Answer, Error>)> {
        self.outputs.outcomes.pop_front()
    }

    fn handle_reply(&mut self, now: Instant, reply: Reply) {
        if let Phase::Greeting { id, .. } = self.phase {
            return if reply.id == id { self.greeted(now, reply) } else { self.handle_farewell(now, reply) };
        }
        if reply.is_ping() {
            if let Phase::Open { pong: true, .. } = self.phase {
                self.pong_due = true;
            }
            return;
        }
        if reply.push.is_some() {
            return self.handle_push(now, reply);
        }
        let (backoff, jitter, outputs) = (&self.settings.backoff, &mut self.jitter, &mut self.outputs);
        if self.rooms.is_asking(reply.id) {
            self.rooms.handle_reply(now, reply, backoff, jitter, outputs);
        } else {
            self.requests.handle_reply(now, reply, backoff, jitter, outputs);
        }
    }

    fn greeted(&mut self, now: Instant, reply: Reply) {
        if let Some(error) = reply.error {
            return self.rejected(now, error);
        }
        let Some(result) = reply.connect else {
            return self.lost(now, None, "the server answered something else to connect".to_owned());
        };
        let silence = (result.ping > 0)
            .then(|| Duration::from_secs(result.ping.into()).saturating_add(self.settings.ping_slack));
        self.phase = Phase::Open { since: now, heard: now, silence, pong: result.pong };
        self.outputs.events.push_back(Event::Connected { client: result.client, version: result.version });
    }

    /// The server will not have us: for now, or at all.
    fn rejected(&mut self, now: Instant, error: ReplyError) {
        let passing = rooms::is_passing(&error);
        let reason = format!("the server refused the connection: {} (code {})", error.message, error.code);
        if passing {
            return self.lost(now, None, reason);
        }
        self.outputs.events.push_back(Event::Disconnected {
            code: None,
            reason: reason.clone(),
            retry_in: None,
        });
        self.end(&reason);
    }

    fn handle_push(&mut self, now: Instant, reply: Reply) {
        let Some(push) = reply.push else { return };
        if let Some(farewell) = push.disconnect {
            let code = u16::try_from(farewell.code).ok();
            return self.lost(now, code, farewell.reason);
        }
        if let Some(message) = push.message {
            return self.outputs.events.push_back(Event::Message { data: message.data });
        }
        if let Err(rooms::Gap { room, expected, found }) = self.rooms.handle_push(push, &mut self.outputs) {
            // The new connection recovers from where we are.
            self.lost(
                now,
                None,
                format!("publication {expected} of {room:?} is missing, {found} came instead"),
            );
        }
    }

    /// Before the greeting only a farewell has a meaning.
    fn handle_farewell(&mut self, now: Instant, reply: Reply) {
        if reply.push.as_ref().is_some_and(|push| push.disconnect.is_some()) {
            self.handle_push(now, reply);
        }
    }

    fn end(&mut self, reason: &str) {
        if let Phase::Ended { .. } = self.phase {
            return;
        }
        self.phase = Phase::Ended { reason: reason.to_owned() };
        self.rooms.end(reason, &mut self.outputs);
        self.requests.end(reason, &mut self.outputs);
    }

    fn unless_ended(&mut self, waiter: W) -> Option<W> {
        let Phase::Ended { reason } = &self.phase else { return Some(waiter) };
        self.outputs.outcomes.push_back((waiter, Err(Error::Closed(reason.clone()))));
        None
    }

    fn unanswered_since(&self) -> Option<Instant> {
        earliest([self.rooms.unanswered_since(), self.requests.unanswered_since()])
    }

    /// Rooms first: who publishes into a room sees the own publication in it.
    fn send_due(&mut self, now: Instant) {
        if let Phase::Open { .. } = self.phase {
            let (last, rooms, requests) = (&mut self.last_id, &mut self.rooms, &mut self.requests);
            rooms.ask_due(now, || advance(last, |id| requests.contains(id)), &mut self.outputs);
            requests.send_due(now, &mut self.outputs);
        }
    }

    fn next_id(&mut self) -> u32 {
        let (rooms, requests) = (&self.rooms, &self.requests);
        advance(&mut self.last_id, |id| rooms.is_asking(id) || requests.contains(id))
    }
}

/// The next id that nothing is waiting under. 0 is for pushes.
fn advance(last: &mut u32, taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        *last = last.wrapping_add(1).max(1);
        if !taken(*last) {
            return *last;
        }
    }
}

/// Whether a close code says not to come back: the protocol's terminal ranges, and "message too big", since what was too
/// big once is so again.
fn is_final(code: u16) -> bool {
    matches!(code, 1009 | 3500..=3999 | 4500..=4999)
}

fn earliest<const N: usize>(moments: [Option<Instant>; N]) -> Option<Instant> {
    moments.into_iter().flatten().min()
}
