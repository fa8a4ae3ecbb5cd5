//! What the configuration file says of rooms, and of the tokens that open them.

use std::collections::BTreeMap;
use std::time::Duration;

use hub::{Durable, Right};
use serde::Deserialize;
use server::Tokens;

/// The bounds of rooms; what is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rooms {
    /// Publications that a room keeps.
    pub(super) history_size: Option<u64>,
    /// Bytes of one publication.
    pub(super) message_bytes: Option<usize>,
    /// Rooms that one connection may be in.
    pub(super) rooms_per_connection: Option<usize>,
    /// Connections that may be in one room.
    pub(super) connections_per_room: Option<usize>,
}

/// What holds for the rooms of one namespace; what is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Namespace {
    durable: Option<Durable>,
    history_size: Option<u64>,
    history_seconds: Option<u64>,
    subscribe: Option<Right>,
    publish: Option<Right>,
    history: Option<Right>,
    presence: Option<Right>,
    join_leave: Option<bool>,
    delta: Option<bool>,
}

/// Whose signatures are trusted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TokenFile {
    rsa_public_key: Option<String>,
    ecdsa_public_key: Option<String>,
    audience: Option<String>,
    issuer: Option<String>,
}

/// The namespace of rooms of no other.
const DEFAULT: &str = "default";

impl Rooms {
    /// Sets what is said.
    pub(super) fn apply(&self, hub: &mut hub::Config) {
        let Self { history_size, message_bytes, rooms_per_connection, connections_per_room } = *self;
        set(&mut hub.history.kept, history_size);
        set(&mut hub.limits.message_bytes, message_bytes);
        set(&mut hub.limits.rooms_per_session, rooms_per_connection);
        set(&mut hub.limits.sessions_per_room, connections_per_room);
    }
}

/// What holds for which rooms.
pub(super) fn namespaces(said: &BTreeMap<String, Namespace>) -> hub::Namespaces {
    let mut namespaces = hub::Namespaces::default();
    for (name, namespace) in said {
        if name == DEFAULT {
            namespaces.default = namespace.to_hub();
        } else {
            namespaces.named.insert(name.clone(), namespace.to_hub());
        }
    }
    namespaces
}

impl Namespace {
    fn to_hub(&self) -> hub::Namespace {
        let Self {
            durable,
            history_size,
            history_seconds,
            subscribe,
            publish,
            history,
            presence,
            join_leave,
            delta,
        } = *self;
        let mut namespace = hub::Namespace { kept: history_size, ..hub::Namespace::default() };
        namespace.age = history_seconds.map(Duration::from_secs);
        set(&mut namespace.durable, durable);
        set(&mut namespace.subscribe, subscribe);
        set(&mut namespace.publish, publish);
        set(&mut namespace.history, history);
        set(&mut namespace.presence, presence);
        set(&mut namespace.join_leave, join_leave);
        set(&mut namespace.delta, delta);
        namespace
    }
}

impl TokenFile {
    /// With a shared secret, wherever that was said.
    pub(super) fn tokens(self, secret: Option<String>) -> Tokens {
        let Self { rsa_public_key, ecdsa_public_key, audience, issuer } = self;
        Tokens { secret, rsa_public_key, ecdsa_public_key, key_set: None, audience, issuer }
    }
}

/// Sets what was said.
pub(super) fn set<T: Copy>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
