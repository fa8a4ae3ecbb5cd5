//! The hub as its driver sees it: what goes in, what comes out.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use host::{Instant, Random, Shard, WallTime};

use crate::api;
use crate::budget::Budget;
use crate::centrifuge::{Protocol, Push};
use crate::config::Config;
use crate::context::{Asked, Context, Purpose};
use crate::counters::Counters;
use crate::document::{self, Documents};
use crate::identity::{Authenticator, ClientInfo};
use crate::local::Local;
use crate::message::{Answer, Asker, Message, ShardMessage};
use crate::owner::Owner;
use crate::store;

/// A connection, as the driver names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// Dense: the place in the driver's table of connections.
    pub index: u32,
    /// Tells apart the connections that had that place one after the other.
    pub generation: u32,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A client's connection is open.
    Connected {
        /// By this name from now on.
        session: SessionId,
        /// Where from.
        remote: SocketAddr,
        /// What it speaks.
        protocol: Protocol,
        /// The name by which requests find the session whose connection only carries what the server says: nobody can
        /// guess it. Any other is given one that nobody asks for.
        name: Option<String>,
    },
    /// A frame came: one or more commands.
    Received {
        /// From whom.
        session: SessionId,
        /// The message.
        bytes: &'a [u8],
    },
    /// A client's connection is gone, whoever closed it. Nothing for that session comes out after this.
    Disconnected {
        /// Whose.
        session: SessionId,
    },
    /// Another shard's hub sent this ([`Output::Shard`]). Messages from one shard come in the order they were sent.
    Shard {
        /// The other shard.
        from: usize,
        /// What it sent.
        message: ShardMessage,
    },
    /// Messages from another shard were lost. Sessions that may have missed something are closed with 3010, what waits
    /// for that shard is answered with an error.
    ShardLagged {
        /// The other shard.
        from: usize,
    },
    /// The store has answered an [`Output::Store`].
    Stored {
        /// Its answer.
        reply: store::Reply,
    },
    /// A client's connection to documents is open.
    DocumentConnected {
        /// By this name from now on.
        session: SessionId,
        /// What it wants.
        opening: document::Opening,
    },
    /// A binary WebSocket message came on such a connection.
    DocumentReceived {
        /// From whom.
        session: SessionId,
        /// The message.
        bytes: &'a [u8],
    },
    /// A program asks something of a document.
    DocumentRequest {
        /// By which the reply finds its way back. Of the driver's choice, not in use already.
        ticket: u64,
        /// The document.
        document: &'a str,
        /// What it asks.
        request: document::api::Request,
    },
    /// A program asks, by the HTTP API.
    Api {
        /// By which the reply finds its way back. Of the driver's choice, not in use already.
        ticket: u64,
        /// What it asks.
        request: api::Request,
    },
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Send one frame.
    Send {
        /// To whom.
        session: SessionId,
        /// What the session speaks.
        protocol: Protocol,
        /// The frame.
        frame: Bytes,
    },
    /// Send the same frame to many.
    Fanout {
        /// To whom.
        sessions: Vec<SessionId>,
        /// What they all speak.
        protocol: Protocol,
        /// The frame.
        frame: Bytes,
    },
    /// A session has said who it is; for whoever keeps a record of connections.
    Identified {
        /// Which one.
        session: SessionId,
        /// Who it is.
        info: Arc<ClientInfo>,
    },
    /// Send one WebSocket binary message to one or many.
    Binary {
        /// To whom.
        sessions: Vec<SessionId>,
        /// The message.
        frame: Bytes,
    },
    /// Close the connection. The hub has forgotten the session already; `Disconnected` may still come and does nothing.
    Close {
        /// Whose.
        session: SessionId,
        /// WebSocket close code: a Centrifuge disconnect code.
        code: u16,
        /// Why, in words.
        reason: &'static str,
    },
    /// Hand a message to another shard's hub.
    Shard {
        /// The other shard; never this one.
        to: usize,
        /// What to hand over.
        message: ShardMessage,
    },
    /// Ask the store. Requests of one hub are to be run in the order they come out.
    Store {
        /// What to ask.
        request: store::Request,
    },
    /// Answer a program.
    Api {
        /// That of the request.
        ticket: u64,
        /// The answer.
        reply: api::Reply,
    },
    /// Answer a program that has asked something of a document.
    DocumentReply {
        /// That of the request.
        ticket: u64,
        /// The answer.
        reply: document::api::Reply,
    },
}

/// One shard's part of the hub: the sessions that this shard accepted, and the rooms that it owns.
pub struct Hub {
    config: Config,
    shard: Shard,
    random: Random,
    local: Local,
    owner: Owner,
    documents: Documents,
    counters: Counters,
    asked: Asked,
    waiting: Budget,
    inbox: VecDeque<Message>,
}

impl Hub {
    /// A hub without sessions. Without an `authenticator` anybody may come (development mode): a client may say who it
    /// is by `data: {"name": …, "key": …}` in its connect command.
    pub fn new(
        config: Config,
        shard: Shard,
        random: Random,
        authenticator: Option<Box<dyn Authenticator>>,
    ) -> Self {
        Self {
            config,
            shard,
            random,
            local: Local::new(authenticator),
            owner: Owner::default(),
            documents: Documents::default(),
            counters: Counters::default(),
            asked: Asked::default(),
            waiting: Budget::default(),
            inbox: VecDeque::new(),
        }
    }

