//! The flight recorder: why each connection was over, and what was seen of it last, for an hour after.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::{Instant, WallTime};
use hub::{ClientInfo, Protocol};
use websocket::{End, Timeout};

use crate::session::Ending;

/// Connections that one shard remembers. The oldest is forgotten for the next.
const REMEMBERED: usize = 2048;

/// How long they are remembered.
const HOUR: Duration = Duration::from_secs(3600);

/// Frames that are remembered of each connection, and the bytes of each.
const FRAMES: usize = 8;
const HEAD: usize = 48;

/// Why a connection was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The client said goodbye.
    ClientClose,
    /// The client's side ended the connection without a word: the page was closed, the program ended.
    EndWithoutClose,
    /// The connection was reset, or the network failed.
    Reset,
    /// The client did not answer a ping: its network went away, or it sleeps.
    PingTimeout,
    /// The connection ended without a word after a silence as long as proxies commonly allow.
    ProxyIdle {
        /// That limit.
        limit: Duration,
    },
    /// The client did not read as fast as there was to send.
    Slow {
        /// What waited for it, in bytes.
        bytes: usize,
        /// How long something had waited.
        age: Duration,
    },
    /// The token was not valid, or its time was over.
    Token,
    /// The client went past a limit.
    Limit,
    /// The server was going down.
    Drain,
    /// Something went wrong on the server.
    ServerError,
    /// What the client sent was not the protocol.
    ClientError,
    /// A program asked for it.
    Program,
}

impl Cause {
    /// The word for it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ClientClose => "client_close",
            Self::EndWithoutClose => "end_without_close",
            Self::Reset => "reset",
            Self::PingTimeout => "ping_timeout",
            Self::ProxyIdle { .. } => "proxy_idle",
            Self::Slow { .. } => "slow",
            Self::Token => "token",
            Self::Limit => "limit",
            Self::Drain => "drain",
            Self::ServerError => "server_error",
            Self::ClientError => "client_error",
            Self::Program => "program",
        }
    }

    /// What we know of a connection's end, in one word: what we closed it for (`ending`), else how it ended, after
    /// `silence`.
    fn of(ending: Option<Ending>, end: &Over, silence: Duration, queue: Queue) -> Self {
        let slow = Self::Slow { bytes: queue.bytes, age: queue.age };
        if let Some(Ending { code, .. }) = ending {
            return match code {
                3008 => slow,
                3012 => Self::PingTimeout,
                3005 | 3006 | 3500 => Self::Token,
                3013 | 3504 | 3505 => Self::Limit,
                1001 | 3001 => Self::Drain,
                1011 | 1013 | 3004 | 3010 => Self::ServerError,
                1003 | 3501 | 3502 | 3506 | 3508 => Self::ClientError,
                _ => Self::Program,
            };
        }
        let abrupt = |cause| idle_limit(silence).map_or(cause, |limit| Self::ProxyIdle { limit });
        match end {
            Over::Socket(End::ClosedByPeer { .. } | End::Timeout(Timeout::Close)) => Self::ClientClose,
            Over::Socket(End::Fault(fault)) if matches!(fault.code().0, 1008 | 1009) => Self::Limit,
            Over::Socket(End::Fault(_)) => Self::ClientError,
            Over::Socket(End::EndOfStream) | Over::Stream => abrupt(Self::EndWithoutClose),
            Over::Socket(End::Transport(_)) => abrupt(Self::Reset),
            Over::Socket(End::Timeout(Timeout::Keepalive)) => Self::PingTimeout,
            Over::Socket(End::Timeout(Timeout::Write)) => slow,
            Over::Socket(End::ClosedByUs { .. } | End::Aborted) => Self::ServerError,
        }
    }
}

/// The limit of a proxy that a silence looks like. They close a moment late rather than early.
fn idle_limit(silence: Duration) -> Option<Duration> {
    const LIMITS: [u64; 16] = [10, 15, 20, 30, 50, 55, 60, 75, 90, 100, 120, 180, 240, 300, 350, 600];
    let limits = LIMITS.into_iter().map(Duration::from_secs);
    let is_like = |limit: &Duration| {
        silence + Duration::from_millis(250) >= *limit && silence <= *limit + Duration::from_secs(1)
    };
    limits.rev().find(is_like)
}

/// How a connection ended, as its door saw it.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    /// A WebSocket.
    Socket(End),
    /// A streamed response that its client no longer reads.
    Stream,
}

/// What waited to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    pub(crate) bytes: usize,
    /// How long something had waited.
    pub(crate) age: Duration,
}

/// The last frames of a connection.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    frames: VecDeque<Seen>,
    last: Option<Instant>,
}

/// A frame that was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// Whether the client sent it.
    pub(crate) incoming: bool,
    pub(crate) bytes: usize,
    head: [u8; HEAD],
}

impl Seen {
    /// The frame's beginning, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.head[..self.bytes.min(HEAD)]).into_owned()
    }
}

impl Trail {
    pub(crate) fn note(&mut self, at: Instant, incoming: bool, frame: &[u8]) {
        let mut head = [0; HEAD];
        let length = frame.len().min(HEAD);
        head[..length].copy_from_slice(&frame[..length]);
        if self.frames.len() >= FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(Seen { at, incoming, bytes: frame.len(), head });
        self.last = Some(at);
    }
}

