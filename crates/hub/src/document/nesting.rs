//! How deep a document's types lie inside one another.
//!
//! The CRDT library deletes and collects what is inside of a type by calling itself. A client may put a type into a type
//! into a type a million times, some bytes each, and then delete the outermost: that would end the process. So the depth
//! is kept, and what goes too deep is refused.

use std::collections::BTreeMap;

use super::lib0::Malformed;
use super::scan::{Id, Item, Place, scan};

/// Levels that a document may have. Editors' documents have some ten.
const LEVELS: u32 = 256;

/// The levels of a document's types.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    levels: BTreeMap<Id, u32>,
    deepest: u32,
}

/// What an update adds to that.
#[derive(Debug, Default)]
pub(super) struct Added(Vec<(Id, u32)>);

impl Nesting {
    /// What `update` would add. `parent` finds for an item of the document the type that it is inside of (`None` inside
    /// for one at the top), if the item is there.
    pub(super) fn check(
        &self,
        update: &[u8],
        parent: impl Fn(Id) -> Option<Option<Id>>,
    ) -> Result<Added, Malformed> {
        let mut added = Added::default();
        // The runs of this update, by their first item: length and level.
        let mut runs: BTreeMap<Id, (u32, u32)> = BTreeMap::new();
        let mut deepest = self.deepest;
        let mut is_too_deep = false;
        scan(update, &mut |item: Item| {
            // Only what may be beside a type, or is one, is of interest.
            let level_of = |id: Id| {
                let run = runs
                    .range(..=id)
                    .next_back()
                    .filter(|((client, start), (length, _))| *client == id.0 && id.1 - start < *length);
                run.map(|(_, (_, level))| *level).or_else(|| self.levels.get(&id).copied())
            };
            let level = match item.place {
                Place::Nowhere => return,
                Place::Top => Some(1),
                Place::Inside(id) => level_of(id).map(|level| level + 1),
                Place::Beside(id) => level_of(id).or_else(|| {
                    if !item.is_type {
                        return None;
                    }
                    match parent(id)? {
                        None => Some(1),
                        Some(parent) => level_of(parent).map(|level| level + 1),
                    }
                }),
            };
            let level = match level {
                Some(level) => level,
                // Beside what is not here yet, as far as one can see: no less deep than anything that is.
                None if item.is_type => deepest + 1,
                None => return,
            };
            runs.insert(item.id, (item.length, level));
            if item.is_type {
                deepest = deepest.max(level);
                is_too_deep |= level > LEVELS;
                added.0.push((item.id, level));
            }
        })?;
        if is_too_deep { Err(Malformed) } else { Ok(added) }
    }

    /// The update is in the document.
    pub(super) fn add(&mut self, added: Added) {
        for (id, level) in added.0 {
            self.levels.entry(id).or_insert(level);
            self.deepest = self.deepest.max(level);
        }
    }
}
