//! One connection, as a value.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use host::Instant;
use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, Error as SyntaxError, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8,
    MailFrom, RcptTo, Request,
};

use super::Limits;
use super::content::{Content, Problem};
use super::effect::{Effect, Envelope, Outcome, Refusal};

/// Bytes of input that may wait while a command is carried out.
const WAITING: usize = 64 * 1024;

/// What the server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it calls itself.
    pub domain: String,
    /// STARTTLS.
    pub tls: bool,
    /// AUTH, inside TLS.
    pub auth: bool,
    /// AUTH in the clear too.
    pub auth_in_the_clear: bool,
    /// Whether nothing is taken from who has not logged in.
    pub auth_needed: bool,
}

/// One client's connection: bytes in, replies and [`Effect`]s out.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    offer: Offer,
    peer: IpAddr,
    input: BytesMut,
    output: Vec<u8>,
    state: State,
    closing: bool,
    ends: Instant,
    deadline: Instant,
    errors: usize,
    messages: usize,

    secure: bool,
    client: Option<String>,
    user: Option<String>,
    mail: Option<Mail>,
}

#[derive(Debug)]
enum State {
    Command,
    /// A line is too long; its rest is thrown away.
    Overlong,
    Data(Content),
    Chunk {
        left: usize,
        last: bool,
    },
    Sasl(Sasl),
    Busy(Busy),
    Closed,
}

#[derive(Debug)]
enum Sasl {
    Plain,
    LoginName,
    LoginPassword(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Busy {
    LogIn(String),
    Check(String),
    Tls,
    Deliver,
}

/// A transaction under way.
#[derive(Debug)]
struct Mail {
    from: String,
    recipients: Vec<String>,
    utf8: bool,
    /// Of chunks.
    content: Option<Content>,
}

impl Session {
    /// A session with a client at `peer`, whose connection began `now`. It greets.
    pub fn new(limits: Limits, offer: Offer, now: Instant, peer: IpAddr) -> Self {
        let mut session = Self {
            ends: now + limits.session_time,
            deadline: now + limits.idle_time,
            limits,
            peer: peer.to_canonical(),
            input: BytesMut::new(),
            output: Vec::new(),
            state: State::Command,
            closing: false,
            errors: 0,
            messages: 0,
            secure: false,
            client: None,
            user: None,
            mail: None,
            offer,
        };
        let greeting = format!("{} ESMTP Fourwire", session.offer.domain);
        session.output.extend(format!("220 {greeting}\r\n").into_bytes());
        session
    }

    /// Takes bytes that came `now`.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let patience = match self.state {
            State::Data(_) | State::Chunk { .. } => self.limits.data_time,
            _ => self.limits.idle_time,
        };
        self.deadline = self.ends.min(now + patience);
    }

    /// Whether it takes more bytes: not while many wait.
    pub fn wants_bytes(&self) -> bool {
        self.input.len() < WAITING && !self.closing
    }

    /// Bytes of a message in memory.
    pub fn message_bytes(&self) -> usize {
        let content = match &self.state {
            State::Data(content) => Some(content),
            _ => self.mail.as_ref().and_then(|mail| mail.content.as_ref()),
        };
        content.map_or(0, Content::bytes)
    }

    /// There is no memory for the message under way: it is refused when its end has come.
    pub fn no_room(&mut self) {
        if let State::Data(content) = &mut self.state {
            content.refuse(Problem::NoRoom);
        } else if let Some(content) = self.mail.as_mut().and_then(|mail| mail.content.as_mut()) {
            content.refuse(Problem::NoRoom);
        }
    }

