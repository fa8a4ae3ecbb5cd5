//! Tokens: JSON Web Tokens (RFC 7519), as Centrifugo's clients bring them, for a connection and for single rooms.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use host::WallTime;
use hub::document::{Access, Rights};
use hub::{AuthError, Authenticator, Identity, Permit};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

/// Whose signatures are trusted. Where nothing is, there are no tokens, and anybody may come.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// A secret that we share with whoever signs (HS256, HS384, HS512).
    pub secret: Option<String>,
    /// The public key of whoever signs, in PEM (RS256, RS384, RS512).
    pub rsa_public_key: Option<String>,
    /// The same for ES256 and ES384.
    pub ecdsa_public_key: Option<String>,
    /// Keys that change: for tokens that name the one that they were signed with.
    pub key_set: Option<KeySet>,
    /// For whom tokens must be (`aud`).
    pub audience: Option<String>,
    /// By whom tokens must be (`iss`).
    pub issuer: Option<String>,
}

/// The public keys of whoever signs (RFC 7517), as they are at the moment, by their names. All who hold it see the same.
#[derive(Clone, Default)]
pub struct KeySet(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: RwLock<BTreeMap<String, Jwk>>,
    missed: Notify,
}

/// A key that is none.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} is not understood: {error}")]
pub struct KeyError {
    kind: &'static str,
    error: jsonwebtoken::errors::Error,
}

impl KeySet {
    /// Takes the place of all keys. Returns how many of them can be used.
    ///
    /// # Errors
    ///
    /// When `document` is no key set; then all keys stay.
    pub fn replace(&self, document: &[u8]) -> Result<usize, serde_json::Error> {
        let set: JwkSet = serde_json::from_slice(document)?;
        let usable = set.keys.into_iter().filter(Jwk::is_supported);
        let keys: BTreeMap<String, Jwk> =
            usable.filter_map(|key| Some((key.common.key_id.clone()?, key))).collect();
        let count = keys.len();
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(count)
    }

    /// Ready when a token came whose key is not there.
    pub async fn missed(&self) {
        self.0.missed.notified().await;
    }

    fn find(&self, name: &str) -> Result<Jwk, AuthError> {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).cloned().ok_or_else(|| {
            self.0.missed.notify_one();
            AuthError::Unknown
        })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_set().entries(keys.keys()).finish()
    }
}

impl Tokens {
    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        let Self { secret, rsa_public_key, ecdsa_public_key, key_set, audience: _, issuer: _ } = self;
        secret.is_none() && rsa_public_key.is_none() && ecdsa_public_key.is_none() && key_set.is_none()
    }

    /// Who checks tokens.
    ///
    /// # Errors
    ///
    /// When a key is none.
    pub(crate) fn verifier(&self) -> Result<Verifier, KeyError> {
        let rsa = self.rsa_public_key.as_ref().map(|key| DecodingKey::from_rsa_pem(key.as_bytes()));
        let ecdsa = self.ecdsa_public_key.as_ref().map(|key| DecodingKey::from_ec_pem(key.as_bytes()));
        let named = |kind| move |error| KeyError { kind, error };
        Ok(Verifier {
            secret: self.secret.as_ref().map(|secret| DecodingKey::from_secret(secret.as_bytes())),
            rsa: rsa.transpose().map_err(named("RSA public key"))?,
            ecdsa: ecdsa.transpose().map_err(named("ECDSA public key"))?,
            key_set: self.key_set.clone(),
            audience: self.audience.clone(),
            issuer: self.issuer.clone(),
        })
    }
}

/// Checks tokens.
pub(crate) struct Verifier {
    secret: Option<DecodingKey>,
    rsa: Option<DecodingKey>,
    ecdsa: Option<DecodingKey>,
    key_set: Option<KeySet>,
    audience: Option<String>,
    issuer: Option<String>,
}

/// Claims that say when a token is good.
#[derive(Deserialize)]
struct Times {
    /// Not good from this second on.
    exp: Option<u64>,
    /// Not good before this second.
    nbf: Option<u64>,
    /// When what the token allows is over, if that is not when the token is; zero for never.
    expire_at: Option<u64>,
}

