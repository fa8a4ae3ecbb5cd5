//! The part of a client that does I/O: dials, carries messages, waits for time-outs, and leaves what they mean to the
//! [`Session`].

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use host::{Host, Instant, Timer};
use tokio::sync::{mpsc, oneshot};
use websocket::{CloseCode, End, Kind, Limits, Outbox, Refused};

use crate::dial::{DialError, Socket};
use crate::session::{Answer, Session, Settings, Step, What};
use crate::{Config, Error, Event, SubscribeOptions};

/// Commands that are ready together leave in one message, up to so many bytes.
const MESSAGE_BYTES: usize = 1 << 16;

/// What a handle asks of its driver.
pub(crate) struct Wish {
    pub(crate) ask: Ask,
    pub(crate) deadline: Instant,
    pub(crate) waiter: Waiter,
}

pub(crate) enum Ask {
    Request { what: What, body: String },
    Subscribe { room: String, options: SubscribeOptions },
    Unsubscribe { room: String },
}

type Waiter = oneshot::Sender<Result<Answer, Error>>;

/// Who wants to be told that the connection is closed.
pub(crate) type Closing = oneshot::Sender<()>;

/// Runs a client until it is closed, told not to come back, or its last handle is dropped.
pub(crate) async fn run<H: Host>(
    host: H,
    config: Arc<Config>,
    wishes: mpsc::Receiver<Wish>,
    closing: mpsc::Receiver<Closing>,
    events: mpsc::Sender<Event>,
) {
    let session = Session::new(settings(&config), host.random("client back-off"));
    let mut driver = Driver { host, config, session, wishes, closing, closed: Vec::new(), link: Link::Down };
    driver.work(&events).await;
    driver.leave().await;
    while let Some(event) = driver.session.poll_event(driver.host.now()) {
        if events.send(event).await.is_err() {
            return;
        }
    }
}

struct Driver<H: Host> {
    host: H,
    config: Arc<Config>,
    session: Session<Waiter>,
    wishes: mpsc::Receiver<Wish>,
    /// Apart from the wishes, for it is heard also while there is no room for more of them.
    closing: mpsc::Receiver<Closing>,
    closed: Vec<Closing>,
    link: Link<H>,
}

/// A server that was reached, or why it was not.
type Reached<H> = Result<Box<Socket<H>>, DialError>;

/// The connection, as far as there is one.
enum Link<H: Host> {
    Down,
    Dialing(Pin<Box<dyn Future<Output = Reached<H>> + Send>>),
    Up {
        socket: Box<Socket<H>>,
        /// A message that the socket's queue had no room for.
        unsent: Option<String>,
    },
}

/// What the connection has to say.
enum Turn<H: Host> {
    Dialed(Reached<H>),
    /// Messages went in or out.
    Moved,
    Over(End),
}

impl<H: Host> Driver<H> {
    async fn work(&mut self, events: &mpsc::Sender<Event>) {
        let mut timer = self.host.timer();
        loop {
            self.settle();
            match self.session.step() {
                Step::Wait => self.link.cut(),
                Step::Dial => self.link.raise(|| dial(self.host.clone(), self.config.clone())),
                Step::Talk => self.link.send(&mut self.session),
                Step::Leave => return,
            }
            let listening = self.session.is_listening();
            timer.set(self.session.poll_timeout());
            tokio::select! {
                biased;
                () = poll_fn(|context| timer.poll_expired(context)) => {
                    self.session.handle_timeout(self.host.now());
                }
                permit = events.reserve(), if !listening => {
                    // Nobody takes events any more: they are dropped as they come.
                    let event = self.session.poll_event(self.host.now());
                    if let (Ok(permit), Some(event)) = (permit, event) {
                        permit.send(event);
                    }
                }
                closing = self.closing.recv() => {
                    // Without a closing all handles are gone.
                    self.closed.extend(closing);
                    self.session.close();
                }
                Some(wish) = self.wishes.recv(), if self.session.has_room() => self.fulfil(wish),
                turn = self.link.turn(&self.host, &mut self.session, listening) => self.take(turn),
            }
        }
    }

    /// Closes the connection in the orderly way and tells who waits for it.
    async fn leave(&mut self) {
        self.wishes.close();
        while let Some(wish) = self.wishes.recv().await {
            self.fulfil(wish);
        }
        self.settle();
        self.closing.close();
        while let Some(closing) = self.closing.recv().await {
            self.closed.push(closing);
        }
        if let Link::Up { socket, .. } = &mut self.link {
            socket.start_close(CloseCode::NORMAL, "");
            let mut ignore = |_: Kind, _: &[u8], _: &mut Outbox| {};
            while poll_fn(|context| socket.poll_receive(context, &mut ignore)).await.is_ok() {}
        }
        self.link = Link::Down;
        for closed in self.closed.drain(..) {
            let _ = closed.send(());
        }
    }

