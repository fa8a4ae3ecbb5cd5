//! Drives a session over a connection.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};

use host::{Connection, Host, Timer, sleep, timeout_at};
use tls::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Limits;
use super::data::DataPort;
use super::effect::{Effect, Form, Outcome, Placing, Question, Transfer};
use super::files::{FileError, FileSystem, Target};
use super::session::Session;
use super::transfer::{self, Outgoing};
use crate::ftp::listing::Kind;

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

/// Serves `connection` until its end: the session's files are `files`, its data connections are made by `host`, and where
/// there is a `tls` server, clients may ask for TLS. Once `stop` is ready, the session ends.
pub async fn serve<H: Host, F: FileSystem>(
    host: H,
    connection: H::Connection,
    files: F,
    tls: Option<tls::Server>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) -> End {
    let peer = connection.peer_address().ip();
    let mut driver = Driver {
        session: Session::new(limits.clone(), host.now(), peer, tls.is_some()),
        data: DataPort::new(host.clone(), tls.clone(), peer),
        control: Some(Stream::Plain(connection)),
        host,
        files,
        tls,
        limits,
        user: None,
    };
    let mut stop = pin!(stop);
    match driver.run(stop.as_mut()).await {
        Ok(()) => End::Closed,
        Err(end) => end,
    }
}

struct Driver<H: Host, F: FileSystem> {
    host: H,
    session: Session,
    /// Not there while it shakes hands.
    control: Option<Stream<H::Connection>>,
    data: DataPort<H>,
    files: F,
    tls: Option<tls::Server>,
    limits: Limits,
    user: Option<F::User>,
}