/// What a token for a connection says.
#[derive(Deserialize)]
struct Connection {
    #[serde(flatten)]
    times: Times,
    /// The user.
    #[serde(default)]
    sub: String,
    /// What others see of the connection.
    info: Option<serde_json::Value>,
    /// Rooms that the connection is in from its start.
    #[serde(default)]
    channels: Vec<String>,
    /// What it may do with documents: `none`, `read` or `write`, by name, or by the beginning of names with `*` behind it.
    documents: Option<BTreeMap<String, DocumentAccess>>,
    /// The same, with what is to be told of each.
    #[serde(default)]
    subs: BTreeMap<String, serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DocumentAccess {
    None,
    Read,
    Write,
}

impl From<DocumentAccess> for Access {
    fn from(access: DocumentAccess) -> Self {
        match access {
            DocumentAccess::None => Self::None,
            DocumentAccess::Read => Self::Read,
            DocumentAccess::Write => Self::Write,
        }
    }
}

/// What a token for a room says.
#[derive(Deserialize)]
struct Subscription {
    #[serde(flatten)]
    times: Times,
    /// The user.
    #[serde(default)]
    sub: String,
    /// The room.
    channel: String,
}

impl Verifier {
    /// The claims of a token whose signature is good.
    fn claims<T: DeserializeOwned>(&self, token: &str) -> Result<T, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        let mut validation = Validation::new(header.alg);
        // The library would ask the real clock; ours is the host's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = self.audience.is_some();
        validation.required_spec_claims.clear();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let named = self.key_set.as_ref().zip(header.kid.as_deref());
        let from_set;
        let key = match named {
            Some((keys, name)) => {
                let key = keys.find(name)?;
                let is_meant = |algorithm| algorithm == header.alg;
                if key.common.key_algorithm.is_some_and(|meant| !is_named(meant, is_meant)) {
                    return Err(AuthError::Invalid);
                }
                from_set = DecodingKey::from_jwk(&key).map_err(|_| AuthError::Invalid)?;
                // A public key must not be taken for a shared secret.
                (header.alg.family() != AlgorithmFamily::Hmac).then_some(&from_set)
            }
            None => match header.alg.family() {
                AlgorithmFamily::Hmac => self.secret.as_ref(),
                AlgorithmFamily::Rsa => self.rsa.as_ref(),
                AlgorithmFamily::Ec => self.ecdsa.as_ref(),
                _ => None,
            },
        };
        let key = key.ok_or(AuthError::Invalid)?;
        let decoded = jsonwebtoken::decode::<T>(token, key, &validation);
        decoded.map(|decoded| decoded.claims).map_err(|_| AuthError::Invalid)
    }
}

/// Whether a key's algorithm is the one that `is_meant`.
fn is_named(key: jsonwebtoken::jwk::KeyAlgorithm, is_meant: impl Fn(Algorithm) -> bool) -> bool {
    key.to_string().parse().is_ok_and(is_meant)
}

impl Times {
    /// Until when what the token allows lasts, if the token is good.
    fn check(&self, wall: WallTime) -> Result<Option<WallTime>, AuthError> {
        let now = wall.unix_seconds();
        if self.nbf.is_some_and(|start| now < start) {
            return Err(AuthError::Invalid);
        }
        if self.exp.is_some_and(|end| now >= end) {
            return Err(AuthError::Expired);
        }
        let end = match self.expire_at {
            Some(0) => None,
            Some(end) => Some(end),
            None => self.exp,
        };
        Ok(end.map(|end| WallTime::from_unix_millis(end.saturating_mul(1000))))
    }
}

impl Authenticator for Verifier {
    fn connect(&mut self, wall: WallTime, token: &str) -> Result<Identity, AuthError> {
        let Connection { times, sub, info, mut channels, subs, documents } = self.claims(token)?;
        let expires = times.check(wall)?;
        channels.extend(subs.into_keys());
        let info = info.map(|info| info.to_string().into());
        let documents = documents.map_or_else(Rights::default, |rules| {
            Rights::new(rules.into_iter().map(|(name, access)| (name, access.into())))
        });
        Ok(Identity { user: sub, info, expires, channels, documents })
    }

    fn subscribe(&mut self, wall: WallTime, token: &str) -> Result<Permit, AuthError> {
        let Subscription { times, sub, channel } = self.claims(token)?;
        Ok(Permit { user: sub, channel, expires: times.check(wall)? })
    }
}

#[cfg(test)]
mod tests;
