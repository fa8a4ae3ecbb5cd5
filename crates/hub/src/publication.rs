//! A publication, and how it lies in a store's record.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::identity::ClientInfo;
use crate::store::Record;

/// The tag with the offset of the publication that this one edits.
pub(crate) const EDITS: &str = "edits";
/// The tag with the offset of the publication that this one deletes.
pub(crate) const DELETES: &str = "deletes";
/// The tag, in history, with the offset of the newest edit of this publication.
pub(crate) const EDITED: &str = "edited";
/// The tag, in history, with the offset of what deleted this publication.
pub(crate) const DELETED: &str = "deleted";
/// The tag of what is passed on and not kept.
pub(crate) const SIGNAL: &str = "signal";
/// The tag with the id that the publisher gave.
pub(crate) const ID: &str = "id";

/// Whether programs may not set this tag themselves.
pub(crate) fn is_reserved(tag: &str) -> bool {
    [EDITS, DELETES, EDITED, DELETED, SIGNAL, ID].contains(&tag)
}

/// Bytes that tags take in memory, about.
pub(crate) fn tags_size(tags: &BTreeMap<String, String>) -> usize {
    tags.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
}

/// Who is behind a publication, as far as ids and rights go: a program by the HTTP API, or a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Author {
    Program,
    User(String),
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    /// Its place in the room; zero for what is not kept.
    pub(crate) offset: u64,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) data: Bytes,
    /// None for a program.
    pub(crate) info: Option<Arc<ClientInfo>>,
    /// The id that the publisher gave; empty for none.
    pub(crate) id: String,
    /// All others than the id.
    pub(crate) tags: BTreeMap<String, String>,
    /// The publications that edit this one.
    pub(crate) edits: Vec<u64>,
}

impl Publication {
    pub(crate) fn author(&self) -> Author {
        self.info.as_ref().map_or(Author::Program, |info| Author::User(info.user.clone()))
    }

    /// Bytes that it takes in memory, about; not less than its record has.
    pub(crate) fn size(&self) -> usize {
        let Self { offset: _, time: _, data, info, id, tags, edits } = self;
        let info = info.as_ref().map_or(0, |info| info.size());
        size_of::<Self>() + data.len() + info + id.len() + tags_size(tags) + size_of::<u64>() * edits.len()
    }

    /// The same without what it said.
    pub(crate) fn without_data(&self) -> Self {
        Self { data: Bytes::from_static(b"null"), ..self.clone() }
    }

    /// The same without what it said, because the publication at `by` deleted it.
    pub(crate) fn redacted(&self, by: u64) -> Self {
        let mut redacted = self.without_data();
        redacted.tags.insert(DELETED.into(), by.to_string());
        redacted
    }

    /// The same, marked as edited by the publication at `by`.
    pub(crate) fn edited(&self, by: u64) -> Self {
        let mut edited = self.clone();
        edited.tags.insert(EDITED.into(), by.to_string());
        edited.edits.push(by);
        edited
    }

    /// As it is stored.
    pub(crate) fn to_record(&self) -> Record {
        let Self { offset, time, data, info, id, tags, edits } = self;
        let mut body = Writer(Vec::with_capacity(64 + data.len()));
        body.0.push(VERSION);
        body.number(*time);
        match info {
            None => body.number(0),
            Some(info) => {
                body.number(if info.conn_info.is_some() { 2 } else { 1 });
                body.bytes(info.user.as_bytes());
                body.bytes(info.client.as_bytes());
                if let Some(conn_info) = &info.conn_info {
                    body.bytes(conn_info);
                }
            }
        }
        body.bytes(id.as_bytes());
        body.number(tags.len() as u64);
        for (name, value) in tags {
            body.bytes(name.as_bytes());
            body.bytes(value.as_bytes());
        }
        body.number(edits.len() as u64);
        for edit in edits {
            body.number(*edit);
        }
        body.bytes(data);
        Record { offset: *offset, body: body.0.into() }
    }

    /// From how it is stored. `None` when that was not written by [`to_record`](Self::to_record) of this version or an
    /// earlier one.
    pub(crate) fn from_record(record: &Record) -> Option<Self> {
        let mut body = Reader(record.body.clone());
        if body.byte()? != VERSION {
            return None;
        }
        let time = body.number()?;
        let info = match body.number()? {
            0 => None,
            has_info @ (1 | 2) => Some(Arc::new(ClientInfo {
                user: body.text()?,
                client: body.text()?,
                conn_info: if has_info == 2 { Some(body.bytes()?) } else { None },
            })),
            _ => return None,
        };
        let id = body.text()?;
        let mut tags = BTreeMap::new();
        for _ in 0..body.number()? {
            tags.insert(body.text()?, body.text()?);
        }
        let mut edits = Vec::new();
        for _ in 0..body.number()? {
            edits.push(body.number()?);
        }
        let data = body.bytes()?;
        // The record may be a part of a large buffer of the store's; what stays in memory is only what is needed.
        let data = Bytes::copy_from_slice(&data);
        body.0.is_empty().then_some(Self { offset: record.offset, time, data, info, id, tags, edits })
    }
}

/// Of the form below: numbers as LEB128, texts and bytes with their length before them.
const VERSION: u8 = 1;

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

struct Reader(Bytes);

impl Reader {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.0.first()?;
        let _ = self.0.split_to(1);
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Share;
    use crate::message::Draft;

    fn publications() -> impl Strategy<Value = Publication> {
        let info = prop::option::of((".*", ".*", prop::option::of(".*")).prop_map(|(user, client, info)| {
            Arc::new(ClientInfo { user, client, conn_info: info.map(Bytes::from) })
        }));
        let tags = prop::collection::btree_map(".*", ".*", 0..4);
        let edits = prop::collection::vec(any::<u64>(), 0..4);
        (any::<u64>(), any::<u64>(), ".*", info, ".*", tags, edits).prop_map(
            |(offset, time, data, info, id, tags, edits)| Publication {
                offset,
                time,
                data: data.into(),
                info,
                id,
                tags,
                edits,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(publication in publications()) {
            prop_assert_eq!(Publication::from_record(&publication.to_record()), Some(publication));
        }

        #[test]
        fn a_record_is_not_longer_than_its_publication_is_counted(publication in publications()) {
            let record = publication.to_record();
            prop_assert!(record.body.len() <= publication.size());
            let Publication { info, id, data, tags, .. } = publication.clone();
            let draft = Draft { author: publication.author(), info, id, data, tags, share: Share::default() };
            let new = Publication { edits: Vec::new(), ..publication };
            prop_assert!(new.to_record().body.len() <= draft.size());
        }

        #[test]
        fn any_bytes_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Publication::from_record(&Record { offset: 1, body: body.into() });
        }

        #[test]
        fn a_cut_record_is_not_read(publication in publications(), cut in any::<prop::sample::Index>()) {
            let mut record = publication.to_record();
            record.body.truncate(cut.index(record.body.len()));
            prop_assert_eq!(Publication::from_record(&record), None);
        }
    }
}
