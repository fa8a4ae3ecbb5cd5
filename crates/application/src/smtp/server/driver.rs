//! Drives a session over a connection.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::{AsyncWrite, Connection, Host, Timer, sleep, timeout_at};
use tls::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::effect::{Effect, Outcome, Refusal};
use super::session::{Offer, Session};
use super::{Limits, Post};

/// Bytes that are read at a time.
const CHUNK: usize = 32 * 1024;

/// How long a wrong password is thought about.
const THOUGHT: std::time::Duration = std::time::Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// With a goodbye of either side.
    Closed,
    /// The connection was lost, or its client never took our replies.
    Lost(io::Error),
    /// The TLS handshake came to nothing.
    Tls(tls::Error),
}

impl End {
    /// A word for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost(_) => "lost",
            Self::Tls(_) => "tls",
        }
    }
}

/// Memory that the messages of all sessions together may take.
#[derive(Clone, Debug)]
pub struct Memory(Arc<(AtomicUsize, usize)>);

impl Memory {
    /// At most `bytes`.
    pub fn limited_to(bytes: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(0), bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        let (taken, limit) = &*self.0;
        let more = |taken: usize| taken.checked_add(bytes).filter(|sum| sum <= limit);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// How a session is served.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What clients are offered.
    pub offer: Offer,
    /// What the session may cost.
    pub limits: Limits,
    /// Shared by all sessions.
    pub memory: Memory,
    /// The certificate that is shown to who asks for TLS; offered if [`Offer::tls`] says so.
    pub tls: Option<tls::Server>,
}

/// Serves `connection` until its end: mail goes to `post`. Once `stop` is ready, the session ends with the command under
/// way.
pub async fn serve<H: Host, P: Post>(
    host: H,
    connection: H::Connection,
    post: P,
    setup: Setup,
    stop: impl Future<Output = ()> + Send,
) -> End {
    let Setup { offer, limits, memory, tls } = setup;
    let peer = connection.peer_address().ip();
    let mut driver = Driver {
        session: Session::new(limits.clone(), offer, host.now(), peer),
        control: Some(Stream::Plain(connection)),
        host,
        post,
        tls,
        limits,
        held: Held { memory, bytes: 0 },
    };
    let mut stop = pin!(stop);
    match driver.run(stop.as_mut()).await {
        Ok(()) => End::Closed,
        Err(end) => end,
    }
}

struct Driver<H: Host, P: Post> {
    host: H,
    session: Session,
    /// Not there while it shakes hands.
    control: Option<Stream<H::Connection>>,
    post: P,
    tls: Option<tls::Server>,
    limits: Limits,
    held: Held,
}

/// What a session has of the memory, for as long as it lives.
struct Held {
    memory: Memory,
    bytes: usize,
}

impl Held {
    /// Takes or gives back what is missing to `bytes`. False when there is not so much.
    fn hold(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            if !self.memory.take(bytes - self.bytes) {
                return false;
            }
        } else {
            self.memory.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

impl<H: Host, P: Post> Driver<H, P> {
    async fn run(&mut self, mut stop: Pin<&mut (impl Future<Output = ()> + Send)>) -> Result<(), End> {
        loop {
            let effect = self.session.poll_effect();
            if !matches!(effect, Some(Effect::Deliver(_))) && !self.held.hold(self.session.message_bytes()) {
                self.session.no_room();
                self.held.hold(0);
            }
            let outcome = match effect {
                None => {
                    self.flush().await?;
                    if !self.wait(stop.as_mut()).await? {
                        return Ok(());
                    }
                    continue;
                }
                Some(Effect::Close) => {
                    self.flush().await?;
                    let deadline = self.host.now() + self.limits.data_time;
                    let control = self.control.as_mut().expect("there is one outside of handshakes");
                    let _ = timeout_at(&self.host, deadline, control.shutdown()).await;
                    return Ok(());
                }
                Some(Effect::LogIn { user, password }) => {
                    if self.post.log_in(&user, &password).await {
                        Outcome::Done
                    } else {
                        sleep(&self.host, THOUGHT).await;
                        Outcome::Refused(Refusal::new(
                            535,
                            "5.7.8",
                            "nobody of that name and password is known",
                        ))
                    }
                }
                Some(Effect::Check(address)) => {
                    let checked = self.post.check(self.session.user(), &address);
                    checked.map_or_else(Outcome::Refused, |()| Outcome::Done)
                }
                Some(Effect::StartTls) => self.start_tls().await?,
                Some(Effect::Deliver(envelope)) => {
                    // What waits to be said is said before the disk is waited for.
                    self.flush().await?;
                    let delivered = self.post.deliver(envelope).await;
                    delivered.map_or_else(Outcome::Refused, |()| Outcome::Done)
                }
            };
            self.session.done(self.host.now(), outcome);
        }
    }

    /// Waits for bytes of the client, for the session's deadline, or for the end. False when the client has closed.
    async fn wait(&mut self, stop: Pin<&mut (impl Future<Output = ()> + Send)>) -> Result<bool, End> {
        let mut timer = self.host.timer();
        timer.set(self.session.poll_timeout());
        let control = self.control.as_mut().expect("there is one outside of handshakes");
        let mut buffer = vec![0; CHUNK];
        tokio::select! {
            biased;
            () = stop => self.session.close("The server ends: come back in a moment"),
            read = control.read(&mut buffer) => match read.map_err(End::Lost)? {
                0 => return Ok(false),
                count => self.session.receive(self.host.now(), &buffer[..count]),
            },
            () = poll_fn(|context| timer.poll_expired(context)) => self.session.handle_timeout(self.host.now()),
        }
        Ok(true)
    }

    async fn start_tls(&mut self) -> Result<Outcome, End> {
        self.flush().await?;
        let deadline = self.host.now() + self.limits.idle_time;
        match (self.control.take(), &self.tls) {
            (Some(Stream::Plain(plain)), Some(tls)) => {
                let secured = tls.accept(&self.host, plain, deadline).await.map_err(End::Tls)?;
                self.control = Some(Stream::Tls(Box::new(secured)));
                Ok(Outcome::Secured)
            }
            // The session offers it once, and only where there is a certificate.
            _ => Err(End::Lost(ErrorKind::Unsupported.into())),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let control = self.control.as_mut().expect("there is one outside of handshakes");
        while !self.session.output().is_empty() {
            let deadline = self.host.now() + self.limits.data_time;
            let written = timeout_at(&self.host, deadline, async {
                let written = control.write(self.session.output()).await?;
                poll_fn(|context| Pin::new(&mut *control).poll_flush(context)).await?;
                Ok::<_, io::Error>(written)
            });
            match written.await {
                Ok(Ok(0)) => return Err(End::Lost(ErrorKind::WriteZero.into())),
                Ok(Ok(written)) => self.session.sent(written),
                Ok(Err(error)) => return Err(End::Lost(error)),
                Err(_) => return Err(End::Lost(ErrorKind::TimedOut.into())),
            }
        }
        Ok(())
    }
}
