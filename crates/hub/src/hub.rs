//! The hub as its driver sees it: what goes in, what comes out.

use std::net::SocketAddr;

use bytes::Bytes;
use host::{Instant, Random, Shard, WallTime};

use crate::api;
use crate::config::Config;
use crate::counters::Counters;
use crate::identity::Authenticator;
use crate::message::ShardMessage;
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
    },
    /// A WebSocket message came: commands, one a line.
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
    /// Send one WebSocket text message.
    Send {
        /// To whom.
        session: SessionId,
        /// The message.
        frame: Bytes,
    },
    /// Send the same WebSocket text message to many.
    Fanout {
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
}

/// One shard's part of the hub: the sessions that this shard accepted, and the rooms that it owns.
pub struct Hub {
    config: Config,
    shard: Shard,
    random: Random,
    authenticator: Option<Box<dyn Authenticator>>,
    counters: Counters,
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
        Self { config, shard, random, authenticator, counters: Counters::default() }
    }

    /// Takes in what happened at `now` (`wall` on the wall clock) and appends what is to be done to `outputs`.
    pub fn handle(&mut self, now: Instant, wall: WallTime, input: Input<'_>, outputs: &mut Vec<Output>) {
        let _ =
            (&self.config, self.shard, &mut self.random, &mut self.authenticator, now, wall, input, outputs);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, wall: WallTime, outputs: &mut Vec<Output>) {
        let _ = (now, wall, outputs);
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }
}
