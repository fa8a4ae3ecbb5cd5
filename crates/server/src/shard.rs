//! One shard: the hub's part that lives here, its sessions, and the carrying out of what the hub decides.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use host::{Host, Instant, Timer};
use hub::{Counters, Hub, Input, Output, Protocol, SessionId, api, document, store};
use tokio::sync::{Notify, oneshot};
use websocket::{End, Prepared};

use crate::flight::{Filter, Flight, Over, Recorder, Takeoff};
use crate::mailbox::{Address, Letter, Mailbox};
use crate::session::{Ending, Outbox, Sessions};
use crate::store::StoreLine;

/// How long a call of the HTTP API waits for the hub, which may wait for another shard and for the disk.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// A handle to one shard.
///
/// Everything that the hub decides is carried out under one lock, in the order in which it was decided. All who take the
/// lock run on the shard's own thread, so nobody waits for it in practice; the metrics of other shards are the exception.
pub(crate) struct Shard<H: Host>(Arc<Inner<H>>);

impl<H: Host> Clone for Shard<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<H: Host> {
    host: H,
    core: Mutex<Core>,
    addresses: Vec<Address>,
    /// Rung when the hub's next deadline moved forward.
    sooner: Notify,
    slow: AtomicU64,
    session_bytes: usize,
    recorder: Recorder,
}

struct Core {
    hub: Hub,
    /// Until the shard's end: the store closes when nobody is left to ask it.
    store: Option<StoreLine>,
    sessions: Sessions,
    calls: BTreeMap<u64, oneshot::Sender<api::Reply>>,
    document_calls: BTreeMap<u64, oneshot::Sender<document::api::Reply>>,
    next_ticket: u64,
    /// The deadline that the timer's task is set to.
    armed: Option<Instant>,
    /// Kept between calls for its capacity.
    outputs: Vec<Output>,
}

/// What another shard may read of this one.
pub(crate) trait Observed: Send + Sync {
    fn counters(&self) -> Counters;
    fn slow_sessions(&self) -> u64;
    fn flights(&self, filter: &Filter) -> Vec<Flight>;
}

impl<H: Host> Shard<H> {
    pub(crate) fn new(
        host: H,
        hub: Hub,
        addresses: Vec<Address>,
        store: StoreLine,
        session_bytes: usize,
    ) -> Self {
        let core = Core {
            hub,
            store: Some(store),
            sessions: Sessions::default(),
            calls: BTreeMap::new(),
            document_calls: BTreeMap::new(),
            next_ticket: 0,
            armed: None,
            outputs: Vec::new(),
        };
        Self(Arc::new(Inner {
            host,
            core: Mutex::new(core),
            addresses,
            sooner: Notify::new(),
            slow: AtomicU64::new(0),
            session_bytes,
            recorder: Recorder::default(),
        }))
    }

    pub(crate) fn host(&self) -> &H {
        &self.0.host
    }

    pub(crate) fn observed(&self) -> Weak<dyn Observed> {
        let observed: Arc<dyn Observed> = self.0.clone();
        Arc::downgrade(&observed)
    }

    /// A new session for a connection by `transport` from `remote` that speaks `protocol`, with a name if others are to find it. It
    /// leaves when the seat is dropped.
    pub(crate) fn enter(
        &self,
        transport: &'static str,
        remote: SocketAddr,
        protocol: Protocol,
        name: Option<String>,
    ) -> Seat<H> {
        let (session, outbox) = self.lock().sessions.enter(self.0.session_bytes);
        self.handle(Input::Connected { session, remote, protocol, name });
        self.seat(session, outbox, transport, remote, protocol)
    }

    /// A new session for a connection to documents.
    pub(crate) fn enter_documents(&self, remote: SocketAddr, opening: document::Opening) -> Seat<H> {
        let (session, outbox) = self.lock().sessions.enter(self.0.session_bytes);
        self.handle(Input::DocumentConnected { session, opening });
        // Its frames are binary, as Protobuf's are.
        self.seat(session, outbox, "documents", remote, Protocol::Protobuf)
    }

    fn seat(
        &self,
        session: SessionId,
        outbox: Arc<Outbox>,
        transport: &'static str,
        remote: SocketAddr,
        protocol: Protocol,
    ) -> Seat<H> {
        let host = &self.0.host;
        let (started, started_at) = (host.wall_clock(), host.now());
        let takeoff = Takeoff { remote, transport, protocol, started, started_at };
        Seat { shard: self.clone(), session, outbox, takeoff, over: Over::Stream, round_trip: None }
    }

