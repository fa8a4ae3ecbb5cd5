//! The handle by which a program uses its client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use host::{Host, Instant, Random, timeout_at};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::driver::{self, Ask, Closing, Wish};
use crate::protocol::{Channel, History, Once, Publish, Request, Rpc};
use crate::session::{Answer, Subscribed, What};
use crate::{Config, Error, Event, Info, Json, Page, Position, PresenceStats, Published, SubscribeOptions};

/// Bytes that the longest id adds to a command.
const ID_LENGTH: usize = r#""id":4294967295,"#.len();

/// A connection to a server that comes back when it breaks. Clones are handles to the same one; when the last is
/// dropped, it closes.
pub struct Client<H> {
    host: H,
    wishes: mpsc::Sender<Wish>,
    closing: mpsc::Sender<Closing>,
    config: Arc<Config>,
    ids: Arc<Mutex<Random>>,
}

impl<H: Clone> Clone for Client<H> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            wishes: self.wishes.clone(),
            closing: self.closing.clone(),
            config: self.config.clone(),
            ids: self.ids.clone(),
        }
    }
}

/// What happens, in order. Drop it when nobody wants to know.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` once the client has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event, when one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

/// Which part of a room's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryOptions {
    /// At most how many publications; 0 asks for the room's position alone.
    pub limit: u32,
    /// After this one (before it, when going backwards); from the beginning (the end) without.
    pub since: Option<Position>,
    /// Newest first.
    pub reverse: bool,
}

impl<H: Host> Client<H> {
    /// Starts a client as a task of `host`. It dials at once; requests may be made at once too and wait for the
    /// connection.
    pub fn start(host: H, config: Config) -> (Self, Events) {
        let ids = host.random("client ids");
        let (wishes, wished) = mpsc::channel(config.requests.max(1));
        let (closing, closed) = mpsc::channel(1);
        let (events, happened) = mpsc::channel(config.events.max(1));
        let config = Arc::new(config);
        host.spawn_detached(driver::run(host.clone(), config.clone(), wished, closed, events));
        (Self { host, wishes, closing, config, ids: Arc::new(Mutex::new(ids)) }, Events(happened))
    }

    /// Enters a room and stays in it over every reconnect, until [`unsubscribe`](Self::unsubscribe). Returns when the
    /// server has let us in.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the server will not have us in there, [`Error::Timeout`] when it takes too long (the room
    /// stays wanted then), [`Error::Closed`].
    pub async fn subscribe(&self, room: &str) -> Result<Subscribed, Error> {
        self.subscribe_with(room, SubscribeOptions::default()).await
    }

