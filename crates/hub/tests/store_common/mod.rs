//! A random workload for stores, and a look at all that a store holds.

use bytes::Bytes;
use host::Random;
use hub::store::{Epoch, Limit, Memory, Record, Store, StoreError, StoredRoom, Write};

/// Random numbers that grow from `seed`, others for each `purpose`.
pub(crate) fn random(seed: u64, purpose: u8) -> Random {
    let mut bytes = [purpose; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Random::from_seed(bytes)
}

pub(crate) const ALL: Limit = Limit { records: usize::MAX, bytes: usize::MAX };

/// Every room with every record.
pub(crate) fn dump(store: &mut dyn Store) -> Result<Vec<(String, StoredRoom)>, StoreError> {
    let mut rooms = Vec::new();
    for name in store.rooms(None, usize::MAX)? {
        let room = store.load(&name, ALL)?.expect("a room that is listed is there");
        rooms.push((name, room));
    }
    Ok(rooms)
}

/// A group of writes that fits `model`.
pub(crate) fn writes(random: &mut Random, model: &mut Memory) -> Vec<Write> {
    const NAMES: [&str; 4] = ["a", "lobby", "a room with a longer name", "ü"];
    let mut ends = NAMES.map(|name| model.load(name, ALL).unwrap().map(|room| room.offset));
    let mut writes = Vec::new();
    for _ in 0..=random.below(6) {
        let room = random.below(4) as usize;
        let (channel, end) = (NAMES[room].into(), &mut ends[room]);
        writes.push(match (*end, random.below(40)) {
            (None, 0) => {
                let offset = random.below(100);
                *end = Some(offset);
                Write::Restore { channel, epoch: Epoch::random(random), offset }
            }
            (None, _) => {
                *end = Some(0);
                Write::Create { channel, epoch: Epoch::random(random) }
            }
            (Some(last), 0..=1) => {
                let offset = random.below(last + 1);
                Write::Replace { channel, record: Record { offset, body: body(random) } }
            }
            (Some(last), 2..=3) => Write::Trim { channel, through: random.below(last + 2) },
            (Some(_), 4) => {
                *end = None;
                Write::Remove { channel }
            }
            (Some(last), _) => {
                *end = Some(last + 1);
                Write::Append { channel, record: Record { offset: last + 1, body: body(random) } }
            }
        });
    }
    writes
}

/// Whether a failed commit of `writes` leaves no trace, whatever happens.
#[allow(dead_code, reason = "not every test that shares this file needs it")]
pub(crate) fn are_additions(writes: &[Write]) -> bool {
    writes
        .iter()
        .all(|write| matches!(write, Write::Create { .. } | Write::Restore { .. } | Write::Append { .. }))
}

fn body(random: &mut Random) -> Bytes {
    let length = match random.below(20) {
        0 => random.below(20_000),
        1 => 0,
        _ => random.below(300),
    };
    let mut body = vec![0; length as usize];
    random.fill(&mut body);
    body.into()
}
