//! One control connection, as a value.

use std::net::{IpAddr, SocketAddr};

use host::{Instant, WallTime};

use super::Limits;
use super::effect::{DataWay, Effect, Form, Outcome, Placing, Question, Transfer};
use crate::ftp::address::{format_extended, format_port};
use crate::ftp::command::{Command, SyntaxError};
use crate::ftp::line::{LineError, Lines};
use crate::ftp::listing::{Kind, timestamp};
use crate::ftp::path::Path;
use crate::ftp::reply::Reply;

/// Ports below this one belong to services: nobody listens there for a file (RFC 2577, section 3).
const UNPRIVILEGED: u16 = 1024;

/// The control connection of one client: bytes in, replies and [`Effect`]s out.
///
/// Commands are carried out one after the other; while one is, those that come wait, but for ABOR, STAT and QUIT.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    peer: IpAddr,
    tls_offered: bool,
    lines: Lines,
    output: Vec<u8>,
    state: State,
    deadline: Instant,
    closing: bool,

    secure: bool,
    user: Option<String>,
    logged_in: bool,
    attempts: u32,
    directory: Path,
    data: Option<DataWay>,
    passive_only: bool,
    protected: bool,
    buffer_size_told: bool,
    binary: bool,
    restart: u64,
    rename: Option<Path>,
}

/// What is being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    LogIn,
    Tls,
    Listen { extended: bool },
    Ask(Purpose, Path),
    Transfer { form: Form, begun: bool, aborting: bool },
    Closed,
}

/// Why the file system is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Enter,
    Size,
    Modified,
    Facts,
    RenameFrom,
    Rename,
    Make,
    Remove,
    List,
}

impl Session {
    /// A session with a client at `peer`, whose connection began `now`. It greets.
    pub fn new(limits: Limits, now: Instant, peer: IpAddr, tls_offered: bool) -> Self {
        let mut session = Self {
            lines: Lines::new(limits.line_bytes),
            deadline: now + limits.login_time,
            limits,
            peer: peer.to_canonical(),
            tls_offered,
            output: Vec::new(),
            state: State::Idle,
            closing: false,
            secure: false,
            user: None,
            logged_in: false,
            attempts: 0,
            directory: Path::root(),
            data: None,
            passive_only: false,
            protected: false,
            buffer_size_told: false,
            binary: false,
            restart: 0,
            rename: None,
        };
        session.reply(220, "Fourwire: what is stored in /rooms/NAME/ is live in the room NAME");
        session
    }

