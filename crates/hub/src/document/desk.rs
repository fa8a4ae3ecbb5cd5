//! The clients of documents that are on this shard: what envelope they speak in, who they are, and where they sit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use host::{Instant, WallTime};

use super::api::{Reply, Request};
use super::closing;
use super::lib0::Malformed;
use super::message::{Access, Close, DocumentMessage, FromDocument, Greeting, Said, Seat, ToDocument};
use super::protocol::{self, Incoming, Outgoing};
use super::scan::{scan, scan_vector};
use super::{Framing, Opening};
use crate::context::Context;
use crate::error::Error;
use crate::hub::{Output, SessionId};
use crate::identity::{AuthError, Authenticator, Identity};
use crate::message::Message;

/// The clients.
#[derive(Debug, Default)]
pub(super) struct Desk {
    sessions: BTreeMap<SessionId, Session>,
    /// Who sits at a document.
    at: BTreeMap<Arc<str>, BTreeSet<Seat>>,
    /// When sessions are to be seen to.
    timers: BTreeSet<(Instant, SessionId)>,
    /// Questions of programs: which shard was asked, and until when there is use in waiting.
    asked: BTreeMap<u64, (usize, Instant)>,
}

#[derive(Debug)]
struct Session {
    framing: Framing,
    wants: Access,
    places: BTreeMap<u32, Place>,
    next_place: u32,
    /// When something must have been opened.
    hello_by: Option<Instant>,
    timer: Option<Instant>,
}

/// A document that a session has open.
#[derive(Debug)]
struct Place {
    /// What the client calls it: the document's name, and perhaps more.
    key: Box<str>,
    document: Arc<str>,
    /// When the token's time is over, and what is done about it then.
    expiry: Option<Expiry>,
}

#[derive(Clone, Copy, Debug)]
struct Expiry {
    at: Instant,
    /// Whether the client was asked for a new token.
    is_asked: bool,
}

