//! One document in the CRDT library (yrs), fenced in.
//!
//! The library panics on some updates that no library writes. A panic is caught here, and what is left of the document
//! is thrown away: its owner has everything in the store and makes it anew. Nothing of it reaches another document.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use host::Random;
use yrs::undo::UndoManager;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    Assoc, BranchID, ClientID, Doc, GetString, ID, IndexScope, OffsetKind, Options, Out, ReadTxn,
    StateVector, StickyIndex, Transact, Update,
};

use super::lib0::Malformed;
use super::nesting::Nesting;
use super::scan::Id;

/// A document.
pub(super) struct Replica {
    doc: Doc,
    nesting: Nesting,
}

/// Why something could not be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What was brought is not what it should be. The document is as it was.
    Malformed,
    /// The library failed over it. The document is of no use any more.
    Broken,
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// All of it was known.
    Nothing,
    Something,
}

impl Replica {
    /// An empty document.
    pub(super) fn new(random: &mut Random) -> Self {
        Self { doc: doc(random), nesting: Nesting::default() }
    }

    /// A document with what is in `state`.
    pub(super) fn with_state(state: &[u8], random: &mut Random) -> Result<Self, Trouble> {
        let mut replica = Self::new(random);
        replica.apply(state)?;
        Ok(replica)
    }

    /// Takes in an update.
    pub(super) fn apply(&mut self, update: &[u8]) -> Result<Applied, Trouble> {
        let doc = &self.doc;
        let added = guarded(|| self.nesting.check(update, |id| parent(doc, id)))??;
        let update = guarded(|| Update::decode_v1(update))?.map_err(|_| Trouble::Malformed)?;
        let mut txn = doc.transact_mut();
        let was_incomplete = txn.has_missing_updates();
        let applied = guarded(|| txn.apply_update(update));
        // A transaction that is dropped while a panic unwinds would commit, and a second panic would end the process.
        // Committed here, in whatever state, it does nothing when it is dropped.
        let committed = guarded(|| txn.commit());
        let is_something = was_incomplete
            || txn.has_missing_updates()
            || !txn.insert_set().is_empty()
            || !txn.delete_set().is_empty();
        drop(txn);
        match (applied, committed) {
            (Ok(Ok(())), Ok(())) => {
                self.nesting.add(added);
                Ok(if is_something { Applied::Something } else { Applied::Nothing })
            }
            // An error comes in the middle of the work, too.
            _ => Err(Trouble::Broken),
        }
    }

    /// Whether all of `update` is known. Nothing is taken in.
    pub(super) fn contains(&self, update: &[u8]) -> Result<bool, Trouble> {
        guarded(|| {
            let update = Update::decode_v1(update).map_err(|_| Trouble::Malformed)?;
            let snapshot = self.doc.transact().snapshot();
            let inserted = update.insertions(true);
            let known = inserted.iter().all(|(client, ranges)| {
                let clock = snapshot.state_map.get(client);
                ranges.iter().all(|range| range.end <= clock)
            });
            let mut deleted = update.delete_set().clone();
            deleted.diff_with(&snapshot.delete_set);
            Ok(known && deleted.is_empty())
        })?
    }

    /// What the document has, as a state vector.
    pub(super) fn state_vector(&self) -> Result<Bytes, Trouble> {
        guarded(|| self.doc.transact().state_vector().encode_v1().into())
    }

    /// Whether both have the same items.
    pub(super) fn is_as_far_as(&self, other: &Self) -> Result<bool, Trouble> {
        guarded(|| self.doc.transact().state_vector() == other.doc.transact().state_vector())
    }

    /// What is missing where `vector` is what one has, as an update.
    pub(super) fn diff(&self, vector: &[u8]) -> Result<Bytes, Trouble> {
        let vector = guarded(|| StateVector::decode_v1(vector))?.map_err(|_| Trouble::Malformed)?;
        guarded(|| self.doc.transact().encode_state_as_update_v1(&vector).into())
    }

    /// All of the document, as an update.
    pub(super) fn state(&self) -> Result<Bytes, Trouble> {
        self.diff(&[0])
    }