    /// Takes bytes of the control connection.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.lines.receive(bytes);
    }

    /// Whether it takes more bytes: not while many commands wait.
    pub fn wants_bytes(&self) -> bool {
        self.lines.waiting() < self.limits.waiting_bytes
    }

    /// What the driver is to do next. None when the session waits for bytes, or for an outcome.
    pub fn poll_effect(&mut self, now: Instant) -> Option<Effect> {
        loop {
            if self.closing && self.state == State::Idle {
                self.state = State::Closed;
                return Some(Effect::Close);
            }
            match self.state {
                State::Idle | State::Transfer { .. } => {}
                _ => return None,
            }
            let line = self.lines.next_line()?;
            if self.logged_in {
                self.deadline = now + self.limits.idle_time;
            }
            let effect = match line.map(|line| Command::parse(&line)) {
                Ok(Ok(command)) => self.command(command),
                Ok(Err(error)) => self.not_understood(error),
                Err(error) => self.no_line(error),
            };
            if effect.is_some() {
                return effect;
            }
        }
    }

    /// The transfer begins: the client is told to look at the data connection.
    pub fn transfer_begins(&mut self, name: &str, bytes: Option<u64>) {
        if let State::Transfer { begun, .. } = &mut self.state {
            *begun = true;
        }
        match bytes {
            Some(bytes) => self.reply(150, format!("Opening the data connection for {name} ({bytes} bytes)")),
            None => self.reply(150, format!("Opening the data connection for {name}")),
        }
    }

    /// Tells what came of the effect under way.
    pub fn done(&mut self, now: Instant, outcome: Outcome) {
        if self.state == State::Closed {
            return;
        }
        if self.logged_in {
            self.deadline = now + self.limits.idle_time;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::LogIn => self.logged_in_or_not(now, &outcome),
            State::Tls => {
                // What was said in the clear before is no part of what is said inside.
                self.lines.clear();
                self.secure = true;
                self.user = None;
                self.logged_in = false;
            }
            State::Listen { extended } => self.listening(extended, &outcome),
            State::Ask(purpose, path) => self.answered(purpose, &path, outcome),
            State::Transfer { form, aborting, .. } => self.transferred(form, aborting, outcome),
            state @ (State::Idle | State::Closed) => self.state = state,
        }
    }

    /// Says goodbye, because the server ends or the deadline has passed.
    pub fn close(&mut self, why: &str) {
        if !self.closing {
            self.reply(421, why);
            self.closing = true;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. None while a command is carried out: the driver keeps the
    /// deadlines of data connections.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.state == State::Idle && !self.closing).then_some(self.deadline)
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.close("Nothing came for too long: goodbye");
        }
    }

    /// Bytes for the client.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// That many of them were sent.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Whether the control connection is inside TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    fn command(&mut self, command: Command) -> Option<Effect> {
        if let State::Transfer { aborting, .. } = &mut self.state {
            match command {
                Command::Abor => {
                    *aborting = true;
                    return Some(Effect::Abort);
                }
                Command::Quit => self.closing = true,
                Command::Stat(_) => self.reply(213, "A transfer is under way"),
                Command::Noop => self.reply(200, "A transfer is under way"),
                _ => self.reply(503, "A transfer is under way: wait for its end, or send ABOR"),
            }
            return None;
        }
        let restart = std::mem::take(&mut self.restart);
        let rename = self.rename.take();
        if !self.logged_in && !is_for_anybody(&command) {
            self.reply(530, "Log in first: USER and PASS");
            return None;
        }
        match command {
            Command::User(user) => {
                self.logged_in = false;
                self.user = Some(user);
                self.reply(331, "And the password?");
                None
            }
            Command::Pass(password) => match self.user.clone() {
                None => self.say(503, "USER comes first"),
                Some(_) if self.logged_in => self.say(230, "You are logged in"),
                Some(user) => self.begin(State::LogIn, Effect::LogIn { user, password }),
            },
            Command::Acct => self.say(202, "No account is needed"),
            Command::Rein => {
                self.forget_user();
                self.say(220, "Log in again: USER and PASS")
            }
            Command::Quit => {
                self.closing = true;
                self.say(221, "Goodbye")
            }
            Command::AuthTls => self.start_tls(),
            Command::Pbsz if self.secure => {
                self.buffer_size_told = true;
                self.say(200, "PBSZ=0")
            }
            Command::Prot(_) if !self.secure || !self.buffer_size_told => {
                self.say(503, "AUTH TLS and PBSZ 0 come first")
            }
            Command::Prot(protected) => {
                self.protected = protected;
                self.say(
                    200,
                    if protected {
                        "Data connections are inside TLS"
                    } else {
                        "Data connections are in the clear"
                    },
                )
            }
            Command::Pbsz => self.say(503, "AUTH TLS comes first"),
            Command::Ccc => self.say(534, "The control connection stays inside TLS"),
            Command::Syst => self.say(215, "UNIX Type: L8"),
            Command::Noop => self.say(200, "Ok"),
            Command::Clnt => self.say(200, "Noted"),
            Command::Help => self.say(214, "See the RFCs 959, 2389, 2428, 3659 and 4217"),
            Command::Feat => self.features(),
            Command::OptsUtf8 => self.say(200, "Names are UTF-8 always"),
            Command::OptsMlst => self.say(200, "MLST OPTS type;size;modify;perm;"),
            Command::Site(_) => self.say(504, "There are no SITE commands here"),
            Command::Stat(None) => self.status(),
            Command::Stru | Command::Mode => self.say(200, "Ok"),
            Command::Type(binary) => {
                self.binary = binary;
                self.say(
                    200,
                    if binary { "TYPE is now I" } else { "TYPE is now A: bytes are sent as they are" },
                )
            }
            Command::Allo(_) => self.say(202, "Nothing need be allocated"),
            Command::Rest(position) => {
                self.restart = position;
                self.say(350, format!("The next transfer begins at byte {position}"))
            }
            Command::Abor => self.say(226, "There is no transfer to abort"),
            Command::Port(_) | Command::Eprt(_) | Command::EprtOther | Command::Pasv if self.passive_only => {
                self.say(501, "You said EPSV ALL")
            }
            Command::Port(address) | Command::Eprt(address) => self.active(address),
            Command::EprtOther => self.say(522, "Network protocol not supported, use (1,2)"),
            Command::Pasv if self.peer.is_ipv6() => {
                self.say(425, "PASV cannot tell an IPv6 address: use EPSV")
            }
            Command::Pasv => self.begin(State::Listen { extended: false }, Effect::Listen),
            Command::EpsvAll => {
                self.passive_only = true;
                self.say(200, "From now on EPSV only")
            }
            Command::Epsv(Some(protocol)) if protocol != if self.peer.is_ipv4() { 1 } else { 2 } => {
                let ours = if self.peer.is_ipv4() { 1 } else { 2 };
                self.say(522, format!("Network protocol not supported, use ({ours})"))
            }
            Command::Epsv(_) => self.begin(State::Listen { extended: true }, Effect::Listen),
            Command::Pwd => {
                let quoted = self.directory.to_string().replace('"', "\"\"");
                self.say(257, format!("\"{quoted}\" is the working directory"))
            }
            Command::Cdup => self.ask_about("..", Purpose::Enter, Question::Enter),
            Command::Cwd(path) => self.ask_about(&path, Purpose::Enter, Question::Enter),
            Command::Mkd(path) => self.ask_about(&path, Purpose::Make, Question::MakeDirectory),
            Command::Rmd(path) => self.ask_about(&path, Purpose::Remove, Question::RemoveDirectory),
            Command::Dele(path) => self.ask_about(&path, Purpose::Remove, Question::Remove),
            Command::Size(path) => self.ask_about(&path, Purpose::Size, Question::Look),
            Command::Mdtm(path) => self.ask_about(&path, Purpose::Modified, Question::Look),
            Command::Mlst(path) => {
                self.ask_about(path.as_deref().unwrap_or("."), Purpose::Facts, Question::Look)
            }
            Command::Stat(Some(path)) => self.ask_about(&path, Purpose::List, Question::List),
            Command::Rnfr(path) => self.ask_about(&path, Purpose::RenameFrom, Question::Look),
            Command::Rnto(path) => match rename {
                None => self.say(503, "RNFR comes first"),
                Some(from) => self.ask_about(&path, Purpose::Rename, |to| Question::Rename { from, to }),
            },
            Command::List(path) => self.transfer(path.as_deref().unwrap_or("."), Form::List),
            Command::Nlst(path) => self.transfer(path.as_deref().unwrap_or("."), Form::Names),
            Command::Mlsd(path) => self.transfer(path.as_deref().unwrap_or("."), Form::Facts),
            Command::Retr(path) => self.transfer(&path, Form::Retrieve(restart)),
            Command::Stor(path) => {
                let placing = if restart > 0 { Placing::From(restart) } else { Placing::Whole };
                self.transfer(&path, Form::Store(placing))
            }
            Command::Appe(path) => self.transfer(&path, Form::Store(Placing::Behind)),
            Command::Stou => self.transfer(".", Form::Store(Placing::Unique)),
        }
    }

    fn not_understood(&mut self, error: SyntaxError) -> Option<Effect> {
        let code = match error {
            SyntaxError::Unknown => 500,
            SyntaxError::Argument => 501,
            SyntaxError::Parameter => 504,
        };
        self.say(code, sentence(&error.to_string()))
    }

    fn no_line(&mut self, error: LineError) -> Option<Effect> {
        self.say(500, sentence(&error.to_string()))
    }

    fn start_tls(&mut self) -> Option<Effect> {
        if !self.tls_offered {
            return self.say(502, "This server has no certificate: start it with --tls-cert");
        }
        if self.secure {
            return self.say(503, "The connection is inside TLS already");
        }
        if self.lines.waiting() > 0 {
            // What is said before the handshake could be anybody's.
            self.closing = true;
            return self.say(503, "Nothing may follow AUTH TLS before the handshake");
        }
        self.reply(234, "Go on with the handshake");
        self.begin(State::Tls, Effect::StartTls)
    }

    fn logged_in_or_not(&mut self, now: Instant, outcome: &Outcome) {
        if *outcome == Outcome::LoggedIn {
            self.logged_in = true;
            self.directory = Path::root();
            self.deadline = now + self.limits.idle_time;
            self.reply(230, "Welcome");
            return;
        }
        self.user = None;
        self.attempts += 1;
        if self.attempts >= self.limits.attempts {
            self.close("Too many wrong passwords: goodbye");
        } else {
            self.reply(530, "Nobody of that name and password may come in");
        }
    }

    fn forget_user(&mut self) {
        self.user = None;
        self.logged_in = false;
        self.directory = Path::root();
        self.data = None;
        self.passive_only = false;
        self.binary = false;
    }

    fn active(&mut self, address: SocketAddr) -> Option<Effect> {
        // RFC 2577, section 3: neither other machines nor services are to be reached through us.
        if address.ip().to_canonical() != self.peer {
            return self.say(501, "Data connections go to the address that you come from, and nowhere else");
        }
        if address.port() < UNPRIVILEGED {
            return self.say(501, "Data connections go to ports from 1024 on");
        }
        self.data = Some(DataWay::Active(address));
        self.say(200, "Ok")
    }

    fn listening(&mut self, extended: bool, outcome: &Outcome) {
        let Outcome::Listening(address) = outcome else {
            self.data = None;
            self.reply(425, "No port is free to listen on: try again later");
            return;
        };
        self.data = Some(DataWay::Passive);
        match address.ip().to_canonical() {
            _ if extended => {
                self.reply(229, format!("Entering extended passive mode (|||{}|)", address.port()));
            }
            IpAddr::V4(ip) => {
                self.reply(227, format!("Entering passive mode ({}).", format_port(ip, address.port())));
            }
            IpAddr::V6(_) => {
                self.reply(425, format!("Use EPSV to reach {}", format_extended(*address)));
            }
        }
    }

    fn ask_about(
        &mut self,
        path: &str,
        purpose: Purpose,
        question: impl FnOnce(Path) -> Question,
    ) -> Option<Effect> {
        match self.directory.resolve(path) {
            Ok(path) => self.begin(State::Ask(purpose, path.clone()), Effect::Ask(question(path))),
            Err(error) => self.say(553, sentence(&error.to_string())),
        }
    }

    fn answered(&mut self, purpose: Purpose, path: &Path, outcome: Outcome) {
        let path_text = || path.to_string().replace('"', "\"\"");
        match (purpose, outcome) {
            (_, Outcome::Failed(error)) => self.reply(error.code(), sentence(&error.to_string())),
            (Purpose::Enter, _) => {
                self.directory = path.clone();
                self.reply(250, format!("\"{}\" is the working directory", path_text()));
            }
            (Purpose::Make, _) => self.reply(257, format!("\"{}\" is there", path_text())),
            (Purpose::Remove, _) => self.reply(250, "Removed"),
            (Purpose::Rename, _) => self.reply(250, "Renamed"),
            (Purpose::RenameFrom, _) => {
                self.rename = Some(path.clone());
                self.reply(350, "And the new name?");
            }
            (Purpose::Facts, Outcome::Found(entry)) => {
                let line = format!("{}{path}", entry.facts());
                self.output.extend(
                    Reply::of_lines(250, vec![format!("Facts of {path}"), line, "End".into()]).to_bytes(),
                );
            }
            (Purpose::Size | Purpose::Modified, Outcome::Found(entry)) if entry.kind == Kind::Directory => {
                self.reply(550, "That is a directory");
            }
            (Purpose::Size, Outcome::Found(entry)) => self.reply(213, entry.size.to_string()),
            (Purpose::Modified, Outcome::Found(entry)) => self.reply(213, timestamp(entry.modified)),
            (Purpose::List, Outcome::Entries(entries)) => {
                let now =
                    entries.iter().map(|entry| entry.modified).max().unwrap_or(WallTime::from_unix_millis(0));
                let mut lines = vec![format!("Status of {path}")];
                lines.extend(entries.iter().map(|entry| entry.list_line(now)));
                lines.push("End of status".into());
                self.output.extend(Reply::of_lines(213, lines).to_bytes());
            }
            (Purpose::Facts | Purpose::Size | Purpose::Modified | Purpose::List, _) => {
                self.reply(451, "The server is confused: try again later");
            }
        }
    }

    fn transfer(&mut self, path: &str, form: Form) -> Option<Effect> {
        let Some(way) = self.data.take() else {
            return self.say(425, "Say first where: EPSV, PASV, EPRT or PORT");
        };
        let path = match self.directory.resolve(path) {
            Ok(path) => path,
            Err(error) => return self.say(553, sentence(&error.to_string())),
        };
        let transfer = Transfer { form, path, way, protected: self.protected };
        self.begin(State::Transfer { form, begun: false, aborting: false }, Effect::Transfer(transfer))
    }

    fn transferred(&mut self, form: Form, aborting: bool, outcome: Outcome) {
        match outcome {
            Outcome::NoConnection => self.reply(425, "No data connection came about"),
            Outcome::Lost => self.reply(426, "The data connection was lost"),
            Outcome::Aborted => self.reply(426, "The transfer was aborted"),
            Outcome::Failed(error) => self.reply(error.code(), sentence(&error.to_string())),
            _ => self.reply(
                226,
                match form {
                    Form::Store(_) => "The file is stored, and live in the room",
                    _ => "Done",
                },
            ),
        }
        if aborting {
            self.reply(226, "Aborted");
        }
    }

    fn features(&mut self) -> Option<Effect> {
        let mut lines = vec!["Features:".to_owned()];
        if self.tls_offered {
            lines.extend(["AUTH TLS", "PBSZ", "PROT"].map(str::to_owned));
        }
        lines.extend(
            [
                "EPRT",
                "EPSV",
                "MDTM",
                "MLST type*;size*;modify*;perm*;",
                "REST STREAM",
                "SIZE",
                "TVFS",
                "UTF8",
                "End",
            ]
            .map(str::to_owned),
        );
        self.output.extend(Reply::of_lines(211, lines).to_bytes());
        None
    }

    fn status(&mut self) -> Option<Effect> {
        let lines = vec![
            "Fourwire".into(),
            format!("From {}, {}", self.peer, if self.secure { "inside TLS" } else { "in the clear" }),
            format!(
                "Working directory {}, TYPE {}, STRU F, MODE S",
                self.directory,
                if self.binary { 'I' } else { 'A' }
            ),
            "End".into(),
        ];
        self.output.extend(Reply::of_lines(211, lines).to_bytes());
        None
    }

    fn begin(&mut self, state: State, effect: Effect) -> Option<Effect> {
        self.state = state;
        Some(effect)
    }

    fn say(&mut self, code: u16, text: impl Into<String>) -> Option<Effect> {
        self.reply(code, text);
        None
    }

    fn reply(&mut self, code: u16, text: impl Into<String>) {
        self.output.extend(Reply::new(code, text).to_bytes());
    }
}

fn is_for_anybody(command: &Command) -> bool {
    use Command::*;
    matches!(
        command,
        User(_)
            | Pass(_)
            | Acct
            | Rein
            | Quit
            | AuthTls
            | Pbsz
            | Prot(_)
            | Ccc
            | Syst
            | Noop
            | Clnt
            | Help
            | Feat
            | OptsUtf8
            | OptsMlst
    )
}

/// With a capital.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
