//! Who may come in by FTP and SMTP.

use std::fmt;

use sha2::{Digest, Sha256};

/// Somebody who may come in with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The rooms that are open to them: names, in which `*` stands for any characters.
    pub rooms: Vec<String>,
}

/// The users of a door, and whether others may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Those with a password.
    pub users: Vec<User>,
    /// Whether anybody may come in who reaches us. Those who reach a loopback address may where there are no users and no
    /// tokens.
    pub anonymous: bool,
}

/// Somebody who came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guest {
    pub(super) name: String,
    rooms: Vec<String>,
}

impl Access {
    /// Whether those without a password may come in, where the connection came to a `loopback` address, and clients of
    /// the other doors need `tokens` or not.
    pub(super) fn is_open(&self, loopback: bool, tokens: bool) -> bool {
        self.anonymous || loopback && !tokens && self.users.is_empty()
    }

    /// The user of that name and password.
    pub(super) fn user(&self, name: &str, password: &str) -> Option<Guest> {
        let user = self.users.iter().find(|user| user.name == name);
        // As long for a name that nobody has.
        let expected = user.map_or("", |user| user.password.as_str());
        let right = is_equal(password, expected) && !expected.is_empty();
        user.filter(|_| right).map(|user| Guest { name: user.name.clone(), rooms: user.rooms.clone() })
    }

    /// Somebody without a password.
    pub(super) fn anybody(name: &str) -> Guest {
        Guest { name: name.to_owned(), rooms: vec!["*".into()] }
    }
}

impl Guest {
    pub(super) fn may_use(&self, room: &str) -> bool {
        self.rooms.iter().any(|pattern| matches(pattern, room))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("User")
            .field("name", &self.name)
            .field("rooms", &self.rooms)
            .finish_non_exhaustive()
    }
}

/// Compares hashes, so that the time it takes says nothing about the password.
fn is_equal(given: &str, expected: &str) -> bool {
    let (given, expected) = (Sha256::digest(given), Sha256::digest(expected));
    given.iter().zip(expected.iter()).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

/// Whether `text` is what `pattern` describes; `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let Some(end) = parts.pop() else { return true };
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_rooms() {
        for (pattern, text) in
            [("*", ""), ("*", "lobby"), ("a*", "a"), ("a*c", "abc"), ("a*b*c", "aXbYc"), ("lobby", "lobby")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a*", "ba"), ("a*c", "ab"), ("a*a", "a"), ("a*b*c", "acb")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn users_come_in_with_their_password_and_others_where_it_is_open() {
        let ada = User { name: "ada".into(), password: "secret".into(), rooms: vec!["cam-*".into()] };
        let empty = User { name: "eve".into(), password: String::new(), rooms: vec!["*".into()] };
        let access = Access { users: vec![ada, empty], anonymous: false };
        let guest = access.user("ada", "secret").unwrap();
        assert!(guest.may_use("cam-1") && !guest.may_use("lobby"));
        assert_eq!(access.user("ada", "Secret"), None);
        assert_eq!(access.user("bob", ""), None);
        assert_eq!(access.user("eve", ""), None, "an empty password is none");
        assert!(!access.is_open(true, false), "there are users");
        let nobody = Access::default();
        assert!(nobody.is_open(true, false) && !nobody.is_open(true, true) && !nobody.is_open(false, false));
    }
}
