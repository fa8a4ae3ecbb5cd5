//! How a session comes to be, and who it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Local;
use super::entering::expiry;
use super::session::{Bucket, Joining, Place, Session, Stage};
use crate::centrifuge::{Connect, Connected, Disconnect, Message, Protocol, Reply, Subscribe, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::{Output, SessionId};
use crate::identity::{AuthError, ClientInfo, Identity};
use crate::json;

impl Local {
    /// A client's connection is open.
    pub(crate) fn connected(
        &mut self,
        id: SessionId,
        remote: SocketAddr,
        protocol: Protocol,
        name: Option<String>,
        context: &mut Context<'_>,
    ) {
        self.started.get_or_insert(context.now);
        context.counters.sessions_total += 1;
        let deadline = context.now + context.config.connect_timeout;
        let limits = &context.config.limits;
        let session = Session {
            id,
            remote,
            protocol,
            name,
            stage: Stage::New,
            info: Arc::default(),
            invitations: Vec::new(),
            subscriptions: Vec::new(),
            joining: None,
            pending: 0,
            commands: Bucket::full(limits.command_burst, context.now),
            signals: Bucket::full(limits.signals_per_second, context.now),
            deadline,
            ping_at: deadline,
            owes_pong: false,
            expires_at: None,
        };
        if let Some(forgotten) = self.sessions.insert(session) {
            self.forget(forgotten, context);
        }
    }

    /// The connect command.
    pub(super) fn connect(
        &mut self,
        session: SessionId,
        id: u32,
        request: &Connect<'_>,
        context: &mut Context<'_>,
    ) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        if found.stage != Stage::New {
            self.close(session, Disconnect::BAD_REQUEST, context);
            return;
        }
        let identity = match &mut self.authenticator {
            None => introduce(request, context),
            Some(authenticator) => match authenticator.connect(context.wall, &request.token) {
                Ok(identity) => Ok(identity),
                Err(AuthError::Expired) => Err(TOKEN_EXPIRED),
                Err(AuthError::Unknown) => Err(TOKEN_UNKNOWN),
                Err(AuthError::Invalid) => {
                    self.close(session, Disconnect::INVALID_TOKEN, context);
                    return;
                }
            },
        };
        match identity.and_then(|identity| check_expiry(identity, context)) {
            Ok(identity) => self.welcome(session, id, identity, request, context),
            Err(error) => self.refuse_connect(session, id, &error, context),
        }
    }

    fn welcome(
        &mut self,
        session: SessionId,
        id: u32,
        identity: Identity,
        request: &Connect<'_>,
        context: &mut Context<'_>,
    ) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        let Identity { user, info, expires, channels, documents: _ } = identity;
        let conn_info = info.and_then(|info| json::compact(&info, context.config.limits.json_depth));
        found.info = Arc::new(ClientInfo { client: new_client_id(context), user, conn_info });
        found.stage = Stage::Connected;
        context.output(Output::Identified { session, info: found.info.clone() });
        found.invitations = channels.clone();
        let interval = u64::try_from(context.config.ping_interval.as_nanos()).unwrap_or(u64::MAX);
        // Clients that came together are not pinged together.
        let wait = interval / 2 + context.random.below((interval / 2).max(1));
        found.ping_at = context.now + std::time::Duration::from_nanos(wait);
        let expires_in = found.expire(expires, context);
        let nothing = Subscribe::default();
        let mut wanted: BTreeMap<&str, &Subscribe<'_>> =
            channels.iter().map(|channel| (channel.as_str(), &nothing)).collect();
        wanted.extend(request.subs.iter().map(|(channel, subscribe)| (&**channel, subscribe)));
        found.joining = Some(Box::new(Joining {
            id,
            expires_in,
            missing: wanted.len(),
            subscribed: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
        }));
        self.sessions.reschedule(session);
        for (channel, subscribe) in wanted {
            if let Err(error) = self.enter(session, channel, subscribe, None, context) {
                self.refuse_connect(session, id, &error, context);
                return;
            }
        }
        self.join(session, context);
    }

    /// The refresh command: a new token for the same user.
    pub(super) fn refresh(&mut self, session: SessionId, id: u32, token: &str, context: &mut Context<'_>) {
        let Some(authenticator) = &mut self.authenticator else {
            let error = Error::new(codes::NOT_AVAILABLE, "there are no tokens here: nothing needs a refresh");
            self.refuse(session, id, &error, context);
            return;
        };
        let identity = authenticator.connect(context.wall, token);
        let Some(found) = self.sessions.get_mut(session) else { return };
        match identity.map(|identity| check_expiry(identity, context)) {
            Ok(Ok(identity)) if identity.user == found.info.user => {
                let expires_in = found.expire(identity.expires, context);
                let info = found.info.clone();
                self.sessions.reschedule(session);
                let version = &context.config.version;
                let refreshed = Reply::Refresh { client: &info.client, version, expires_in };
                self.send(session, &Message::Reply(id, refreshed), context);
            }
            Ok(Ok(_)) | Err(AuthError::Invalid) => self.close(session, Disconnect::INVALID_TOKEN, context),
            Ok(Err(error)) => self.refuse(session, id, &error, context),
            Err(AuthError::Expired) => self.refuse(session, id, &TOKEN_EXPIRED, context),
            Err(AuthError::Unknown) => self.refuse(session, id, &TOKEN_UNKNOWN, context),
        }
    }

    /// Answers the connect command, if all rooms have answered.
    pub(super) fn join(&mut self, session: SessionId, context: &mut Context<'_>) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        if found.joining.as_ref().is_none_or(|joining| joining.missing > 0) {
            return;
        }
        let Some(joining) = found.joining.take() else { return };
        for subscription in &found.subscriptions {
            if let Place::Listed(place) = subscription.place {
                self.subscribers.release(&subscription.channel, place);
            }
        }
        let name = found.name.take().unwrap_or_else(|| new_session_name(context));
        let connected = Connected {
            client: &found.info.client,
            version: &context.config.version,
            expires_in: joining.expires_in,
            ping: context.config.ping_interval.as_secs(),
            session: &name,
            node: &context.config.node,
            data: None,
            subs: &joining.subscribed,
        };
        found.invitations = Vec::new();
        let protocol = found.protocol;
        let message = protocol.encode(&Message::Reply(joining.id, Reply::Connect(connected)));
        context.send(session, protocol, &message);
        for message in joining.held {
            context.send(session, protocol, &message);
        }
    }

    /// Answers the connect command with an error; the client is to close the connection then.
    pub(super) fn refuse_connect(
        &mut self,
        session: SessionId,
        id: u32,
        error: &Error,
        context: &mut Context<'_>,
    ) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        found.stage = Stage::Refused;
        found.joining = None;
        let subscriptions = std::mem::take(&mut found.subscriptions);
        for subscription in subscriptions {
            self.leave(session, &subscription, context);
        }
        self.refuse(session, id, error, context);
    }
}