/// A connection that is over.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) info: Option<Arc<ClientInfo>>,
    pub(crate) remote: SocketAddr,
    pub(crate) transport: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) started: WallTime,
    pub(crate) ended: WallTime,
    /// The same on the clock of the frames.
    pub(crate) ended_at: Instant,
    pub(crate) cause: Cause,
    /// What we closed it with, if we did.
    pub(crate) ending: Option<Ending>,
    /// In words.
    pub(crate) detail: String,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) queue: Queue,
    /// Since the last frame.
    pub(crate) silence: Duration,
    pub(crate) frames: Vec<Seen>,
}

/// What a session knows of itself from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takeoff {
    pub(crate) remote: SocketAddr,
    pub(crate) transport: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) started: WallTime,
    pub(crate) started_at: Instant,
}

/// What a session knows of itself at its end.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) info: Option<Arc<ClientInfo>>,
    pub(crate) ending: Option<Ending>,
    pub(crate) over: Over,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) queue: Queue,
    pub(crate) trail: Trail,
}

impl Flight {
    /// Of a session that ended now.
    pub(crate) fn new(takeoff: Takeoff, landing: Landing, ended: WallTime, ended_at: Instant) -> Self {
        let Takeoff { remote, transport, protocol, started, started_at } = takeoff;
        let Landing { info, ending, over, round_trip, queue, trail } = landing;
        let silence = ended_at.since(trail.last.unwrap_or(started_at));
        let cause = Cause::of(ending, &over, silence, queue);
        let detail = match (&over, ending) {
            (_, Some(Ending { code, reason })) => format!("we closed with {code}: {reason}"),
            (Over::Socket(end), None) => end.to_string(),
            (Over::Stream, None) => "the client no longer reads".to_owned(),
        };
        let frames = trail.frames.into();
        Self {
            info,
            remote,
            transport,
            protocol,
            started,
            ended,
            ended_at,
            cause,
            ending,
            detail,
            round_trip,
            queue,
            silence,
            frames,
        }
    }

    /// Whether it is one that was asked for.
    fn is_meant(&self, filter: &Filter) -> bool {
        let info = self.info.as_deref();
        let is = |asked: &str, found: Option<&str>| asked.is_empty() || found == Some(asked);
        is(&filter.client, info.map(|info| info.client.as_str()))
            && is(&filter.user, info.map(|info| info.user.as_str()))
            && is(&filter.cause, Some(self.cause.label()))
    }
}

/// Which connections are asked for. What is empty is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) user: String,
    pub(crate) client: String,
    pub(crate) cause: String,
    /// At most how many.
    pub(crate) limit: usize,
}

/// What one shard remembers.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<VecDeque<Flight>>);

impl Recorder {
    pub(crate) fn record(&self, flight: Flight) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while flights.len() >= REMEMBERED
            || flights.front().is_some_and(|old| flight.ended_at.since(old.ended_at) > HOUR)
        {
            flights.pop_front();
        }
        flights.push_back(flight);
    }

    /// The last ones that are asked for, the newest first.
    pub(crate) fn find(&self, now: Instant, filter: &Filter) -> Vec<Flight> {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = flights.iter().rev().take_while(|flight| now.since(flight.ended_at) <= HOUR);
        recent.filter(|flight| flight.is_meant(filter)).take(filter.limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn what_we_closed_for_comes_before_how_it_ended() {
        let queue = Queue { bytes: 5, age: Duration::from_secs(2) };
        let gone = Over::Socket(End::Transport(ErrorKind::ConnectionReset));
        let cause = |code| {
            let ending = Ending { code, reason: "" };
            Cause::of(Some(ending), &gone, Duration::from_secs(60), queue).label()
        };
        let expected = [
            (3008, "slow"),
            (3012, "ping_timeout"),
            (3005, "token"),
            (3500, "token"),
            (3013, "limit"),
            (1001, "drain"),
            (3001, "drain"),
            (3004, "server_error"),
            (3010, "server_error"),
            (3501, "client_error"),
            (3503, "program"),
        ];
        for (code, word) in expected {
            assert_eq!(cause(code), word, "{code}");
        }
        assert_eq!(Cause::of(None, &gone, Duration::from_secs(3), queue), Cause::Reset);
    }

    #[test]
    fn a_silence_as_long_as_a_proxy_allows_is_told_apart() {
        let after = |seconds: f32| {
            let end = Over::Socket(End::EndOfStream);
            Cause::of(None, &end, Duration::from_secs_f32(seconds), Queue::default())
        };
        for (seconds, limit) in [(60.1, 60), (59.9, 60), (30.5, 30), (100.0, 100)] {
            assert_eq!(after(seconds), Cause::ProxyIdle { limit: Duration::from_secs(limit) });
        }
        for seconds in [0.0, 5.0, 33.0, 58.0, 61.5, 4000.0] {
            assert_eq!(after(seconds), Cause::EndWithoutClose, "{seconds}");
        }
    }
}
