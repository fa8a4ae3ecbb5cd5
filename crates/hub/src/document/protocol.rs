//! The messages of y-protocols in the two envelopes that clients put them in: y-websocket's, where a connection is one
//! document, and Hocuspocus's, where each message begins with the document's name and more kinds of message exist.

use bytes::Bytes;

use super::lib0::{Malformed, Reader, Writer};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// Sync step 1: what the client has, as a state vector. It asks for the rest.
    Step1(&'a [u8]),
    /// Sync step 2: an update with what we lack of the client's, to our own step 1.
    Step2(&'a [u8]),
    /// An update.
    Update(&'a [u8]),
    /// States of awareness: [`awareness`](super::awareness) reads them.
    Awareness(&'a [u8]),
    /// Asks for all states of awareness.
    QueryAwareness,
    /// Hocuspocus: who the client is.
    Token(&'a str),
    /// Hocuspocus: words for the server's program, of which there is none here.
    Stateless,
    /// Hocuspocus: no more of this document.
    Close,
    /// Hocuspocus: is anybody there? (A sign of life either way.)
    Ping,
    Pong,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Sync step 1: what we have.
    Step1(Bytes),
    /// Sync step 2: what the client asked for.
    Step2(Bytes),
    Update(Bytes),
    Awareness(Bytes),
    /// The client may not do what it tried, or not come in.
    Denied(&'static str),
    /// Hocuspocus: the token is good, for this.
    Authenticated(&'static str),
    /// Hocuspocus: the token is needed once more.
    TokenWanted,
    /// Hocuspocus: one update is stored, or is not going to be.
    SyncStatus(bool),
    /// Hocuspocus: no more of this document.
    Close(&'static str),
}

/// The kinds of message, by number.
const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;
const SYNC_REPLY: u64 = 4;
const STATELESS: u64 = 5;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;
const PING: u64 = 9;
const PONG: u64 = 10;

/// The kinds of sync message.
const STEP1: u64 = 0;
const STEP2: u64 = 1;
const UPDATE: u64 = 2;

/// The kinds of auth message.
const TOKEN: u64 = 0;
const PERMISSION_DENIED: u64 = 0;
const PERMISSION_DENIED_IN_HOCUSPOCUS: u64 = 1;
const AUTHENTICATED: u64 = 2;

/// Reads a message of a y-websocket client.
pub(crate) fn decode(message: &[u8]) -> Result<Incoming<'_>, Malformed> {
    let mut reader = Reader::new(message);
    match reader.number()? {
        SYNC => sync(&mut reader),
        AWARENESS => Ok(Incoming::Awareness(reader.bytes()?)),
        QUERY_AWARENESS => Ok(Incoming::QueryAwareness),
        _ => Err(Malformed),
    }
}

/// Reads a message of a Hocuspocus client, and for which document it is: the client's own name for it, in full.
pub(crate) fn decode_hocuspocus(message: &[u8]) -> Result<(&str, Incoming<'_>), Malformed> {
    match *message {
        // No name is as short as that with something after it.
        [9] => return Ok(("", Incoming::Ping)),
        [10] => return Ok(("", Incoming::Pong)),
        _ => {}
    }
    let mut reader = Reader::new(message);
    let name = reader.text()?;
    let incoming = match reader.number()? {
        SYNC | SYNC_REPLY => sync(&mut reader)?,
        AWARENESS => Incoming::Awareness(reader.bytes()?),
        AUTH => match reader.number()? {
            // The version of the client's library follows in newer ones.
            TOKEN => Incoming::Token(reader.text()?),
            _ => return Err(Malformed),
        },
        QUERY_AWARENESS => Incoming::QueryAwareness,
        STATELESS => {
            reader.text()?;
            Incoming::Stateless
        }
        CLOSE => Incoming::Close,
        PING => Incoming::Ping,
        PONG => Incoming::Pong,
        _ => return Err(Malformed),
    };
    Ok((name, incoming))
}

fn sync<'a>(reader: &mut Reader<'a>) -> Result<Incoming<'a>, Malformed> {
    Ok(match reader.number()? {
        STEP1 => Incoming::Step1(reader.bytes()?),
        STEP2 => Incoming::Step2(reader.bytes()?),
        UPDATE => Incoming::Update(reader.bytes()?),
        _ => return Err(Malformed),
    })
}

impl Outgoing {
    /// For a y-websocket client; nothing, where it knows no such message.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let start = Writer::default();
        Some(match self {
            Self::Denied(reason) => start.number(AUTH).number(PERMISSION_DENIED).text(reason).done(),
            Self::Authenticated(_) | Self::TokenWanted | Self::SyncStatus(_) | Self::Close(_) => return None,
            Self::Step1(_) | Self::Step2(_) | Self::Update(_) | Self::Awareness(_) => {
                self.write(start).done()
            }
        })
    }

    /// For a Hocuspocus client that calls the document `name`.
    pub(crate) fn encode_hocuspocus(&self, name: &str) -> Bytes {
        self.write(Writer::default().text(name)).done()
    }

    fn write(&self, start: Writer) -> Writer {
        match self {
            Self::Step1(vector) => start.number(SYNC).number(STEP1).bytes(vector),
            Self::Step2(update) => start.number(SYNC).number(STEP2).bytes(update),
            Self::Update(update) => start.number(SYNC).number(UPDATE).bytes(update),
            Self::Awareness(states) => start.number(AWARENESS).bytes(states),
            Self::Denied(reason) => start.number(AUTH).number(PERMISSION_DENIED_IN_HOCUSPOCUS).text(reason),
            Self::Authenticated(scope) => start.number(AUTH).number(AUTHENTICATED).text(scope),
            Self::TokenWanted => start.number(AUTH).number(TOKEN),
            // The client reads a signed number: for zero and one the same.
            Self::SyncStatus(stored) => start.number(SYNC_STATUS).number(u64::from(*stored)),
            Self::Close(reason) => start.number(CLOSE).text(reason),
        }
    }
}

/// The answer to a ping that names no document.
pub(crate) const PONG_FRAME: &[u8] = &[PONG as u8];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send_is_understood() {
        assert_eq!(decode(&[0, 0, 1, 0]), Ok(Incoming::Step1(&[0])));
        assert_eq!(decode(&[0, 1, 2, 0, 0]), Ok(Incoming::Step2(&[0, 0])));
        assert_eq!(decode(&[0, 2, 2, 0, 0]), Ok(Incoming::Update(&[0, 0])));
        assert_eq!(decode(&[1, 1, 7]), Ok(Incoming::Awareness(&[7])));
        assert_eq!(decode(&[3]), Ok(Incoming::QueryAwareness));
        for malformed in [&[][..], &[0], &[0, 0, 2, 0], &[0, 3, 0], &[8, 1], &[77]] {
            assert_eq!(decode(malformed), Err(Malformed), "{malformed:?}");
        }
        assert_eq!(decode_hocuspocus(b"\x03doc\x00\x00\x01\x00"), Ok(("doc", Incoming::Step1(&[0]))));
        assert_eq!(
            decode_hocuspocus(b"\x03doc\x02\x00\x03key\x054.8.0"),
            Ok(("doc", Incoming::Token("key")))
        );
        assert_eq!(decode_hocuspocus(b"\x03doc\x07"), Ok(("doc", Incoming::Close)));
        assert_eq!(decode_hocuspocus(&[9]), Ok(("", Incoming::Ping)));
        assert_eq!(decode_hocuspocus(b"\x09doc"), Err(Malformed));
    }

    #[test]
    fn what_we_send_is_in_the_clients_envelope() {
        let update = Outgoing::Update(Bytes::from_static(&[0, 0]));
        assert_eq!(update.encode().as_deref(), Some(&[0, 2, 2, 0, 0][..]));
        assert_eq!(&update.encode_hocuspocus("doc")[..], b"\x03doc\x00\x02\x02\x00\x00");
        assert_eq!(&Outgoing::SyncStatus(true).encode_hocuspocus("d")[..], b"\x01d\x08\x01");
        assert_eq!(Outgoing::SyncStatus(true).encode(), None);
        assert_eq!(Outgoing::Denied("no").encode().as_deref(), Some(&b"\x02\x00\x02no"[..]));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let _ = decode_hocuspocus(&bytes);
        }
    }
}
