use proptest::prelude::*;
use yrs::{Array, ArrayPrelim, Map, Text, WriteTxn, XmlElementPrelim, XmlFragment, XmlTextPrelim};

use super::*;

fn random() -> Random {
    Random::from_seed([3; 32])
}

/// A client's document, and the update that `change` makes in it.
fn change(doc: &Doc, change: impl FnOnce(&Doc, &mut yrs::TransactionMut<'_>)) -> Vec<u8> {
    let mut txn = doc.transact_mut();
    change(doc, &mut txn);
    txn.encode_update_v1()
}

fn typed(doc: &Doc, at: u32, text: &str) -> Vec<u8> {
    change(doc, |_, txn| {
        let content = txn.get_or_insert_text("content");
        content.insert(txn, at, text);
    })
}

#[test]
fn what_was_applied_is_there_and_comes_out_as_what_is_missing() {
    let client = Doc::with_client_id(1);
    let (first, second) = (typed(&client, 0, "hello"), typed(&client, 5, " world"));
    let mut replica = Replica::new(&mut random());
    assert_eq!(replica.apply(&first), Ok(Applied::Something));
    let before = replica.state_vector().unwrap();
    assert_eq!(replica.contains(&second), Ok(false));
    assert_eq!(replica.apply(&second), Ok(Applied::Something));
    assert_eq!(replica.contains(&second), Ok(true));
    assert_eq!(replica.apply(&second), Ok(Applied::Nothing));
    assert_eq!(replica.text("content").unwrap(), "hello world");
    let mut other = Replica::with_state(&first, &mut random()).unwrap();
    other.apply(&replica.diff(&before).unwrap()).unwrap();
    assert_eq!(other.text("content").unwrap(), "hello world");
    let merged = merge([&first[..], &second[..]].into_iter()).unwrap();
    assert_eq!(Replica::with_state(&merged, &mut random()).unwrap().text("content").unwrap(), "hello world");
}

#[test]
fn what_comes_before_its_time_is_kept_until_then() {
    let client = Doc::with_client_id(1);
    let (first, second) = (typed(&client, 0, "hello"), typed(&client, 5, " world"));
    let mut replica = Replica::new(&mut random());
    assert_eq!(replica.apply(&second), Ok(Applied::Something));
    // It is in the state already, for a copy that is made of it.
    let mut copy = Replica::with_state(&replica.state().unwrap(), &mut random()).unwrap();
    copy.apply(&first).unwrap();
    assert_eq!(copy.text("content").unwrap(), "hello world");
}

#[test]
fn a_version_comes_back_as_an_edit() {
    let client = Doc::with_client_id(1);
    let mut replica = Replica::new(&mut random());
    replica.apply(&typed(&client, 0, "The first draft.")).unwrap();
    let tree = change(&client, |_, txn| {
        let xml = txn.get_or_insert_xml_fragment("tree");
        let node = xml.push_back(txn, XmlElementPrelim::empty("p"));
        node.push_back(txn, XmlTextPrelim::new("inside"));
        txn.get_or_insert_map("map").insert(txn, "key", "old");
        txn.get_or_insert_array("list").insert(txn, 0, ArrayPrelim::from([1, 2]));
    });
    replica.apply(&tree).unwrap();
    let version = replica.state().unwrap();
    let later = change(&client, |_, txn| {
        let text = txn.get_or_insert_text("content");
        text.remove_range(txn, 4, 5);
        text.insert(txn, 4, "second");
        txn.get_or_insert_xml_fragment("tree").remove(txn, 0);
        txn.get_or_insert_map("map").insert(txn, "key", "new");
        txn.get_or_insert_array("list").remove(txn, 0);
        txn.get_or_insert_text("notes").insert(txn, 0, "did not exist");
    });
    replica.apply(&later).unwrap();
    assert_eq!(replica.text("content").unwrap(), "The second draft.");
    let edit = replica.reverting(&version, &mut random()).unwrap();
    assert_eq!(replica.apply(&edit), Ok(Applied::Something));
    // The client gets the edit as it gets any.
    client.transact_mut().apply_update(Update::decode_v1(&edit).unwrap()).unwrap();
    let txn = client.transact();
    for doc in [&replica.doc.transact(), &txn] {
        assert_eq!(doc.get_text("content").unwrap().get_string(doc), "The first draft.");
        assert_eq!(doc.get_text("notes").unwrap().get_string(doc), "");
        let tree = doc.get_xml_fragment("tree").unwrap().get_string(doc);
        assert_eq!(tree, "<p>inside</p>");
        assert_eq!(doc.get_map("map").unwrap().get(doc, "key"), Some(Out::Any("old".into())));
        assert_eq!(doc.get_array("list").unwrap().len(doc), 1);
    }
}

#[test]
fn types_inside_types_go_only_so_deep() {
    let nest = |levels: usize, beside: bool| {
        let doc = Doc::with_client_id(9);
        let mut updates = Vec::new();
        let mut txn = doc.transact_mut();
        let mut array = txn.get_or_insert_array("root");
        for _ in 0..levels {
            if beside {
                // A value before it, so that the way to its parent leads over a neighbour.
                array.push_back(&mut txn, "value");
            }
            array = array.push_back(&mut txn, ArrayPrelim::default());
            if levels > 1000 {
                continue;
            }
        }
        updates.push(txn.encode_update_v1());
        drop(txn);
        updates
    };
    for beside in [false, true] {
        let mut replica = Replica::new(&mut random());
        for update in nest(200, beside) {
            assert_eq!(replica.apply(&update), Ok(Applied::Something), "{beside}");
        }
        let mut replica = Replica::new(&mut random());
        for update in nest(300, beside) {
            assert_eq!(replica.apply(&update), Err(Trouble::Malformed), "{beside}");
        }
        assert_eq!(replica.state().as_deref(), Ok(&[0, 0][..]), "as it was");
    }
}

#[test]
fn depth_is_counted_over_updates_that_come_one_by_one() {
    let doc = Doc::with_client_id(9);
    let mut replica = Replica::new(&mut random());
    let mut array = doc.get_or_insert_array("root");
    let mut outcome = Ok(Applied::Something);
    let mut levels = 0;
    while outcome.is_ok() && levels < 1000 {
        // Two values beside each other, then the next level after them.
        outcome = replica.apply(&change(&doc, |_, txn| {
            array.push_back(txn, "a");
        }));
        assert_eq!(outcome, Ok(Applied::Something));
        replica
            .apply(&change(&doc, |_, txn| {
                array.push_back(txn, "b");
            }))
            .unwrap();
        outcome = replica.apply(&change(&doc, |_, txn| array = array.push_back(txn, ArrayPrelim::default())));
        levels += 1;
    }
    assert_eq!((outcome, levels), (Err(Trouble::Malformed), 257));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damaged updates end in an error or as some document, and never take the process with them; whatever came of it
    /// can be asked all the same.
    #[test]
    fn a_damaged_update_is_contained(
        words in prop::collection::vec("[a-z]{1,5}", 1..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let client = Doc::with_client_id(1);
        let mut replica = Replica::new(&mut random());
        let mut last = Vec::new();
        for word in &words {
            last = typed(&client, 0, word);
            replica.apply(&last).unwrap();
            replica.apply(&change(&client, |_, txn| {
                let text = txn.get_or_insert_text("content");
                text.remove_range(txn, 0, 1);
            })).unwrap();
        }
        for target in [last, replica.state().unwrap().to_vec()] {
            let mut damaged = target;
            for (at, byte) in &damage {
                let at = at.index(damaged.len());
                damaged[at] = *byte;
            }
            let mut victim = Replica::with_state(&replica.state().unwrap(), &mut random()).unwrap();
            if victim.apply(&damaged).is_ok() {
                let _ = victim.state();
                let _ = victim.contains(&damaged);
                let _ = victim.reverting(&damaged, &mut random());
            }
        }
    }
}