    /// As [`subscribe`](Self::subscribe), with options. They count when the room is new to this client.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_with(&self, room: &str, options: SubscribeOptions) -> Result<Subscribed, Error> {
        match self.ask(Ask::Subscribe { room: room.to_owned(), options }).await? {
            Answer::Subscribed(subscribed) => Ok(subscribed),
            other => Err(unexpected(&other)),
        }
    }

    /// Leaves a room.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn unsubscribe(&self, room: &str) -> Result<(), Error> {
        self.ask(Ask::Unsubscribe { room: room.to_owned() }).await.map(|_| ())
    }

    /// Publishes `data` in a room, exactly once: under a fresh id, repeated until the server acknowledges it. Ones that
    /// are awaited one after the other keep their order.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]; [`Error::Timeout`], after which it may still be that the server has it; [`Error::Closed`];
    /// [`Error::TooLarge`] and [`Error::Data`] without asking the server.
    pub async fn publish<T: Serialize + ?Sized>(&self, room: &str, data: &T) -> Result<Published, Error> {
        self.publish_as(&self.fresh_id(), room, data).await
    }

    /// As [`publish`](Self::publish), under an id of your own: the same one again, even from another connection or
    /// another run of the program, publishes nothing more, as long as the server remembers it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_as<T: Serialize + ?Sized>(
        &self,
        id: &str,
        room: &str,
        data: &T,
    ) -> Result<Published, Error> {
        let data = Json::from_value(data)?;
        self.once("publish", &Once { id, channel: room, target: None, data: Some(&data) }).await
    }

    /// Puts `data` in the place of what was published at offset `target`, exactly once. Others see a publication with the
    /// tag `edits`.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); refused with code 103 when somebody else published it.
    pub async fn edit<T: Serialize + ?Sized>(
        &self,
        room: &str,
        target: u64,
        data: &T,
    ) -> Result<Published, Error> {
        let (id, data) = (self.fresh_id(), Json::from_value(data)?);
        self.once("edit", &Once { id: &id, channel: room, target: Some(target), data: Some(&data) }).await
    }

    /// Takes back what was published at offset `target`, exactly once. Others see a publication with the tag `deletes`.
    ///
    /// # Errors
    ///
    /// As [`edit`](Self::edit).
    pub async fn delete(&self, room: &str, target: u64) -> Result<Published, Error> {
        let id = self.fresh_id();
        self.once("delete", &Once { id: &id, channel: room, target: Some(target), data: None }).await
    }

    /// Publishes by the protocol's plain command: at most once by this client, which does not repeat it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and [`Error::Lost`] when the connection breaks before the acknowledgement.
    pub async fn publish_plain<T: Serialize + ?Sized>(&self, room: &str, data: &T) -> Result<(), Error> {
        let data = Json::from_value(data)?;
        self.request(What::Publish, &Request::Publish(Publish { channel: room, data: &data }))
            .await
            .map(|_| ())
    }

    /// Calls a procedure of the server, without repeating it.
    ///
    /// # Errors
    ///
    /// As [`publish_plain`](Self::publish_plain).
    pub async fn rpc<T: Serialize + ?Sized>(&self, method: &str, data: &T) -> Result<Option<Json>, Error> {
        let data = Json::from_value(data)?;
        match self.request(What::Rpc, &Request::Rpc(Rpc { method, data: &data })).await? {
            Answer::Rpc(data) => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads a room's history.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::Closed`].
    pub async fn history(&self, room: &str, options: HistoryOptions) -> Result<Page, Error> {
        let HistoryOptions { limit, since, reverse } = options;
        let history = History { channel: room, limit, since: since.as_ref(), reverse };
        match self.request(What::History, &Request::History(history)).await? {
            Answer::Page(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    /// Who is in a room, by connection.
    ///
    /// # Errors
    ///
    /// As [`history`](Self::history).
    pub async fn presence(&self, room: &str) -> Result<BTreeMap<String, Info>, Error> {
        match self.request(What::Presence, &Request::Presence(Channel { channel: room })).await? {
            Answer::Presence(presence) => Ok(presence),
            other => Err(unexpected(&other)),
        }
    }

    /// How many are in a room.
    ///
    /// # Errors
    ///
    /// As [`history`](Self::history).
    pub async fn presence_stats(&self, room: &str) -> Result<PresenceStats, Error> {
        match self.request(What::PresenceStats, &Request::PresenceStats(Channel { channel: room })).await? {
            Answer::PresenceStats(stats) => Ok(stats),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes the connection in the orderly way (code 1000) and waits until that is done. What was not acknowledged
    /// fails with [`Error::Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.closing.send(done).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// 128 bits in hexadecimal.
    fn fresh_id(&self) -> String {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:016x}{:016x}", ids.next_u64(), ids.next_u64())
    }

    async fn once(&self, method: &str, argument: &Once<'_>) -> Result<Published, Error> {
        let data = Json::from_value(argument)?;
        match self.request(What::PublishOnce, &Request::Rpc(Rpc { method, data: &data })).await? {
            Answer::Published(published) => Ok(published),
            other => Err(unexpected(&other)),
        }
    }

    async fn request(&self, what: What, request: &Request<'_>) -> Result<Answer, Error> {
        let body = request.body();
        let (length, limit) = (body.len() + ID_LENGTH, self.config.max_message);
        if length > limit {
            return Err(Error::TooLarge { length, limit });
        }
        self.ask(Ask::Request { what, body }).await
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let gone = || Error::Closed("it has ended".to_owned());
        let deadline = self.deadline();
        let (waiter, outcome) = oneshot::channel();
        let wish = Wish { ask, deadline, waiter };
        match timeout_at(&self.host, deadline, self.wishes.send(wish)).await {
            Ok(Ok(())) => outcome.await.unwrap_or_else(|_| Err(gone())),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Error::Timeout),
        }
    }

    fn deadline(&self) -> Instant {
        self.host.now() + self.config.request_timeout
    }
}

fn unexpected(answer: &Answer) -> Error {
    Error::Protocol(format!("the answer is of another kind: {answer:?}"))
}
