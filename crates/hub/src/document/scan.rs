//! A look at an update before the CRDT library sees it.
//!
//! The library takes counts in an update for true when it makes room, and follows values as deep as they nest. A look
//! that costs one pass and no memory keeps from it what would make it take gigabytes or the whole stack, which, unlike a
//! panic, cannot be caught.

use super::lib0::{Malformed, Reader};

/// How deep values, and JSON in them, may nest.
const DEPTH: usize = 64;

/// Sizes of an update (Yjs's first format), as far as they are of interest here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Runs of items, and gaps.
    pub(crate) structs: u32,
    /// Ranges of items that were deleted.
    pub(crate) deletions: u32,
}

/// Walks through `update` to its end.
pub(crate) fn scan(update: &[u8], found: &mut impl FnMut(Item)) -> Result<Sizes, Malformed> {
    let mut reader = Reader::new(update);
    let mut sizes = Sizes::default();
    for _ in 0..reader.count()? {
        let structs = reader.count()?;
        let client = reader.number()?;
        let mut clock = reader.number32()?;
        for _ in 0..structs {
            let item = structure(&mut reader, client, clock)?;
            clock = clock.checked_add(item.length).ok_or(Malformed)?;
            sizes.structs += 1;
            found(item);
        }
    }
    for _ in 0..reader.count()? {
        reader.number()?;
        for _ in 0..reader.count()? {
            let (clock, length) = (reader.number32()?, reader.number32()?);
            clock.checked_add(length).ok_or(Malformed)?;
            sizes.deletions += 1;
        }
    }
    // A client that says more than it counts is not one that we know.
    if reader.left() == 0 { Ok(sizes) } else { Err(Malformed) }
}

/// Whether `vector` is a state vector.
pub(crate) fn scan_vector(vector: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(vector);
    for _ in 0..reader.count()? {
        reader.number()?;
        reader.number32()?;
    }
    if reader.left() == 0 { Ok(()) } else { Err(Malformed) }
}

/// An item's name: the client that made it, and its place among that client's.
pub(crate) type Id = (u64, u32);

/// A run of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: Id,
    /// How many items it stands for.
    pub(crate) length: u32,
    pub(crate) place: Place,
    /// Whether others may be inside of it.
    pub(crate) is_type: bool,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In none: it is a gap, or nothing is left of it.
    Nowhere,
    /// At the top of the document, in a type with a name.
    Top,
    /// In the type that is this item.
    Inside(Id),
    /// Beside this item.
    Beside(Id),
}

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_PARENT_KEY: u8 = 0x20;
const COLLECTED: u8 = 0;
const GAP: u8 = 10;

fn structure(reader: &mut Reader<'_>, client: u64, clock: u32) -> Result<Item, Malformed> {
    let info = reader.byte()?;
    let mut item = Item { id: (client, clock), length: 0, place: Place::Nowhere, is_type: false };
    if info == COLLECTED || info == GAP {
        item.length = reader.number32()?;
        return if item.length > 0 { Ok(item) } else { Err(Malformed) };
    }
    let id = |reader: &mut Reader<'_>| Ok((reader.number()?, reader.number32()?));
    if info & HAS_ORIGIN != 0 {
        item.place = Place::Beside(id(reader)?);
    }
    if info & HAS_RIGHT_ORIGIN != 0 {
        let right = id(reader)?;
        if item.place == Place::Nowhere {
            item.place = Place::Beside(right);
        }
    }
    if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
        item.place = if reader.number()? == 1 {
            reader.text()?;
            Place::Top
        } else {
            Place::Inside(id(reader)?)
        };
        if info & HAS_PARENT_KEY != 0 {
            reader.text()?;
        }
    }
    (item.length, item.is_type) = content(reader, info & 0x0f)?;
    Ok(item)
}

/// Goes past an item's content. Returns for how many items it counts, and whether it is a type.
fn content(reader: &mut Reader<'_>, kind: u8) -> Result<(u32, bool), Malformed> {
    let one = (1, false);
    Ok(match kind {
        // Deleted. (Empty runs were written by old versions, and are skipped.)
        1 => (reader.number32()?, false),
        3 => {
            reader.bytes()?;
            one
        }
        4 => {
            let units = reader.text()?.encode_utf16().count();
            (u32::try_from(units).map_err(|_| Malformed)?, false)
        }
        5 => {
            json(reader.text()?)?;
            one
        }
        6 => {
            reader.text()?;
            json(reader.text()?)?;
            one
        }
        7 => {
            // The XML kinds have a name: element and hook.
            let kind = reader.byte()?;
            if matches!(kind, 3 | 5) {
                reader.text()?;
            }
            if kind > 6 {
                return Err(Malformed);
            }
            (1, true)
        }
        8 => {
            let count = reader.count()?;
            for _ in 0..count {
                any_value(reader, DEPTH)?;
            }
            (count, false)
        }
        9 => {
            reader.text()?;
            any_value(reader, DEPTH)?;
            one
        }
        // Kind 2, JSON, is Yjs before version 13, and the library reads it wrongly.
        _ => return Err(Malformed),
    })
}