    /// Takes a wish, and those that wait behind it, so that their commands leave together.
    fn fulfil(&mut self, wish: Wish) {
        let mut next = Some(wish);
        while let Some(wish) = next {
            self.fulfil_one(wish);
            next = if self.session.has_room() { self.wishes.try_recv().ok() } else { None };
        }
    }

    fn fulfil_one(&mut self, Wish { ask, deadline, waiter }: Wish) {
        let now = self.host.now();
        match ask {
            Ask::Request { what, body } => self.session.request(now, what, &body, deadline, waiter),
            Ask::Subscribe { room, options } => self.session.subscribe(now, room, options, deadline, waiter),
            Ask::Unsubscribe { room } => self.session.unsubscribe(&room, waiter),
        }
    }

    fn take(&mut self, turn: Turn<H>) {
        let now = self.host.now();
        match turn {
            Turn::Moved => {}
            Turn::Dialed(Ok(socket)) => {
                self.link = Link::Up { socket, unsent: None };
                self.session.opened(now);
            }
            Turn::Dialed(Err(reason)) => {
                self.link = Link::Down;
                self.session.lost(now, None, reason.to_string());
            }
            Turn::Over(end) => {
                self.link = Link::Down;
                let code = match &end {
                    End::ClosedByPeer { code, .. } => code.map(|code| code.0),
                    End::Fault(fault) => Some(fault.code().0),
                    _ => None,
                };
                self.session.lost(now, code, end.to_string());
            }
        }
    }

    /// Hands out what has come to its end. Who has stopped waiting does not hear of it.
    fn settle(&mut self) {
        while let Some((waiter, outcome)) = self.session.poll_outcome() {
            let _ = waiter.send(outcome);
        }
    }
}

impl<H: Host> Link<H> {
    /// Throws away what the session has given up.
    fn cut(&mut self) {
        if let Self::Up { socket, .. } = self {
            socket.abort();
        }
        *self = Self::Down;
    }

    fn raise<F>(&mut self, dial: impl FnOnce() -> F)
    where
        F: Future<Output = Reached<H>> + Send + 'static,
    {
        if let Self::Down = self {
            *self = Self::Dialing(Box::pin(dial()));
        }
    }

    /// Queues what the session has to say.
    fn send<W>(&mut self, session: &mut Session<W>) {
        let Self::Up { socket, unsent } = self else { return };
        while let Some(message) = unsent.take().or_else(|| session.poll_transmit(MESSAGE_BYTES)) {
            if let Err(Refused::Full { .. }) = socket.queue((Kind::Text, message.as_bytes())) {
                *unsent = Some(message);
                return;
            }
        }
    }

    async fn turn<W>(&mut self, host: &H, session: &mut Session<W>, listening: bool) -> Turn<H> {
        poll_fn(|context| self.poll_turn(context, host, session, listening)).await
    }

    fn poll_turn<W>(
        &mut self,
        context: &mut Context<'_>,
        host: &H,
        session: &mut Session<W>,
        listening: bool,
    ) -> Poll<Turn<H>> {
        match self {
            Self::Down => Poll::Pending,
            Self::Dialing(dialing) => dialing.as_mut().poll(context).map(Turn::Dialed),
            Self::Up { socket, unsent } => {
                match socket.poll_flush(context) {
                    Poll::Ready(Err(end)) => return Poll::Ready(Turn::Over(end)),
                    Poll::Ready(Ok(())) if unsent.is_some() => return Poll::Ready(Turn::Moved),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
                if !listening {
                    return Poll::Pending;
                }
                let mut handler =
                    |_: Kind, text: &[u8], _: &mut Outbox| session.handle_message(host.now(), text);
                socket.poll_receive(context, &mut handler).map(|received| match received {
                    Ok(()) => Turn::Moved,
                    Err(end) => Turn::Over(end),
                })
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        token: config.token.clone(),
        data: config.data.clone(),
        name: config.name.clone(),
        reply_timeout: config.reply_timeout,
        ping_slack: config.ping_slack,
        backoff: config.backoff,
        requests: config.requests.max(1),
    }
}

async fn dial<H: Host>(host: H, config: Arc<Config>) -> Reached<H> {
    // The server pings.
    let limits = Limits { keepalive: None, ..Limits::default() }.with_message_bytes(config.max_received);
    Ok(Box::new(config.dialer.dial(&host, &config.url, limits).await?.socket))
}