impl<H: Host, F: FileSystem> Driver<H, F> {
    async fn run(&mut self, mut stop: Pin<&mut (impl Future<Output = ()> + Send)>) -> Result<(), End> {
        loop {
            self.flush().await?;
            let outcome = match self.session.poll_effect(self.host.now()) {
                None if !self.session.output().is_empty() => continue,
                None => {
                    if !self.wait(stop.as_mut()).await? {
                        return Ok(());
                    }
                    continue;
                }
                Some(Effect::Close) => {
                    self.flush().await?;
                    let deadline = self.host.now() + self.limits.stall_time;
                    let control = self.control.as_mut().expect("there is one outside of handshakes");
                    let _ = timeout_at(&self.host, deadline, control.shutdown()).await;
                    return Ok(());
                }
                Some(Effect::Abort) => continue,
                Some(Effect::LogIn { user, password }) => self.log_in(&user, &password).await,
                Some(Effect::StartTls) => self.start_tls().await?,
                Some(Effect::Listen) => self.listen().await,
                Some(Effect::Ask(question)) => self.ask(question).await,
                Some(Effect::Transfer(transfer)) => {
                    self.transfer(transfer, stop.as_mut()).await?;
                    continue;
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
        tokio::select! {
            biased;
            () = stop => self.session.close("The server ends: come back in a moment"),
            read = read(control, &mut self.session) => return read.map_err(End::Lost),
            () = poll_fn(|context| timer.poll_expired(context)) => self.session.handle_timeout(self.host.now()),
        }
        Ok(true)
    }

    async fn flush(&mut self) -> Result<(), End> {
        let control = self.control.as_mut().expect("there is one outside of handshakes");
        flush(&self.host, control, &mut self.session, &self.limits).await.map_err(End::Lost)
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Outcome {
        let control = self.control.as_ref().expect("there is one outside of handshakes");
        let from = control.peer_address().ip();
        self.user = self.files.log_in(user, password, from, self.session.is_secure()).await;
        if self.user.is_some() {
            return Outcome::LoggedIn;
        }
        sleep(&self.host, THOUGHT).await;
        Outcome::LoginRefused
    }

    async fn start_tls(&mut self) -> Result<Outcome, End> {
        self.flush().await?;
        let deadline = self.host.now() + self.limits.data_time;
        match (self.control.take(), &self.tls) {
            (Some(Stream::Plain(plain)), Some(tls)) => {
                let secured = tls.accept(&self.host, plain, deadline).await.map_err(End::Tls)?;
                self.control = Some(Stream::Tls(Box::new(secured)));
                self.user = None;
                Ok(Outcome::Secured)
            }
            // The session offers it once, and only where there is a certificate.
            _ => Err(End::Lost(ErrorKind::Unsupported.into())),
        }
    }

    async fn listen(&mut self) -> Outcome {
        let local = self.control.as_ref().expect("there is one outside of handshakes").local_address();
        self.data.listen(local.ip()).await.map_or(Outcome::NoConnection, Outcome::Listening)
    }

    async fn ask(&mut self, question: Question) -> Outcome {
        let Some(user) = &self.user else { return Outcome::Failed(FileError::NotFound) };
        let files = &self.files;
        let asked = match &question {
            Question::Enter(path) => files.look(user, path).await.and_then(|entry| match entry.kind {
                Kind::Directory => Ok(Outcome::Done),
                Kind::File => Err(FileError::NotAllowed("that is a file, not a directory".into())),
            }),
            Question::Look(path) => files.look(user, path).await.map(Outcome::Found),
            Question::List(path) => files.list(user, path, self.limits.entries).await.map(Outcome::Entries),
            Question::MakeDirectory(path) => files.make_directory(user, path).await.map(|()| Outcome::Done),
            Question::RemoveDirectory(path) => {
                files.remove_directory(user, path).await.map(|()| Outcome::Done)
            }
            Question::Remove(path) => files.remove(user, path).await.map(|()| Outcome::Done),
            Question::Rename { from, to } => files.rename(user, from, to).await.map(|()| Outcome::Done),
        };
        asked.unwrap_or_else(Outcome::Failed)
    }

    async fn transfer(
        &mut self,
        transfer: Transfer,
        stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<(), End> {
        let Some(user) = self.user.clone() else {
            self.session.done(self.host.now(), Outcome::Failed(FileError::NotFound));
            return Ok(());
        };
        let name = transfer.path.to_string();
        if let Form::Store(placing) = transfer.form {
            return match self.files.create(&user, &transfer.path, placing).await {
                Ok(target) => self.store(transfer, target, placing, stop).await,
                Err(error) => {
                    self.session.done(self.host.now(), Outcome::Failed(error));
                    Ok(())
                }
            };
        }
        let outgoing = match self.outgoing(&user, &transfer).await {
            Ok(outgoing) => outgoing,
            Err(error) => {
                self.session.done(self.host.now(), Outcome::Failed(error));
                return Ok(());
            }
        };
        self.session.transfer_begins(&name, Some(outgoing.bytes()));
        self.flush().await?;
        let (host, limits, data) = (&self.host, &self.limits, &mut self.data);
        let deadline = host.now() + limits.data_time;
        let moving = async {
            match data.open(transfer.way, transfer.protected, deadline).await {
                Some(connection) => transfer::send(connection, host, limits, outgoing).await,
                None => Outcome::NoConnection,
            }
        };
        let control = self.control.as_mut().expect("there is one outside of handshakes");
        let outcome =
            attend(host, limits, control, &mut self.session, moving, stop).await.map_err(End::Lost)?;
        self.session.done(self.host.now(), outcome.unwrap_or(Outcome::Lost));
        Ok(())
    }

    async fn store(
        &mut self,
        transfer: Transfer,
        mut target: F::Target,
        placing: Placing,
        stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<(), End> {
        // RFC 1123, section 4.1.2.9: the name that STOU found is told so.
        let name = match placing {
            Placing::Unique => format!("FILE: {}", target.name()),
            _ => transfer.path.to_string(),
        };
        self.session.transfer_begins(&name, None);
        self.flush().await?;
        let (host, limits, data) = (&self.host, &self.limits, &mut self.data);
        let deadline = host.now() + limits.data_time;
        let moving = async {
            match data.open(transfer.way, transfer.protected, deadline).await {
                Some(connection) => transfer::receive(connection, host, limits, &mut target).await,
                None => Outcome::NoConnection,
            }
        };
        let control = self.control.as_mut().expect("there is one outside of handshakes");
        let outcome = attend(host, limits, control, &mut self.session, moving, stop).await;
        let outcome = match outcome {
            // In stream mode the end of the connection is all that says that the file is whole. A client that died ends
            // both its connections.
            Ok(Some(Outcome::Done)) if !is_gone(control, &mut self.session) => match target.finish().await {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Failed(error),
            },
            outcome => {
                target.break_off().await;
                outcome
                    .map_err(End::Lost)?
                    .filter(|outcome| *outcome != Outcome::Done)
                    .unwrap_or(Outcome::Lost)
            }
        };
        self.session.done(self.host.now(), outcome);
        Ok(())
    }

    async fn outgoing(
        &mut self,
        user: &F::User,
        transfer: &Transfer,
    ) -> Result<Outgoing<F::Source>, FileError> {
        if let Form::Retrieve(offset) = transfer.form {
            return Ok(Outgoing::File(self.files.open(user, &transfer.path, offset).await?));
        }
        let entry = self.files.look(user, &transfer.path).await?;
        let entries = match entry.kind {
            Kind::Directory => self.files.list(user, &transfer.path, self.limits.entries).await?,
            // RFC 3659, section 7.1: MLSD is for directories.
            Kind::File if transfer.form == Form::Facts => {
                return Err(FileError::NotAllowed("that is a file, not a directory".into()));
            }
            Kind::File => vec![entry],
        };
        Ok(Outgoing::Listing(transfer::listing(&entries, transfer.form, self.host.wall_clock())))
    }
}

/// Listens to the client while a transfer moves. `None` when the client is gone, or the server ends.
async fn attend<H: Host, C: Connection>(
    host: &H,
    limits: &Limits,
    control: &mut C,
    session: &mut Session,
    moving: impl Future<Output = Outcome>,
    mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> io::Result<Option<Outcome>> {
    let mut moving = pin!(moving);
    loop {
        let listening = session.wants_bytes();
        tokio::select! {
            biased;
            () = stop.as_mut() => {
                session.close("The server ends: come back in a moment");
                return Ok(None);
            }
            outcome = moving.as_mut() => return Ok(Some(outcome)),
            read = read(control, session), if listening => if !read? {
                return Ok(None);
            },
        }
        while let Some(effect) = session.poll_effect(host.now()) {
            if effect == Effect::Abort {
                return Ok(Some(Outcome::Aborted));
            }
        }
        flush(host, control, session, limits).await?;
    }
}

/// Reads what the client says. False when it has closed.
async fn read<C: Connection>(control: &mut C, session: &mut Session) -> io::Result<bool> {
    let mut buffer = [0; 2048];
    let count = control.read(&mut buffer).await?;
    session.receive(&buffer[..count]);
    Ok(count > 0)
}

/// Whether the client has closed the control connection by now.
fn is_gone<C: Connection>(control: &mut C, session: &mut Session) -> bool {
    let mut buffer = [0; 2048];
    while session.wants_bytes() {
        match control.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => session.receive(&buffer[..count]),
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
    false
}

async fn flush<H: Host, C: Connection>(
    host: &H,
    control: &mut C,
    session: &mut Session,
    limits: &Limits,
) -> io::Result<()> {
    while !session.output().is_empty() {
        let deadline = host.now() + limits.stall_time;
        let written = timeout_at(host, deadline, async {
            let written = control.write(session.output()).await?;
            poll_fn(|context| Pin::new(&mut *control).poll_flush(context)).await?;
            Ok::<_, io::Error>(written)
        });
        match written.await {
            Ok(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
            Ok(Ok(written)) => session.sent(written),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(ErrorKind::TimedOut.into()),
        }
    }
    Ok(())
}