fn any_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
    let deeper = depth.checked_sub(1).ok_or(Malformed)?;
    match reader.byte()? {
        120 | 121 | 126 | 127 => {}
        // Of any sign: the first byte has six bits and the sign, which matters to nobody here.
        125 => {
            let mut bytes = 1;
            while reader.byte()? >= 0x80 {
                bytes += 1;
                if bytes > 10 {
                    return Err(Malformed);
                }
            }
        }
        124 => drop(reader.take(4)?),
        122 | 123 => drop(reader.take(8)?),
        119 => drop(reader.text()?),
        118 => {
            for _ in 0..reader.count()? {
                reader.text()?;
                any_value(reader, deeper)?;
            }
        }
        117 => {
            for _ in 0..reader.count()? {
                any_value(reader, deeper)?;
            }
        }
        116 => drop(reader.bytes()?),
        _ => return Err(Malformed),
    }
    Ok(())
}

/// Whether `text` nests no deeper than may be. That it is JSON at all, the library finds out.
fn json(text: &str) -> Result<(), Malformed> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > DEPTH {
                    return Err(Malformed);
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::types::Attrs;
    use yrs::{
        Any, Array, Doc, Map, MapPrelim, ReadTxn, StateVector, Text, Transact, XmlElementPrelim, XmlFragment,
    };

    use super::*;

    fn sizes(update: &[u8]) -> Result<Sizes, Malformed> {
        scan(update, &mut |_| {})
    }

    /// A document with something of everything.
    fn rich() -> Vec<u8> {
        let doc = Doc::with_client_id(7);
        let (text, map, array, xml) = (
            doc.get_or_insert_text("text"),
            doc.get_or_insert_map("map"),
            doc.get_or_insert_array("array"),
            doc.get_or_insert_xml_fragment("xml"),
        );
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 0, "grüße 🙂");
        text.insert_with_attributes(&mut txn, 2, "bold", Attrs::from([("b".into(), true.into())]));
        text.insert_embed(&mut txn, 1, Any::from_json(r#"{"image":[1,"]"]}"#).unwrap());
        text.remove_range(&mut txn, 3, 2);
        map.insert(&mut txn, "number", 4.5);
        map.insert(&mut txn, "number", -300);
        map.insert(&mut txn, "inner", MapPrelim::from([("deep", "value")]));
        array.push_back(&mut txn, Any::from_json(r#"[{"a":[null,true,false,12345678901,"x"]}]"#).unwrap());
        array.push_back(&mut txn, vec![1_u8, 2, 3]);
        xml.push_back(&mut txn, XmlElementPrelim::empty("p"));
        drop(txn);
        let txn = doc.transact();
        txn.encode_state_as_update_v1(&StateVector::default())
    }

    #[test]
    fn what_the_library_writes_is_found_good_and_what_is_cut_off_is_not() {
        let update = rich();
        let mut nested = 0;
        let found = scan(&update, &mut |item| nested += usize::from(matches!(item.place, Place::Inside(_))));
        assert!(found.unwrap().structs > 10);
        assert_eq!(nested, 1);
        for cut in 0..update.len() {
            assert_eq!(sizes(&update[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(sizes(&[0, 0]), Ok(Sizes::default()));
        assert_eq!(scan_vector(&[1, 7, 3]), Ok(()));
        assert_eq!(scan_vector(&[2, 7, 3]), Err(Malformed));
    }

    #[test]
    fn what_would_make_the_library_take_all_memory_or_stack_is_found() {
        // A billion clients; a billion items of one; values a thousand deep.
        assert_eq!(sizes(&[255, 255, 255, 255, 3, 1, 7, 0]), Err(Malformed));
        assert_eq!(sizes(&[1, 255, 255, 255, 255, 3, 7, 0]), Err(Malformed));
        let mut deep = vec![1, 1, 7, 0, 8, 1, 1, b'a', 1];
        deep.extend([117, 1].repeat(1000));
        deep.extend([126, 0]);
        assert_eq!(sizes(&deep), Err(Malformed));
        let shallow = [1, 1, 7, 0, 8, 1, 1, b'a', 1, 117, 1, 117, 1, 126, 0];
        assert_eq!(sizes(&shallow).map(|sizes| sizes.structs), Ok(1));
        assert!(json(&"[".repeat(65)).is_err());
        assert!(json(&format!("\"{}\"", "[".repeat(65))).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(mut bytes in Just(rich()), at in any::<prop::sample::Index>(), byte: u8) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = sizes(&bytes);
        }
    }
}
