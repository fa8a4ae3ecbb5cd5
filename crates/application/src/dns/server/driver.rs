//! A name server on the network.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use hickory_proto::op::{Message, ResponseCode};
use host::{Connection, Datagrams, Host, Random, timeout_at};
use tokio::sync::mpsc;

use super::Config;
use super::cache::Cache;
use super::forward;
use super::limiter::{Allowance, Limiter};
use super::responder::{Decision, Responder, datagram_limit, encode, reply};
use crate::dns::stream::{read_message, write_message};

/// Bytes of the longest question by datagram: what is longer is none.
const LONGEST_QUESTION: usize = 4096;

/// Answers of other servers that may wait to be passed on.
const ANSWERS: usize = 256;

/// A name server. A handle: clones are the same.
pub struct Server<H: Host>(Arc<Inner<H>>);

impl<H: Host> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<H: Host> {
    host: H,
    config: Config,
    responder: Responder,
    state: Mutex<State>,
    forwards: AtomicUsize,
}

struct State {
    cache: Cache,
    limiter: Limiter,
    ids: Random,
}

impl<H: Host> Server<H> {
    /// A name server on `host`, as `config` says.
    pub fn new(host: H, config: Config) -> Self {
        let state = State {
            cache: Cache::new(config.cache_bytes),
            limiter: Limiter::new(config.datagrams_per_second),
            ids: host.random("dns server: identifications"),
        };
        Self(Arc::new(Inner {
            responder: Responder::new(config.zones.clone()),
            state: Mutex::new(state),
            forwards: AtomicUsize::new(0),
            host,
            config,
        }))
    }

    /// Answers what comes by `socket`, until `stop` is ready.
    pub async fn serve_datagrams(&self, mut socket: H::Datagrams, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let (sender, mut answers) = mpsc::channel::<(Vec<u8>, SocketAddr)>(ANSWERS);
        let mut buffer = vec![0; LONGEST_QUESTION];
        loop {
            // One at a time: an answer that was fetched, or a new question.
            let next = poll_fn(|context| {
                if stop.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(Some(answer)) = answers.poll_recv(context) {
                    return Poll::Ready(Some(Ok(answer)));
                }
                socket.poll_receive(context, &mut buffer).map(|received| Some(Err(received)))
            });
            let (answer, to) = match next.await {
                None => return,
                Some(Ok(fetched)) => fetched,
                // What the network heard of an earlier answer is of no interest.
                Some(Err(Err(_))) => continue,
                Some(Err(Ok((length, from)))) => {
                    match self.answer_datagram(&buffer[..length], from, &sender) {
                        Some(answer) => (answer, from),
                        None => continue,
                    }
                }
            };
            // A datagram that the network does not take is lost, as datagrams are.
            let _ = poll_fn(|context| socket.poll_send(context, &answer, to)).await;
        }
    }

    /// Answers what comes by `connection`, until its end.
    pub async fn serve_stream(&self, mut connection: H::Connection) {
        let (host, config) = (&self.0.host, &self.0.config);
        let from = connection.peer_address().ip();
        loop {
            let deadline = host.now() + config.idle_time;
            let Ok(Ok(question)) = timeout_at(host, deadline, read_message(&mut connection)).await else {
                return;
            };
            let answer = match self.0.responder.decide(&question) {
                Decision::Answer(answer) => *answer,
                Decision::Foreign(message) => self.foreign(&message, from).await,
                Decision::Nothing => return,
            };
            let Some(answer) = encode(&answer, usize::from(u16::MAX)) else { return };
            let deadline = host.now() + config.idle_time;
            let written = timeout_at(host, deadline, write_message(&mut connection, &answer)).await;
            if !matches!(written, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// The answer to a datagram, unless there is none, or it has to be fetched, and comes by `later` then.
    fn answer_datagram(
        &self,
        question: &[u8],
        from: SocketAddr,
        later: &mpsc::Sender<(Vec<u8>, SocketAddr)>,
    ) -> Option<Vec<u8>> {
        let answer = match self.0.responder.decide(question) {
            Decision::Nothing => return None,
            Decision::Answer(answer) => answer,
            Decision::Foreign(message) => match self.known(&message, from.ip()) {
                Some(answer) => Box::new(answer),
                None => {
                    let (server, limit, later) = (self.clone(), datagram_limit(question), later.clone());
                    self.0.host.spawn_detached(async move {
                        let answer = server.fetch(&message).await;
                        if let Some(answer) = encode(&answer, limit) {
                            // Too many wait: this one is lost, and asked for again.
                            let _ = later.try_send((answer, from));
                        }
                    });
                    return None;
                }
            },
        };
        let limit = match self.state().limiter.allow(self.0.host.now(), from.ip()) {
            Allowance::Answer => datagram_limit(question),
            // A limit that nothing fits but the word that there is more.
            Allowance::Cut => return encode_cut(&answer),
            Allowance::Nothing => return None,
        };
        encode(&answer, limit)
    }

    /// The answer to a question about a foreign name, however long it takes.
    async fn foreign(&self, message: &Message, from: IpAddr) -> Message {
        match self.known(message, from) {
            Some(answer) => answer,
            None => self.fetch(message).await,
        }
    }

    /// The answer to a question about a foreign name, where nobody need be asked.
    fn known(&self, message: &Message, from: IpAddr) -> Option<Message> {
        let config = &self.0.config;
        let is_welcome = config.forward_for_anybody || is_near(from);
        if config.forward_to.is_empty() || !is_welcome || !message.metadata.recursion_desired {
            return Some(reply(message, ResponseCode::Refused));
        }
        let kept = self.state().cache.get(self.0.host.now(), message.queries.first()?)?;
        Some(passed_on(message, &kept))
    }

    /// Asks the other servers.
    async fn fetch(&self, message: &Message) -> Message {
        let Some(query) = message.queries.first() else { return reply(message, ResponseCode::FormErr) };
        let inner = &*self.0;
        let more = |under_way: usize| (under_way < inner.config.forwards).then_some(under_way + 1);
        if inner.forwards.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return reply(message, ResponseCode::ServFail);
        }
        let _under_way = UnderWay(&inner.forwards);
        let id = self.state().ids.next_u32() as u16;
        let config = &inner.config;
        let asked = forward::ask(&inner.host, &config.forward_to, query, id, config.forward_time).await;
        let Some((answer, bytes)) = asked else { return reply(message, ResponseCode::ServFail) };
        self.state().cache.put(inner.host.now(), query, &answer, bytes);
        passed_on(message, &answer)
    }

    /// The state is whole at every step: a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way, for as long as this lives.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What another server answered, as our answer to `message`.
fn passed_on(message: &Message, answer: &Message) -> Message {
    let mut ours = reply(message, answer.metadata.response_code);
    ours.metadata.recursion_available = true;
    ours.add_answers(answer.answers.iter().cloned());
    ours.add_authorities(answer.authorities.iter().cloned());
    ours.add_additionals(answer.additionals.iter().cloned());
    ours
}

/// The word that there is more, and nothing else.
fn encode_cut(answer: &Message) -> Option<Vec<u8>> {
    let mut cut = answer.clone();
    cut.metadata.truncation = true;
    cut.answers.clear();
    cut.authorities.clear();
    cut.additionals.clear();
    cut.to_vec().ok()
}

/// Addresses from which nobody asks who is not of the house (RFC 1918, RFC 4193, RFC 3927).
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}