    /// What the driver is to do next. None when the session waits for bytes, or for an outcome.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if self.closing && !matches!(self.state, State::Busy(_)) {
                return match std::mem::replace(&mut self.state, State::Closed) {
                    State::Closed => None,
                    _ => Some(Effect::Close),
                };
            }
            match &mut self.state {
                State::Busy(_) | State::Closed => return None,
                State::Data(content) => {
                    let (taken, ended) = content.receive(&self.input);
                    self.input.advance(taken);
                    if !ended {
                        return None;
                    }
                    if let State::Data(content) = std::mem::replace(&mut self.state, State::Command)
                        && let Some(effect) = self.message(content)
                    {
                        return Some(effect);
                    }
                }
                State::Chunk { left, last } => {
                    let (count, last) = ((*left).min(self.input.len()), *last);
                    *left -= count;
                    let whole = *left == 0;
                    let piece = self.input.split_to(count);
                    if let Some(content) = self.mail.as_mut().and_then(|mail| mail.content.as_mut()) {
                        content.receive_chunk(&piece);
                    }
                    if !whole {
                        return None;
                    }
                    self.state = State::Command;
                    if let Some(effect) = self.chunk(count, last) {
                        return Some(effect);
                    }
                }
                State::Command | State::Overlong | State::Sasl(_) => {
                    let line = self.line()?;
                    if let Some(effect) = self.line_came(line) {
                        return Some(effect);
                    }
                }
            }
        }
    }

    /// Tells what came of the effect under way.
    pub fn done(&mut self, now: Instant, outcome: Outcome) {
        self.deadline = self.ends.min(now + self.limits.idle_time);
        let State::Busy(busy) = std::mem::replace(&mut self.state, State::Command) else { return };
        match (busy, outcome) {
            (Busy::Tls, _) => {
                // RFC 3207, section 4.2: everything that was said before is forgotten.
                self.input.clear();
                self.secure = true;
                self.client = None;
                self.user = None;
                self.mail = None;
            }
            (Busy::LogIn(user), Outcome::Done) => {
                self.user = Some(user);
                self.reply(235, "2.7.0", "You are logged in");
            }
            (Busy::LogIn(_), _) => self.error(535, "5.7.8", "Nobody of that name and password is known"),
            (Busy::Check(address), Outcome::Done) => {
                if let Some(mail) = &mut self.mail {
                    mail.recipients.push(address);
                }
                self.reply(250, "2.1.5", "Ok");
            }
            (Busy::Deliver, Outcome::Done) => {
                self.reply(250, "2.0.0", "The message is stored, and live in the room");
            }
            (_, Outcome::Refused(Refusal { code, status, text })) => self.error(code, status, &text),
            (_, Outcome::Secured) => {}
        }
    }

    /// Says goodbye, because the server ends or a deadline has passed.
    pub fn close(&mut self, why: &str) {
        if !self.closing {
            self.reply(421, "4.3.2", why);
            self.closing = true;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.closing && !matches!(self.state, State::Busy(_))).then_some(self.deadline)
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

    /// As whom the client has logged in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The next line with its CR and LF, `None` when it is not whole yet; an error stands for one that cannot be taken.
    fn line(&mut self) -> Option<Result<BytesMut, &'static str>> {
        let limit = self.limits.line_bytes;
        let end = self.input.iter().take(limit).position(|&byte| byte == b'\n');
        let Some(end) = end else {
            if self.input.len() >= limit {
                self.input.clear();
                self.state = State::Overlong;
            }
            return None;
        };
        let line = self.input.split_to(end + 1);
        if let State::Overlong = self.state {
            self.state = State::Command;
            return Some(Err("The line is too long"));
        }
        let inside = line.len().saturating_sub(2);
        let is_line = line.ends_with(b"\r\n") && !line[..inside].iter().any(|byte| matches!(byte, b'\r' | 0));
        Some(if is_line { Ok(line) } else { Err("Lines end with CR and LF, and with nothing else") })
    }

    fn line_came(&mut self, line: Result<BytesMut, &'static str>) -> Option<Effect> {
        let line = match line {
            Ok(line) => line,
            Err(why) => {
                self.state = State::Command;
                self.error(500, "5.5.2", why);
                return None;
            }
        };
        if let State::Sasl(sasl) = std::mem::replace(&mut self.state, State::Command) {
            return self.sasl(sasl, &line[..line.len() - 2]);
        }
        match Request::parse(&mut line.iter()) {
            Ok(request) => self.request(request),
            Err(error) => self.not_understood(&error),
        }
    }

    fn request(&mut self, request: Request<Cow<'_, str>>) -> Option<Effect> {
        match request {
            Request::Ehlo { host } => {
                self.hello(&host);
                self.extensions();
                None
            }
            Request::Helo { host } => {
                self.hello(&host);
                let text = format!("{} greets you", self.offer.domain);
                self.output.extend(format!("250 {text}\r\n").into_bytes());
                None
            }
            Request::Mail { from } => self.mail(from),
            Request::Rcpt { to } => self.recipient(to),
            Request::Data => self.data(),
            Request::Bdat { chunk_size, is_last } => self.begin_chunk(chunk_size, is_last),
            Request::Auth { mechanism, initial_response } => self.auth(mechanism, &initial_response),
            Request::StartTls => self.start_tls(),
            Request::Rset => {
                self.mail = None;
                self.say(250, "2.0.0", "Forgotten")
            }
            Request::Noop { .. } => self.say(250, "2.0.0", "Ok"),
            Request::Quit => {
                self.say(221, "2.0.0", "Goodbye");
                self.closing = true;
                None
            }
            Request::Help { .. } => {
                self.say(214, "2.0.0", "See RFC 5321. Mail to ROOM@ is posted in the room ROOM")
            }
            // Who there is, is nobody's business.
            Request::Vrfy { .. } => self.say(252, "2.5.0", "Send it, and see"),
            Request::Expn { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::Lhlo { .. } => self.err(502, "5.5.1", "This command is not supported"),
        }
    }

    fn hello(&mut self, host: &str) {
        self.client = Some(host.chars().filter(|character| !character.is_control()).collect());
        self.mail = None;
    }

    fn extensions(&mut self) {
        let mut lines = vec![format!("{} greets you", self.offer.domain), "PIPELINING".into()];
        lines.push(format!("SIZE {}", self.limits.message_bytes));
        lines.extend(["8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"].map(str::to_owned));
        if self.offer.tls && !self.secure {
            lines.push("STARTTLS".into());
        }
        if self.takes_auth() {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        lines.push("HELP".into());
        let last = lines.len() - 1;
        for (index, line) in lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            self.output.extend(format!("250{separator}{line}\r\n").into_bytes());
        }
    }

    fn mail(&mut self, from: MailFrom<Cow<'_, str>>) -> Option<Effect> {
        let known = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;
        let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
        if self.client.is_none() {
            return self.err(503, "5.5.1", "EHLO comes first");
        }
        if self.offer.auth_needed && self.user.is_none() {
            return self.err(530, "5.7.0", "Log in first: AUTH");
        }
        if self.mail.is_some() {
            return self.err(503, "5.5.1", "A message is under way: send it, or RSET");
        }
        if from.flags & !known != 0 || from.by != 0 || from.hold_for != 0 || from.hold_until != 0 {
            return self.err(555, "5.5.4", "This parameter is not supported");
        }
        if from.size > self.limits.message_bytes {
            return self.err(552, "5.3.4", "The message is larger than may be");
        }
        if self.messages >= self.limits.messages {
            self.close("Enough messages for one session: connect again");
            return None;
        }
        if !utf8 && !from.address.is_ascii() {
            return self.err(553, "5.6.7", "This address needs SMTPUTF8");
        }
        self.mail =
            Some(Mail { from: from.address.into_owned(), recipients: Vec::new(), utf8, content: None });
        self.say(250, "2.1.0", "Ok")
    }

    fn recipient(&mut self, to: RcptTo<Cow<'_, str>>) -> Option<Effect> {
        let Some(mail) = &self.mail else { return self.err(503, "5.5.1", "MAIL comes first") };
        if mail.content.is_some() {
            return self.err(503, "5.5.1", "The message has begun already");
        }
        if mail.recipients.len() >= self.limits.recipients {
            return self.err(452, "4.5.3", "Too many recipients: send the message again to the others");
        }
        if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
            return self.err(555, "5.5.4", "This parameter is not supported");
        }
        if !mail.utf8 && !to.address.is_ascii() {
            return self.err(553, "5.6.7", "This address needs SMTPUTF8");
        }
        let address = to.address.into_owned();
        self.begin(Busy::Check(address.clone()), Effect::Check(address))
    }

    fn data(&mut self) -> Option<Effect> {
        match &self.mail {
            None => self.err(503, "5.5.1", "MAIL comes first"),
            Some(mail) if mail.content.is_some() => self.err(503, "5.5.1", "The message comes in chunks"),
            Some(mail) if mail.recipients.is_empty() => {
                self.err(554, "5.5.1", "Nobody would get the message")
            }
            Some(_) => {
                self.output.extend_from_slice(b"354 Go on, and end with a dot on a line of its own\r\n");
                self.state = State::Data(Content::new(&self.limits));
                None
            }
        }
    }

    fn begin_chunk(&mut self, size: usize, last: bool) -> Option<Effect> {
        // RFC 3030, section 2: the chunk follows in any case. One that is not wanted is read and thrown away.
        self.state = State::Chunk { left: size, last };
        let limits = &self.limits;
        if let Some(mail) = self.mail.as_mut().filter(|mail| !mail.recipients.is_empty()) {
            mail.content.get_or_insert_with(|| Content::new(limits));
        }
        None
    }

    fn chunk(&mut self, size: usize, last: bool) -> Option<Effect> {
        let content = self.mail.as_mut().and_then(|mail| if last { mail.content.take() } else { None });
        match (&self.mail, content) {
            (_, Some(content)) => self.message(content),
            (Some(mail), None) if mail.content.is_some() => {
                self.say(250, "2.0.0", &format!("{size} bytes more"))
            }
            (Some(_), None) => self.err(554, "5.5.1", "Nobody would get the message"),
            (None, None) => self.err(503, "5.5.1", "MAIL comes first"),
        }
    }

    fn message(&mut self, content: Content) -> Option<Effect> {
        let mail = self.mail.take()?;
        self.messages += 1;
        let message = match content.finish() {
            Ok(message) => message,
            Err(problem) => {
                let (code, status) = problem.code();
                return self.err(code, status, &problem.to_string());
            }
        };
        let envelope = Envelope {
            client: self.client.clone().unwrap_or_default(),
            peer: self.peer,
            user: self.user.clone(),
            secure: self.secure,
            from: mail.from,
            recipients: mail.recipients,
            message,
        };
        self.begin(Busy::Deliver, Effect::Deliver(envelope))
    }

    fn takes_auth(&self) -> bool {
        self.offer.auth && (self.secure || self.offer.auth_in_the_clear)
    }

    fn auth(&mut self, mechanism: u64, initial: &str) -> Option<Effect> {
        if self.client.is_none() || self.user.is_some() || self.mail.is_some() {
            return self.err(503, "5.5.1", "This is not the moment to log in");
        }
        if !self.takes_auth() {
            return match self.offer.auth {
                true => self.err(538, "5.7.11", "Passwords are taken inside TLS only: STARTTLS comes first"),
                false => self.err(502, "5.5.1", "This server has no users"),
            };
        }
        let sasl = match mechanism {
            AUTH_PLAIN => Sasl::Plain,
            AUTH_LOGIN => Sasl::LoginName,
            _ => return self.err(504, "5.5.4", "PLAIN and LOGIN are supported"),
        };
        if !initial.is_empty() {
            // RFC 4954, section 4: "=" is an empty one.
            let initial = if initial == "=" { "" } else { initial };
            return self.sasl(sasl, initial.as_bytes());
        }
        let prompt: &[u8] = match sasl {
            Sasl::LoginName => b"334 VXNlcm5hbWU6\r\n",
            _ => b"334 \r\n",
        };
        self.output.extend_from_slice(prompt);
        self.state = State::Sasl(sasl);
        None
    }

    fn sasl(&mut self, sasl: Sasl, response: &[u8]) -> Option<Effect> {
        if response == b"*" {
            return self.err(501, "5.7.0", "As you like");
        }
        let text = STANDARD.decode(response).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text else { return self.err(501, "5.5.2", "That is not BASE64 of text") };
        match sasl {
            Sasl::Plain => {
                // RFC 4616: authorization identity, authentication identity, password.
                let mut parts = text.split('\0');
                match (parts.next(), parts.next(), parts.next(), parts.next()) {
                    (Some(other), Some(user), Some(password), None) if other.is_empty() || other == user => {
                        self.log_in(user.to_owned(), password.to_owned())
                    }
                    _ => self.err(535, "5.7.8", "That is not a name and a password"),
                }
            }
            Sasl::LoginName => {
                self.output.extend_from_slice(b"334 UGFzc3dvcmQ6\r\n");
                self.state = State::Sasl(Sasl::LoginPassword(text));
                None
            }
            Sasl::LoginPassword(user) => self.log_in(user, text),
        }
    }

    fn log_in(&mut self, user: String, password: String) -> Option<Effect> {
        self.begin(Busy::LogIn(user.clone()), Effect::LogIn { user, password })
    }

    fn start_tls(&mut self) -> Option<Effect> {
        if !self.offer.tls {
            return self.err(502, "5.5.1", "This server has no certificate");
        }
        if self.secure {
            return self.err(503, "5.5.1", "The connection is inside TLS already");
        }
        if !self.input.is_empty() {
            // What is said before the handshake could be anybody's.
            self.error(503, "5.5.1", "Nothing may follow STARTTLS before the handshake");
            self.closing = true;
            return None;
        }
        self.say(220, "2.0.0", "Go on with the handshake");
        self.begin(Busy::Tls, Effect::StartTls)
    }

    fn not_understood(&mut self, error: &SyntaxError) -> Option<Effect> {
        match error {
            SyntaxError::UnknownCommand => self.err(500, "5.5.2", "This command is not understood"),
            SyntaxError::InvalidSenderAddress => self.err(553, "5.1.7", "This is no address of a sender"),
            SyntaxError::InvalidRecipientAddress => self.err(553, "5.1.3", "This is no address"),
            SyntaxError::SyntaxError { syntax } => self.err(501, "5.5.4", &format!("Say {syntax}")),
            SyntaxError::InvalidParameter { param } => {
                self.err(501, "5.5.4", &format!("The parameter {param} is not understood"))
            }
            SyntaxError::UnsupportedParameter { .. } => {
                self.err(555, "5.5.4", "This parameter is not supported")
            }
            _ => self.err(501, "5.5.4", "This is not understood"),
        }
    }

    fn begin(&mut self, busy: Busy, effect: Effect) -> Option<Effect> {
        self.state = State::Busy(busy);
        Some(effect)
    }

    fn say(&mut self, code: u16, status: &str, text: &str) -> Option<Effect> {
        self.reply(code, status, text);
        None
    }

    fn err(&mut self, code: u16, status: &str, text: &str) -> Option<Effect> {
        self.error(code, status, text);
        None
    }

    /// Says no, and counts it: who only makes mistakes is sent away.
    fn error(&mut self, code: u16, status: &str, text: &str) {
        self.reply(code, status, &sentence(text));
        self.errors += 1;
        if self.errors >= self.limits.errors {
            self.close("Too many errors: goodbye");
        }
    }

    fn reply(&mut self, code: u16, status: &str, text: &str) {
        self.output.extend(format!("{code} {status} {text}\r\n").into_bytes());
    }
}

/// With a capital, and without anything that would end the line.
fn sentence(text: &str) -> String {
    let mut characters = text.chars().filter(|character| !character.is_control());
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
