use jsonwebtoken::{EncodingKey, Header};

use super::*;

fn token(algorithm: Algorithm, secret: &str, claims: &str) -> String {
    signed(&Header::new(algorithm), &EncodingKey::from_secret(secret.as_bytes()), claims)
}

fn signed(header: &Header, key: &EncodingKey, claims: &str) -> String {
    let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
    jsonwebtoken::encode(header, &claims, key).unwrap()
}

fn trusting(tokens: Tokens) -> Verifier {
    tokens.verifier().unwrap()
}

fn of_secret() -> Tokens {
    Tokens { secret: Some("secret".into()), ..Tokens::default() }
}

const NOW: WallTime = WallTime::from_unix_millis(0);

#[test]
fn a_token_names_its_bearer() {
    let claims =
        r#"{"sub": "ada", "exp": 100, "info": {"name": "Ada"}, "channels": ["lobby"], "subs": {"hall": {}}}"#;
    let good = token(Algorithm::HS256, "secret", claims);
    let mut trusting = trusting(of_secret());
    let identity = trusting.connect(WallTime::from_unix_millis(99_999), &good).unwrap();
    assert_eq!(identity.user, "ada");
    assert_eq!(identity.info.as_deref(), Some(br#"{"name":"Ada"}"#.as_slice()));
    assert_eq!(identity.channels, ["lobby", "hall"]);
    assert_eq!(identity.expires, Some(WallTime::from_unix_millis(100_000)));
    assert_eq!(trusting.connect(WallTime::from_unix_millis(100_000), &good), Err(AuthError::Expired));
}

#[test]
fn what_a_token_allows_may_last_longer_than_the_token() {
    let mut trusting = trusting(of_secret());
    let mut end = |claims| trusting.connect(NOW, &token(Algorithm::HS512, "secret", claims)).unwrap().expires;
    assert_eq!(end(r#"{"exp": 5, "expire_at": 9}"#), Some(WallTime::from_unix_millis(9000)));
    assert_eq!(end(r#"{"exp": 5, "expire_at": 0}"#), None);
    assert_eq!(end("{}"), None);
}

#[test]
fn what_is_not_signed_with_the_secret_is_invalid() {
    let mut trusting = trusting(of_secret());
    for forged in [
        String::new(),
        "a.b.c".into(),
        token(Algorithm::HS256, "other", r#"{"sub": "eve"}"#),
        // "alg": "none"
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUifQ.".into(),
        token(Algorithm::HS256, "secret", r#"{"sub": "early", "nbf": 5}"#),
        token(Algorithm::HS256, "secret", r#"{"sub": 7}"#),
    ] {
        assert_eq!(trusting.connect(NOW, &forged), Err(AuthError::Invalid), "{forged}");
        assert_eq!(trusting.subscribe(NOW, &forged), Err(AuthError::Invalid), "{forged}");
    }
}

#[test]
fn a_token_for_a_room_names_the_room() {
    let mut trusting = trusting(of_secret());
    let good = token(Algorithm::HS256, "secret", r#"{"sub": "ada", "channel": "$a", "exp": 7}"#);
    let expires = Some(WallTime::from_unix_millis(7000));
    let permit = Permit { user: "ada".into(), channel: "$a".into(), expires };
    assert_eq!(trusting.subscribe(NOW, &good), Ok(permit));
    let connection = token(Algorithm::HS256, "secret", r#"{"sub": "ada"}"#);
    assert_eq!(trusting.subscribe(NOW, &connection), Err(AuthError::Invalid), "it names none");
}

#[test]
fn audience_and_issuer_must_be_those_asked_for() {
    let tokens = Tokens { audience: Some("us".into()), issuer: Some("them".into()), ..of_secret() };
    let mut trusting = trusting(tokens);
    for (claims, is_good) in [
        (r#"{"aud": "us", "iss": "them"}"#, true),
        (r#"{"aud": ["you", "us"], "iss": "them"}"#, true),
        (r#"{"aud": "you", "iss": "them"}"#, false),
        (r#"{"aud": "us", "iss": "you"}"#, false),
        (r#"{"aud": "us"}"#, false),
        (r#"{"iss": "them"}"#, false),
    ] {
        let token = token(Algorithm::HS256, "secret", claims);
        assert_eq!(trusting.connect(NOW, &token).is_ok(), is_good, "{claims}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let tokens = Tokens { ecdsa_public_key: Some(PUBLIC.into()), ..Tokens::default() };
    let mut trusting = trusting(tokens);
    let good = signed(
        &Header::new(Algorithm::ES256),
        &EncodingKey::from_ec_pem(PRIVATE.as_bytes()).unwrap(),
        r#"{"sub": "ada"}"#,
    );
    assert_eq!(trusting.connect(NOW, &good).unwrap().user, "ada");
    let forged = token(Algorithm::HS256, PUBLIC, r#"{"sub": "eve"}"#);
    assert_eq!(trusting.connect(NOW, &forged), Err(AuthError::Invalid));
    assert!(Tokens { rsa_public_key: Some(PUBLIC.into()), ..Tokens::default() }.verifier().is_err());
}

#[test]
fn keys_of_a_set_come_and_go() {
    let key_set = KeySet::default();
    let mut trusting = trusting(Tokens { key_set: Some(key_set.clone()), ..of_secret() });
    let key = EncodingKey::from_ec_pem(PRIVATE.as_bytes()).unwrap();
    let header = Header { kid: Some("first".into()), ..Header::new(Algorithm::ES256) };
    let good = signed(&header, &key, r#"{"sub": "ada"}"#);
    assert_eq!(trusting.connect(NOW, &good), Err(AuthError::Unknown), "it may yet come");
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("first".into());
    let document = serde_json::to_vec(&JwkSet { keys: vec![jwk] }).unwrap();
    assert_eq!(key_set.replace(&document).unwrap(), 1);
    assert_eq!(trusting.connect(NOW, &good).unwrap().user, "ada");
    let forged = Header { kid: Some("first".into()), ..Header::new(Algorithm::HS256) };
    let forged = signed(&forged, &EncodingKey::from_secret(b"secret"), r#"{"sub": "eve"}"#);
    assert_eq!(trusting.connect(NOW, &forged), Err(AuthError::Invalid));
    assert!(key_set.replace(b"nonsense").is_err());
    assert!(trusting.connect(NOW, &good).is_ok(), "all keys stay");
    key_set.replace(b"{\"keys\": []}").unwrap();
    assert_eq!(trusting.connect(NOW, &good), Err(AuthError::Unknown));
    let unnamed = token(Algorithm::HS256, "secret", r#"{"sub": "bob"}"#);
    assert_eq!(trusting.connect(NOW, &unnamed).unwrap().user, "bob");
}

/// A key that signs nothing but this.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgg3RsEnK+RsUtJN0msWFmJDvojnC6MREqp98B1o0XkWmhRANCAARa4MHVlIPqJQ2ifY7hLxjzst8KNKRRHTrSdTTQEZRcxPWY/beZE2vNZ16BkmpnwcveftEwa5BcWwI0m9dVi7ZF\n-----END PRIVATE KEY-----\n";

const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWuDB1ZSD6iUNon2O4S8Y87LfCjSkUR060nU00BGUXMT1mP23mRNrzWdegZJqZ8HL3n7RMGuQXFsCNJvXVYu2RQ==\n-----END PUBLIC KEY-----\n";