/// Who says who somebody is; without one anybody may do anything.
pub(crate) type Doorkeeper<'a> = Option<&'a mut (dyn Authenticator + 'static)>;

impl Desk {
    pub(super) fn connected(
        &mut self,
        session: SessionId,
        opening: Opening,
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) {
        context.counters.documents.sessions_total += 1;
        let Opening { framing, document, token, read_only } = opening;
        let wants = if read_only { Access::Read } else { Access::Write };
        let hello_by = context.now + context.config.documents.hello_timeout;
        let new = Session {
            framing,
            wants,
            places: BTreeMap::new(),
            next_place: 0,
            hello_by: (framing == Framing::Hocuspocus).then_some(hello_by),
            timer: None,
        };
        self.sessions.insert(session, new);
        if framing == Framing::YWebsocket
            && let Err(close) = self.open(session, &document, &token, doorkeeper, context)
        {
            self.close(session, close, context);
        }
        self.schedule(session);
    }

    pub(super) fn disconnected(&mut self, session: SessionId, context: &mut Context<'_>) {
        if let Some(gone) = self.sessions.remove(&session) {
            self.forget(session, gone, context);
        }
    }

    pub(super) fn received(
        &mut self,
        session: SessionId,
        message: &[u8],
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) {
        let Some(found) = self.sessions.get(&session) else { return };
        context.counters.received_bytes_total += message.len() as u64;
        let outcome = match found.framing {
            Framing::YWebsocket => match protocol::decode(message) {
                Ok(incoming) => self.said(session, 0, &incoming, context),
                Err(Malformed) => Err(closing::NOT_THE_PROTOCOL),
            },
            Framing::Hocuspocus => match protocol::decode_hocuspocus(message) {
                Ok((name, incoming)) => self.named(session, name, &incoming, doorkeeper, context),
                Err(Malformed) => Err(closing::NOT_THE_PROTOCOL),
            },
        };
        if let Err(close) = outcome {
            context.counters.documents.malformed_total += u64::from(close.disconnect.code == 1007);
            self.close(session, close, context);
        }
        self.schedule(session);
    }

    /// A Hocuspocus client said something of the document that it calls `key`.
    fn named(
        &mut self,
        session: SessionId,
        key: &str,
        incoming: &Incoming<'_>,
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Close> {
        match incoming {
            Incoming::Ping => {
                self.frame(session, Bytes::from_static(protocol::PONG_FRAME), context);
                return Ok(());
            }
            Incoming::Pong => return Ok(()),
            Incoming::Token(token) => {
                if let Err(close) = self.open(session, key, token, doorkeeper, context) {
                    if close == closing::UNKNOWN_KEY {
                        return Err(close);
                    }
                    // Others on the same connection go on; this one is told in its own way.
                    let words = Outgoing::Denied(close.disconnect.reason).encode_hocuspocus(key);
                    self.frame(session, words, context);
                    context.counters.documents.denied_total += 1;
                }
                return Ok(());
            }
            _ => {}
        }
        let Some(found) = self.sessions.get(&session) else { return Ok(()) };
        // Without a place the token was not good, or the document is closed: the client knows.
        let Some(place) = found.place(key) else { return Ok(()) };
        self.said(session, place, incoming, context)
    }

    /// Something was said of a document that is open.
    fn said(
        &mut self,
        session: SessionId,
        place: u32,
        incoming: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Close> {
        let limits = &context.config.documents;
        let malformed = |_: Malformed| closing::MALFORMED;
        let said = match *incoming {
            Incoming::Step1(vector) => {
                if vector.len() > limits.update_bytes {
                    return Err(closing::TOO_LONG);
                }
                scan_vector(vector).map_err(malformed)?;
                Said::Step1(Bytes::copy_from_slice(vector))
            }
            Incoming::Step2(update) | Incoming::Update(update) => {
                if update.len() > limits.update_bytes {
                    return Err(closing::TOO_LONG);
                }
                scan(update, &mut |_| {}).map_err(malformed)?;
                Said::Update(Bytes::copy_from_slice(update))
            }
            Incoming::Awareness(states) => {
                if states.len() > limits.awareness_bytes {
                    return Err(closing::TOO_LONG);
                }
                Said::Awareness(Bytes::copy_from_slice(states))
            }
            Incoming::QueryAwareness => Said::QueryAwareness,
            Incoming::Close => {
                self.leave(session, place, context);
                return Ok(());
            }
            Incoming::Stateless | Incoming::Token(_) | Incoming::Ping | Incoming::Pong => return Ok(()),
        };
        let found = self.sessions.get(&session).and_then(|session| session.places.get(&place));
        if let Some(Place { document, .. }) = found {
            let seat = Seat { session, place };
            to(document, ToDocument::Say { seat, said }, context);
        }
        Ok(())
    }

    /// Opens a document, or shows a new token for one that is open.
    fn open(
        &mut self,
        session: SessionId,
        key: &str,
        token: &str,
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Close> {
        let Some(found) = self.sessions.get_mut(&session) else { return Ok(()) };
        // A client that has one document open several times tells them apart by what follows the name.
        let name = key.split('\0').next().unwrap_or_default();
        if !is_name(name, context.config.limits.channel_bytes)
            || key.len() > 2 * context.config.limits.channel_bytes
        {
            return Err(closing::BAD_NAME);
        }
        let identity = match doorkeeper {
            None => Identity::default(),
            Some(doorkeeper) => doorkeeper.connect(context.wall, token).map_err(|error| match error {
                AuthError::Invalid => closing::INVALID_TOKEN,
                AuthError::Expired => closing::EXPIRED_TOKEN,
                AuthError::Unknown => closing::UNKNOWN_KEY,
            })?,
        };
        let access = identity.documents.access(name).min(found.wants);
        if access == Access::None {
            return Err(closing::FORBIDDEN);
        }
        let expiry = identity
            .expires
            .map(|expires| Expiry { at: context.now + until(context.wall, expires), is_asked: false });
        let scope = if access == Access::Write { "read-write" } else { "readonly" };
        if let Some(place) = found.place(key).and_then(|place| found.places.get_mut(&place)) {
            place.expiry = expiry;
            self.frame(session, Outgoing::Authenticated(scope).encode_hocuspocus(key), context);
            return Ok(());
        }
        if found.places.len() >= context.config.documents.documents_per_session {
            return Err(closing::TOO_MANY);
        }
        let document: Arc<str> = name.into();
        let place = found.next_place;
        found.next_place += 1;
        found.hello_by = None;
        found.places.insert(place, Place { key: key.into(), document: document.clone(), expiry });
        let seat = Seat { session, place };
        let greeting = match found.framing {
            Framing::YWebsocket => Greeting::AtOnce,
            Framing::Hocuspocus => {
                self.frame(session, Outgoing::Authenticated(scope).encode_hocuspocus(key), context);
                Greeting::WhenAsked
            }
        };
        self.at.entry(document.clone()).or_default().insert(seat);
        to(&document, ToDocument::Enter { seat, access, greeting }, context);
        Ok(())
    }

    /// The session has that document open no longer.
    fn leave(&mut self, session: SessionId, place: u32, context: &mut Context<'_>) {
        let found = self.sessions.get_mut(&session).and_then(|session| session.places.remove(&place));
        if let Some(found) = found {
            self.stand_up(Seat { session, place }, &found.document, context);
        }
    }

    fn stand_up(&mut self, seat: Seat, document: &Arc<str>, context: &mut Context<'_>) {
        if let Some(seats) = self.at.get_mut(document) {
            seats.remove(&seat);
            if seats.is_empty() {
                self.at.remove(document);
            }
        }
        to(document, ToDocument::Leave { seat }, context);
    }

    fn close(&mut self, session: SessionId, close: Close, context: &mut Context<'_>) {
        if let Some(gone) = self.sessions.remove(&session) {
            self.forget(session, gone, context);
            context.close(session, close.disconnect);
        }
    }

    fn forget(&mut self, session: SessionId, gone: Session, context: &mut Context<'_>) {
        if let Some(timer) = gone.timer {
            self.timers.remove(&(timer, session));
        }
        for (place, found) in gone.places {
            self.stand_up(Seat { session, place }, &found.document, context);
        }
    }

    /// A document's owner says something.
    pub(super) fn hear(
        &mut self,
        document: &Arc<str>,
        what: FromDocument,
        from: usize,
        context: &mut Context<'_>,
    ) {
        match what {
            FromDocument::Update { update, by } => {
                let quiet = by.filter(|(shard, _)| *shard == context.shard.index).map(|(_, seat)| seat);
                self.fan_out(document, &Outgoing::Update(update), quiet, context);
            }
            FromDocument::Awareness(states) => {
                self.fan_out(document, &Outgoing::Awareness(states), None, context);
            }
            FromDocument::Tell { seat, words } => self.tell(seat, &words, context),
            FromDocument::Stored { seat, updates } => {
                for _ in 0..updates {
                    self.tell(seat, &Outgoing::SyncStatus(true), context);
                }
            }
            FromDocument::Close { seat, close } => self.put_out(seat, close, context),
            FromDocument::Answer { ticket, reply } => {
                if self.asked.get(&ticket).is_some_and(|(shard, _)| *shard == from) {
                    self.asked.remove(&ticket);
                    context.output(Output::DocumentReply { ticket, reply });
                }
            }
        }
    }

    /// Sends one message to all at a document: it is encoded once for each envelope. `quiet` need not hear it where its
    /// envelope has an acknowledgement of its own.
    fn fan_out(&self, document: &Arc<str>, words: &Outgoing, quiet: Option<Seat>, context: &mut Context<'_>) {
        let Some(seats) = self.at.get(document) else { return };
        let mut plain = Vec::new();
        let mut named: BTreeMap<&str, Vec<SessionId>> = BTreeMap::new();
        for seat in seats {
            let Some(session) = self.sessions.get(&seat.session) else { continue };
            match session.framing {
                Framing::YWebsocket => plain.push(seat.session),
                Framing::Hocuspocus if quiet == Some(*seat) => {}
                Framing::Hocuspocus => {
                    if let Some(place) = session.places.get(&seat.place) {
                        named.entry(&place.key).or_default().push(seat.session);
                    }
                }
            }
        }
        if !plain.is_empty()
            && let Some(frame) = words.encode()
        {
            context.send_binary(plain, frame);
        }
        for (key, sessions) in named {
            context.send_binary(sessions, words.encode_hocuspocus(key));
        }
    }

    fn tell(&self, seat: Seat, words: &Outgoing, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get(&seat.session) else { return };
        let Some(place) = session.places.get(&seat.place) else { return };
        let frame = match session.framing {
            Framing::YWebsocket => words.encode(),
            Framing::Hocuspocus => Some(words.encode_hocuspocus(&place.key)),
        };
        if let Some(frame) = frame {
            self.frame(seat.session, frame, context);
        }
    }

    fn frame(&self, session: SessionId, frame: Bytes, context: &mut Context<'_>) {
        context.send_binary(vec![session], frame);
    }

    /// A client is out: of the document where there may be others on the connection, else with its connection.
    fn put_out(&mut self, seat: Seat, close: Close, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get(&seat.session) else { return };
        if !session.places.contains_key(&seat.place) {
            return;
        }
        if close.is_about_the_document && session.framing == Framing::Hocuspocus {
            self.tell(seat, &Outgoing::Close(close.disconnect.reason), context);
            self.leave(seat.session, seat.place, context);
        } else {
            self.close(seat.session, close, context);
        }
    }

    /// A program asks.
    pub(super) fn ask(&mut self, ticket: u64, document: &str, request: Request, context: &mut Context<'_>) {
        let refused = if !is_name(document, context.config.limits.channel_bytes) {
            Some(Error::new(crate::centrifuge::codes::BAD_REQUEST, closing::BAD_NAME.disconnect.reason))
        } else if self.asked.len() >= context.config.limits.pending_api {
            Some(context.overloaded("too many requests wait: try again later"))
        } else {
            None
        };
        if let Some(error) = refused {
            context.output(Output::DocumentReply { ticket, reply: Err(error) });
            return;
        }
        let owner = context.owner(document);
        self.asked.insert(ticket, (owner, context.now + context.config.request_timeout));
        to(&document.into(), ToDocument::Ask { ticket, request }, context);
    }

    /// Messages from that shard, or to it, were lost: nobody knows what its documents' clients have missed.
    pub(super) fn lost_touch(&mut self, shard: usize, context: &mut Context<'_>) {
        let missed: BTreeSet<SessionId> = self
            .at
            .iter()
            .filter(|(document, _)| context.owner(document) == shard)
            .flat_map(|(_, seats)| seats.iter().map(|seat| seat.session))
            .collect();
        for session in missed {
            self.close(session, closing::LAGGED, context);
        }
        let asked: Vec<u64> =
            self.asked.iter().filter(|(_, (owner, _))| *owner == shard).map(|(ticket, _)| *ticket).collect();
        for ticket in asked {
            self.give_up(ticket, Error::lagged(), context);
        }
    }

    fn give_up(&mut self, ticket: u64, error: Error, context: &mut Context<'_>) {
        self.asked.remove(&ticket);
        let reply: Reply = Err(error);
        context.output(Output::DocumentReply { ticket, reply });
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.timers.first().map(|(at, _)| *at);
        // All wait equally long, so the first is due first.
        let question = self.asked.values().next().map(|(_, until)| *until);
        session.into_iter().chain(question).min()
    }

    pub(super) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        while let Some((&ticket, &(_, until))) = self.asked.first_key_value()
            && until <= context.now
        {
            self.give_up(ticket, Error::timeout(), context);
        }
        while let Some(&(at, session)) = self.timers.first()
            && at <= context.now
        {
            self.timers.pop_first();
            if let Some(found) = self.sessions.get_mut(&session) {
                found.timer = None;
            }
            self.overdue(session, context);
            self.schedule(session);
        }
    }

    fn overdue(&mut self, session: SessionId, context: &mut Context<'_>) {
        let Some(found) = self.sessions.get_mut(&session) else { return };
        if found.hello_by.is_some_and(|by| by <= context.now) {
            self.close(session, closing::NO_HELLO, context);
            return;
        }
        let grace = context.config.expiry_grace;
        let mut asked = Vec::new();
        let mut over = Vec::new();
        for (&place, found_place) in &mut found.places {
            let Some(expiry) = &mut found_place.expiry else { continue };
            if expiry.at > context.now {
                continue;
            }
            if expiry.is_asked || found.framing == Framing::YWebsocket {
                over.push(place);
            } else {
                *expiry = Expiry { at: context.now + grace, is_asked: true };
                asked.push(place);
            }
        }
        for place in asked {
            self.tell(Seat { session, place }, &Outgoing::TokenWanted, context);
        }
        for place in over {
            self.put_out(Seat { session, place }, closing::EXPIRED_TOKEN, context);
        }
    }

    fn schedule(&mut self, session: SessionId) {
        let Some(found) = self.sessions.get_mut(&session) else { return };
        let expiries = found.places.values().filter_map(|place| place.expiry.map(|expiry| expiry.at));
        let next = expiries.chain(found.hello_by).min();
        if next != found.timer {
            if let Some(timer) = found.timer {
                self.timers.remove(&(timer, session));
            }
            self.timers.extend(next.map(|next| (next, session)));
            found.timer = next;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}

impl Session {
    /// Where the document is that the client calls `key`.
    fn place(&self, key: &str) -> Option<u32> {
        self.places.iter().find(|(_, place)| *place.key == *key).map(|(place, _)| *place)
    }
}

/// Says something to a document's owner.
fn to(document: &Arc<str>, what: ToDocument, context: &mut Context<'_>) {
    let owner = context.owner(document);
    context.tell(owner, Message::Document(DocumentMessage::To { document: document.clone(), what }));
}

/// Whether a document may be called that.
fn is_name(name: &str, limit: usize) -> bool {
    !name.is_empty() && name.len() <= limit && !name.chars().any(char::is_control)
}

fn until(wall: WallTime, expires: WallTime) -> std::time::Duration {
    expires.since(wall)
}
