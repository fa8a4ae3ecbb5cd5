//! Tokens: JSON Web Tokens (RFC 7519) signed with a shared secret (HS256), as Centrifugo's clients bring them.

use host::WallTime;
use hub::{AuthError, Authenticator, Identity};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Trusts tokens that are signed with one secret.
pub(crate) struct TokenSecret {
    key: DecodingKey,
    validation: Validation,
}

/// The claims that we read.
#[derive(Deserialize)]
struct Claims {
    /// The user.
    #[serde(default)]
    sub: String,
    /// Not good from this second on.
    exp: Option<u64>,
    /// Not good before this second.
    nbf: Option<u64>,
    /// What others see of the connection.
    info: Option<Box<RawValue>>,
    /// Rooms that the connection is in from its start.
    #[serde(default)]
    channels: Vec<String>,
}

impl TokenSecret {
    pub(crate) fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would ask the real clock; ours is the host's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self { key: DecodingKey::from_secret(secret.as_bytes()), validation }
    }
}

impl Authenticator for TokenSecret {
    fn connect(&mut self, wall: WallTime, token: &str) -> Result<Identity, AuthError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| AuthError::Invalid)?
            .claims;
        let now = wall.unix_seconds();
        if claims.nbf.is_some_and(|start| now < start) {
            return Err(AuthError::Invalid);
        }
        if claims.exp.is_some_and(|end| now >= end) {
            return Err(AuthError::Expired);
        }
        Ok(Identity {
            user: claims.sub,
            info: claims.info.map(|info| String::from(Box::<str>::from(info)).into()),
            expires: claims.exp.map(|end| WallTime::from_unix_millis(end.saturating_mul(1000))),
            channels: claims.channels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header};

    fn token(algorithm: Algorithm, secret: &str, claims: &str) -> String {
        let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret.as_bytes()))
            .unwrap()
    }

    #[test]
    fn a_token_names_its_bearer() {
        let claims = r#"{"sub": "ada", "exp": 100, "info": {"name": "Ada"}, "channels": ["lobby"]}"#;
        let good = token(Algorithm::HS256, "secret", claims);
        let mut trusting = TokenSecret::new("secret");
        let identity = trusting.connect(WallTime::from_unix_millis(99_999), &good).unwrap();
        assert_eq!(identity.user, "ada");
        assert_eq!(identity.info.as_deref(), Some(br#"{"name":"Ada"}"#.as_slice()));
        assert_eq!(identity.channels, ["lobby"]);
        assert_eq!(trusting.connect(WallTime::from_unix_millis(100_000), &good), Err(AuthError::Expired));
    }

    #[test]
    fn what_is_not_signed_with_the_secret_is_invalid() {
        let now = WallTime::from_unix_millis(0);
        let mut trusting = TokenSecret::new("secret");
        for forged in [
            String::new(),
            "a.b.c".into(),
            token(Algorithm::HS256, "other", r#"{"sub": "eve"}"#),
            token(Algorithm::HS512, "secret", r#"{"sub": "eve"}"#),
            // "alg": "none"
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUifQ.".into(),
            token(Algorithm::HS256, "secret", r#"{"sub": "early", "nbf": 5}"#),
        ] {
            assert_eq!(trusting.connect(now, &forged), Err(AuthError::Invalid), "{forged}");
        }
    }
}