    /// The update that makes of this document again what it was when `state` was taken, as an edit like any other: who
    /// has written since then finds it undone, and may undo that. Works on copies.
    pub(super) fn reverting(&self, state: &[u8], random: &mut Random) -> Result<Bytes, Trouble> {
        let (now, vector) = (self.state()?, self.state_vector()?);
        guarded(|| {
            let past = doc(random);
            let decode = |bytes: &[u8]| Update::decode_v1(bytes).map_err(|_| Trouble::Malformed);
            past.transact_mut().apply_update(decode(state)?).map_err(|_| Trouble::Broken)?;
            // What came since then is put on top as one step, and that step undone. Types that are new now are in scope
            // too: a document that has them from the start loses nothing by it.
            let present = doc(random);
            present.transact_mut().apply_update(decode(&now)?).map_err(|_| Trouble::Broken)?;
            for (name, _) in present.transact().root_refs() {
                past.get_or_insert_text(name);
            }
            let options = yrs::undo::Options {
                capture_timeout_millis: u64::MAX,
                tracked_origins: [SINCE.into()].into(),
                capture_transaction: None,
                timestamp: Arc::new(|| 0_u64),
                init_undo_stack: Vec::new(),
                init_redo_stack: Vec::new(),
            };
            let mut undo: UndoManager<()> = UndoManager::with_options(options);
            let roots: Vec<Out> = past.transact().root_refs().map(|(_, root)| root).collect();
            for root in roots {
                expand(&mut undo, &past, &root);
            }
            past.transact_mut_with(SINCE).apply_update(decode(&now)?).map_err(|_| Trouble::Broken)?;
            undo.undo_blocking();
            drop(undo);
            let vector = StateVector::decode_v1(&vector).map_err(|_| Trouble::Malformed)?;
            Ok(past.transact().encode_state_as_update_v1(&vector).into())
        })?
    }

    /// The text of the document that has that name, if it has one.
    pub(super) fn text(&self, name: &str) -> Result<String, Trouble> {
        guarded(|| {
            let txn = self.doc.transact();
            txn.get_text(name).map(|text| text.get_string(&txn)).unwrap_or_default()
        })
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Replica(..)")
    }
}

/// Updates as one.
pub(super) fn merge<'a>(updates: impl Iterator<Item = &'a [u8]>) -> Result<Bytes, Trouble> {
    guarded(|| yrs::merge_updates_v1(updates))?.map(Bytes::from).map_err(|_| Trouble::Malformed)
}

/// The origin of what was written since a version was made.
const SINCE: &str = "since";

fn doc(random: &mut Random) -> Doc {
    let guid = format!("{:016x}{:016x}", random.next_u64(), random.next_u64());
    let mut options = Options::with_guid_and_client_id(guid.into(), ClientID::new(random.next_u64() >> 11));
    // As Yjs counts.
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

/// In which type an item is: `None` inside for one at the top.
fn parent(doc: &Doc, (client, clock): Id) -> Option<Option<Id>> {
    let txn = doc.transact();
    let client = ClientID::new(client);
    if txn.state_vector().get(&client) <= clock {
        return None;
    }
    let place = StickyIndex::new(IndexScope::Relative(ID::new(client, clock)), Assoc::After);
    match place.get_offset(&txn)?.branch.id() {
        BranchID::Nested(id) => Some(Some((id.client.get(), id.clock))),
        BranchID::Root(_) => Some(None),
    }
}

fn expand(undo: &mut UndoManager<()>, doc: &Doc, root: &Out) {
    match root {
        Out::YText(root) => undo.expand_scope(doc, root),
        Out::YArray(root) => undo.expand_scope(doc, root),
        Out::YMap(root) => undo.expand_scope(doc, root),
        Out::YXmlElement(root) => undo.expand_scope(doc, root),
        Out::YXmlFragment(root) => undo.expand_scope(doc, root),
        Out::YXmlText(root) => undo.expand_scope(doc, root),
        Out::UndefinedRef(root) => undo.expand_scope(doc, root),
        Out::Any(_) | Out::YDoc(_) => {}
    }
}

/// Runs what may panic.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Trouble::Broken)
}

#[cfg(test)]
mod tests;