impl Session {
    /// Notes when the identity is over; returns how many seconds that is from now.
    pub(super) fn expire(&mut self, expires: Option<host::WallTime>, context: &Context<'_>) -> Option<u64> {
        let (over, expires_in) = expiry(expires, context);
        self.expires_at = over;
        expires_in
    }
}

/// What a client says of itself where nobody checks.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Introduction {
    name: Option<String>,
    key: Option<String>,
}

/// Takes a client at its word: development mode.
fn introduce(request: &Connect<'_>, context: &Context<'_>) -> Result<Identity, Error> {
    let Some(data) = &request.data else { return Ok(Identity::default()) };
    // What an application puts there for itself is none of our business.
    let Ok(Introduction { name, key }) = serde_json::from_slice(data) else {
        return Ok(Identity::default());
    };
    let limit = context.config.limits.info_bytes;
    let info = name.map(|name| {
        let mut info = b"{\"name\":".to_vec();
        json::string(&mut info, &name);
        info.push(b'}');
        Bytes::from(info)
    });
    if info.as_ref().is_some_and(|info| info.len() > limit) {
        return Err(Error::with(codes::LIMIT_EXCEEDED, format!("the name is longer than {limit} bytes")));
    }
    Ok(Identity { user: key.map(|key| pseudonym(&key)).unwrap_or_default(), info, ..Identity::default() })
}

/// The user id of whoever has this key: the same each time, and the key cannot be found from it.
fn pseudonym(key: &str) -> String {
    if key.is_empty() {
        return String::new();
    }
    let mut hash = Sha256::new();
    hash.update(b"fourwire user\0");
    hash.update(key.as_bytes());
    hex(&hash.finalize()[..10])
}

fn check_expiry(identity: Identity, context: &Context<'_>) -> Result<Identity, Error> {
    if identity.expires.is_some_and(|expires| expires <= context.wall) {
        return Err(TOKEN_EXPIRED);
    }
    Ok(identity)
}

pub(super) const TOKEN_EXPIRED: Error = Error::new(codes::TOKEN_EXPIRED, "token expired: ask for a new one");

pub(super) const TOKEN_UNKNOWN: Error =
    Error::new(codes::INTERNAL, "the token cannot be checked at the moment: try again");

/// A random UUID (RFC 9562, version 4).
fn new_client_id(context: &mut Context<'_>) -> String {
    let mut bytes = [0; 16];
    context.random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex).join("-")
}

fn new_session_name(context: &mut Context<'_>) -> String {
    let mut bytes = [0; 16];
    context.random.fill(&mut bytes);
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