    /// Asks every session to close.
    pub(crate) fn close_all(&self, ending: Ending) {
        for outbox in self.lock().sessions.all() {
            outbox.close(ending);
        }
    }

    /// Asks nothing more of the store. Clients that did not say goodbye in time may still be there, and hear no more.
    pub(crate) fn hang_up(&self) {
        self.lock().store = None;
    }

    /// Has the hub answer a request of the HTTP API. `None` when it did not in time.
    pub(crate) async fn call(&self, request: api::Request) -> Option<api::Reply> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut core = self.lock();
            core.next_ticket += 1;
            let ticket = core.next_ticket;
            core.calls.insert(ticket, sender);
            ticket
        };
        // The caller may be dropped while it waits: a ticket that nobody holds must not stay.
        let _forget = Forget { shard: self, ticket };
        self.handle(Input::Api { ticket, request });
        let deadline = self.0.host.now() + CALL_DEADLINE;
        host::timeout_at(&self.0.host, deadline, receiver).await.ok()?.ok()
    }

    /// Has the hub answer what is asked of a document. `None` when it did not in time.
    pub(crate) async fn ask_document(
        &self,
        document: &str,
        request: document::api::Request,
    ) -> Option<document::api::Reply> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut core = self.lock();
            core.next_ticket += 1;
            let ticket = core.next_ticket;
            core.document_calls.insert(ticket, sender);
            ticket
        };
        let _forget = Forget { shard: self, ticket };
        self.handle(Input::DocumentRequest { ticket, document, request });
        let deadline = self.0.host.now() + CALL_DEADLINE;
        host::timeout_at(&self.0.host, deadline, receiver).await.ok()?.ok()
    }

    /// Reads the shard's mail until nobody is left to write any.
    pub(crate) async fn read_mail(self, mut mailbox: Mailbox) {
        while let Some(letter) = mailbox.next().await {
            self.handle(match letter {
                Letter::Shard { from, message } => Input::Shard { from, message },
                Letter::Lagged { from } => Input::ShardLagged { from },
                Letter::Stored(reply) => Input::Stored { reply },
            });
        }
    }

    /// Keeps the hub's deadlines, for ever.
    pub(crate) async fn keep_time(self) {
        let mut timer = self.0.host.timer();
        loop {
            let mut sooner = pin!(self.0.sooner.notified());
            sooner.as_mut().enable();
            timer.set(self.arm());
            let expired = std::future::poll_fn(|context| {
                if sooner.as_mut().poll(context).is_ready() {
                    return Poll::Ready(false);
                }
                timer.poll_expired(context).map(|()| true)
            });
            if expired.await {
                let mut core = self.lock();
                let Core { hub, outputs, .. } = &mut *core;
                hub.handle_timeout(self.0.host.now(), self.0.host.wall_clock(), outputs);
                self.carry_out(&mut core);
            }
        }
    }

    /// Tells the hub what happened, and does what it decides.
    fn handle(&self, input: Input<'_>) {
        let mut core = self.lock();
        let Core { hub, outputs, .. } = &mut *core;
        hub.handle(self.0.host.now(), self.0.host.wall_clock(), input, outputs);
        self.carry_out(&mut core);
    }

    fn carry_out(&self, core: &mut Core) {
        let mut outputs = std::mem::take(&mut core.outputs);
        let mut refused = Vec::new();
        let now = self.0.host.now();
        while !outputs.is_empty() {
            for output in outputs.drain(..) {
                match output {
                    Output::Send { session, protocol, frame } => {
                        self.send(core, session, prepare(protocol, frame), now);
                    }
                    Output::Fanout { sessions, protocol, frame } => {
                        let frame = prepare(protocol, frame);
                        for session in sessions {
                            self.send(core, session, frame.clone(), now);
                        }
                    }
                    Output::Identified { session, info } => {
                        if let Some(outbox) = core.sessions.get(session) {
                            outbox.identify(info);
                        }
                    }
                    Output::Binary { sessions, frame } => {
                        let frame = Prepared::binary(frame);
                        for session in sessions {
                            self.send(core, session, frame.clone(), now);
                        }
                    }
                    Output::DocumentReply { ticket, reply } => {
                        if let Some(caller) = core.document_calls.remove(&ticket) {
                            let _ = caller.send(reply);
                        }
                    }
                    Output::Close { session, code, reason } => {
                        if let Some(outbox) = core.sessions.get(session) {
                            outbox.close(Ending { code, reason });
                        }
                    }
                    Output::Shard { to, message } => {
                        self.0.addresses[to].post(self.index(), message);
                    }
                    Output::Store { request } => {
                        let ticket = request.ticket;
                        let asked = core.store.as_ref().map(|store| store.ask(self.index(), request));
                        if !matches!(asked, Some(Ok(()))) {
                            refused.push(ticket);
                        }
                    }
                    Output::Api { ticket, reply } => {
                        if let Some(caller) = core.calls.remove(&ticket) {
                            let _ = caller.send(reply);
                        }
                    }
                }
            }
            for ticket in refused.drain(..) {
                let reply = store::Reply { ticket, outcome: Err(store::StoreError::Busy) };
                let (now, wall) = (self.0.host.now(), self.0.host.wall_clock());
                core.hub.handle(now, wall, Input::Stored { reply }, &mut outputs);
            }
        }
        core.outputs = outputs;
        let next = core.hub.poll_timeout();
        if next.is_some_and(|next| core.armed.is_none_or(|armed| next < armed)) {
            core.armed = next;
            self.0.sooner.notify_one();
        }
    }

    fn send(&self, core: &Core, session: SessionId, frame: Prepared, now: Instant) {
        if let Some(outbox) = core.sessions.get(session)
            && !outbox.push(frame, now)
        {
            self.0.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn index(&self) -> usize {
        self.0.host.shard().index
    }

    fn arm(&self) -> Option<Instant> {
        let mut core = self.lock();
        core.armed = core.hub.poll_timeout();
        core.armed
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        lock(&self.0.core)
    }
}

impl<H: Host> Observed for Inner<H> {
    fn counters(&self) -> Counters {
        lock(&self.core).hub.counters()
    }

    fn slow_sessions(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    fn flights(&self, filter: &Filter) -> Vec<Flight> {
        self.recorder.find(self.host.now(), filter)
    }
}

/// One session's place at a shard.
pub(crate) struct Seat<H: Host> {
    shard: Shard<H>,
    session: SessionId,
    pub(crate) outbox: Arc<Outbox>,
    takeoff: Takeoff,
    over: Over,
    round_trip: Option<Duration>,
}

impl<H: Host> Seat<H> {
    /// A message came from the session's client.
    pub(crate) fn received(&self, bytes: &[u8]) {
        self.outbox.note(self.shard.0.host.now(), bytes);
        self.shard.handle(Input::Received { session: self.session, bytes });
    }
}

impl<H: Host> Seat<H> {
    /// Says how the connection ended, and how long its round trip was, before the seat is left.
    pub(crate) fn end(&mut self, end: &End, round_trip: Option<Duration>) {
        self.over = Over::Socket(end.clone());
        self.round_trip = round_trip;
    }

    /// A message about a document came from the session's client.
    pub(crate) fn received_of_documents(&self, bytes: &[u8]) {
        self.outbox.note(self.shard.0.host.now(), bytes);
        self.shard.handle(Input::DocumentReceived { session: self.session, bytes });
    }
}

impl<H: Host> Drop for Seat<H> {
    fn drop(&mut self) {
        let Inner { host, recorder, .. } = &*self.shard.0;
        let (wall, now) = (host.wall_clock(), host.now());
        let landing = self.outbox.land(now, self.over.clone(), self.round_trip);
        recorder.record(Flight::new(self.takeoff, landing, wall, now));
        self.shard.lock().sessions.leave(self.session);
        self.shard.handle(Input::Disconnected { session: self.session });
    }
}

/// Takes a call's ticket back when the call ends, however it ends.
struct Forget<'a, H: Host> {
    shard: &'a Shard<H>,
    ticket: u64,
}

impl<H: Host> Drop for Forget<'_, H> {
    fn drop(&mut self) {
        let mut core = self.shard.lock();
        core.calls.remove(&self.ticket);
        core.document_calls.remove(&self.ticket);
    }
}

/// A frame of the client protocol as a WebSocket message.
fn prepare(protocol: Protocol, frame: Bytes) -> Prepared {
    match protocol {
        Protocol::Json => Prepared::text(frame),
        Protocol::Protobuf => Prepared::binary(frame),
    }
}

/// A hub that panicked half way through an input may hold anything: the shard ends with it rather than going on.
fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}