    /// Takes in what happened at `now` (`wall` on the wall clock) and appends what is to be done to `outputs`.
    pub fn handle(&mut self, now: Instant, wall: WallTime, input: Input<'_>, outputs: &mut Vec<Output>) {
        self.with(now, wall, outputs, |local, owner, documents, context| match input {
            Input::Connected { session, remote, protocol, name } => {
                local.connected(session, remote, protocol, name, context);
            }
            Input::Received { session, bytes } => local.received(session, bytes, context),
            Input::DocumentConnected { session, opening } => {
                documents.connected(session, opening, local.authenticator(), context);
            }
            Input::DocumentReceived { session, bytes } => {
                documents.received(session, bytes, local.authenticator(), context);
            }
            Input::DocumentRequest { ticket, document, request } => {
                documents.ask(ticket, document, request, context);
            }
            Input::Disconnected { session } => {
                local.disconnected(session, context);
                documents.disconnected(session, context);
            }
            Input::Shard { from, message } => dispatch(local, owner, documents, from, message.0, context),
            Input::ShardLagged { from } => {
                context.counters.lagged_total += 1;
                local.lost_touch(from, context);
                documents.lost_touch(from, context);
                documents.forget_shard(from, context);
                owner.forget_shard(from, context);
            }
            Input::Stored { reply } => match context.asked(reply.ticket) {
                Some(Purpose::Names { gathering }) => local.named(gathering, reply.outcome, context),
                Some(Purpose::Document { document, purpose }) => {
                    documents.stored(&document, purpose, reply.outcome, context);
                }
                Some(purpose) => owner.stored(&purpose, reply.outcome, context),
                None => {}
            },
            Input::Api { ticket, request } => local.program(ticket, request, context),
        });
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let owner = self.owner.poll_timeout(self.config.limits.room_idle);
        let documents = self.documents.poll_timeout(&self.config.documents);
        self.local.poll_timeout().into_iter().chain(owner).chain(documents).min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, wall: WallTime, outputs: &mut Vec<Output>) {
        self.with(now, wall, outputs, |local, owner, documents, context| {
            local.handle_timeout(context);
            owner.handle_timeout(context);
            documents.handle_timeout(context);
        });
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        self.local.measure(&mut counters);
        counters.rooms = self.owner.len() as u64;
        counters.members = self.owner.members().map(|(_, members)| members).sum();
        counters.history_bytes = self.owner.bytes() as u64;
        counters.waiting = self.owner.waiting() as u64;
        counters.waiting_bytes = self.waiting.taken() as u64;
        self.documents.measure(&mut counters.documents);
        counters
    }

    /// Runs `action` and all that it makes this shard tell itself.
    fn with(
        &mut self,
        now: Instant,
        wall: WallTime,
        outputs: &mut Vec<Output>,
        action: impl FnOnce(&mut Local, &mut Owner, &mut Documents, &mut Context<'_>),
    ) {
        let Self { config, shard, random, local, owner, documents, counters, asked, waiting, inbox } = self;
        let mut context =
            Context::new(now, wall, *shard, config, random, counters, outputs, asked, waiting, inbox);
        action(local, owner, documents, &mut context);
        while let Some(message) = context.next_message() {
            dispatch(local, owner, documents, shard.index, message, &mut context);
        }
        context.flush();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("shard", &self.shard).finish_non_exhaustive()
    }
}

/// Where a message from a shard's hub goes.
fn dispatch(
    local: &mut Local,
    owner: &mut Owner,
    documents: &mut Documents,
    from: usize,
    message: Message,
    context: &mut Context<'_>,
) {
    match message {
        Message::Ask { ticket, channel, question } => {
            owner.ask(Asker { shard: from, ticket }, channel, question, context);
        }
        Message::Leave { channel, session } => owner.leave(from, &channel, session, context),
        Message::Signal { channel, publication } => owner.signal(&channel, &publication, context),
        Message::Count { ticket, rooms } => {
            let limit = if rooms { context.config.limits.rooms_listed } else { 0 };
            let in_use = owner.members().filter(|(_, members)| *members > 0);
            let rooms = in_use.take(limit).map(|(channel, members)| (channel.clone(), members)).collect();
            let count = local.count(rooms, owner.len());
            context.answer(Asker { shard: from, ticket }, Ok(Answer::Counted(count)));
        }
        Message::Disconnect { target, reconnect } => local.disconnect_all(&target, reconnect, context),
        Message::Unsubscribe { channel, target } => local.unsubscribe_all(&channel, &target, context),
        Message::Subscribe { channel, target } => local.subscribe_all(&channel, &target, context),
        Message::Refresh { target, refresh } => local.refresh_all(&target, refresh, context),
        Message::Answer { ticket, answer } => local.answered(ticket, answer, context),
        Message::Published { channel, publications } => local.published(&channel, &publications, context),
        Message::Joined { channel, info } => local.tell_presence(&channel, Push::Join(&info), context),
        Message::Left { channel, info } => local.tell_presence(&channel, Push::Leave(&info), context),
        Message::Evicted { channel } => local.evicted(&channel, context),
        Message::Document(message) => documents.hear(from, message, context),
        Message::Forgotten => {
            local.lost_touch(from, context);
            documents.lost_touch(from, context);
        }
    }
}
