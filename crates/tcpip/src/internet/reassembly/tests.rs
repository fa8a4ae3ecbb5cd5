use super::*;
use proptest::prelude::*;

const NOW: Instant = Instant::from_nanos(1_000);

fn key(identification: u32) -> Key {
    let (source, destination) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    Key { source, destination, identification, protocol: 17 }
}

fn part(offset: usize, more: bool, body: &[u8]) -> Part<'_> {
    Part { offset, more, ecn: 0, headers: b"head", body }
}

#[test]
fn teardrop_overlap_gives_the_whole_packet_up() {
    let mut reassembly = Reassembly::new(1 << 20);
    assert_eq!(reassembly.receive(NOW, key(1), part(0, true, &[1; 32])), Outcome::Kept);
    assert_eq!(reassembly.receive(NOW, key(1), part(24, false, &[2; 4])), Outcome::Failed);
    assert_eq!(
        reassembly.receive(NOW, key(1), part(32, false, &[2; 4])),
        Outcome::Failed,
        "what comes later too"
    );
    assert_eq!((reassembly.bytes, reassembly.sources.len()), (0, 0));
}

#[test]
fn a_packet_cannot_end_twice_or_beyond_its_end() {
    for second in [part(16, false, &[1; 8]), part(8, false, &[1; 16]), part(32, true, &[1; 8])] {
        let mut reassembly = Reassembly::new(1 << 20);
        assert_eq!(reassembly.receive(NOW, key(1), part(24, false, &[1; 8])), Outcome::Kept);
        assert_eq!(reassembly.receive(NOW, key(1), second), Outcome::Failed);
    }
}

#[test]
fn ping_of_death_ends_beyond_the_largest_packet() {
    let mut reassembly = Reassembly::new(1 << 20);
    assert_eq!(reassembly.receive(NOW, key(1), part(65_528, false, &[1; 100])), Outcome::Failed);
    assert!(reassembly.packets.is_empty());
}

#[test]
fn fragmentsmack_one_source_gets_a_share_of_memory() {
    let mut reassembly = Reassembly::new(64 * 1024);
    let mut other = key(7);
    other.source = IpAddr::from([10, 9, 9, 9]);
    assert_eq!(reassembly.receive(NOW, other, part(0, true, &[9; 8])), Outcome::Kept);
    for id in 0..10_000 {
        reassembly.receive(NOW, key(id), part(8, true, &[1; 8]));
        assert!(reassembly.bytes <= 64 * 1024 && reassembly.packets.len() <= MAX_PACKETS);
    }
    assert!(reassembly.take_evicted() > 0);
    let whole = reassembly.receive(NOW, other, part(8, false, &[9; 8]));
    assert_eq!(whole, Outcome::Whole { headers: b"head".to_vec(), body: vec![9; 16], ecn: 0 });
}

#[test]
fn a_packet_has_so_many_fragments() {
    let mut reassembly = Reassembly::new(1 << 20);
    let outcomes: Vec<_> =
        (0..200).map(|at| reassembly.receive(NOW, key(1), part(at * 16, true, &[1; 8]))).collect();
    assert_eq!(outcomes.iter().filter(|one| **one == Outcome::Kept).count(), MAX_FRAGMENTS);
    assert_eq!(reassembly.bytes, 0);
}

#[test]
fn congestion_survives_and_a_mixture_does_not() {
    for (a, b, whole) in [(2, 3, Some(3)), (0, 3, None), (0, 2, Some(0)), (1, 1, Some(1))] {
        let mut reassembly = Reassembly::new(1 << 20);
        reassembly.receive(NOW, key(1), Part { ecn: a, ..part(0, true, &[1; 8]) });
        let outcome = reassembly.receive(NOW, key(1), Part { ecn: b, ..part(8, false, &[1; 8]) });
        let read = match outcome {
            Outcome::Whole { ecn, .. } => Some(ecn),
            _ => None,
        };
        assert_eq!(read, whole);
    }
}

#[test]
fn time_ends_with_the_first_fragment_told() {
    let mut reassembly = Reassembly::new(1 << 20);
    reassembly.receive(NOW, key(1), part(0, true, &[1; 8]));
    reassembly.receive(NOW, key(2), part(8, true, &[1; 8]));
    let end = reassembly.poll_timeout().unwrap();
    assert!(reassembly.expired(end - Duration::from_nanos(1)).is_none());
    assert_eq!(reassembly.expired(end), Some((key(1), Some([&b"head"[..], &[1; 8]].concat()))));
    assert_eq!(reassembly.expired(end), Some((key(2), None)));
    assert_eq!((reassembly.expired(end), reassembly.poll_timeout(), reassembly.bytes), (None, None, 0));
}

/// The naive model: a byte map; any byte said twice, except by an exact copy of a fragment, ends the packet.
#[derive(Default)]
struct Model {
    parts: Vec<(usize, bool, Vec<u8>)>,
    failed: bool,
}

impl Model {
    fn receive(&mut self, offset: usize, more: bool, body: &[u8]) -> Option<Vec<u8>> {
        if self.failed || self.parts.iter().any(|one| *one == (offset, more, body.to_vec())) {
            return None;
        }
        let mut bytes = BTreeMap::new();
        self.parts.push((offset, more, body.to_vec()));
        for (offset, _, body) in &self.parts {
            for (at, byte) in body.iter().enumerate() {
                self.failed |= bytes.insert(offset + at, *byte).is_some();
            }
        }
        let ends: Vec<_> =
            self.parts.iter().filter(|one| !one.1).map(|(offset, _, body)| offset + body.len()).collect();
        let last = bytes.last_key_value().map_or(0, |(at, _)| at + 1);
        self.failed |= ends.len() > 1 || ends.first().is_some_and(|end| last > *end);
        (!self.failed && ends == [bytes.len()]).then(|| bytes.into_values().collect())
    }
}

proptest! {
    #[test]
    fn it_does_as_the_model(
        fragments in proptest::collection::vec((0usize..6, 1usize..4, any::<bool>(), 0u8..2), 1..12),
    ) {
        let (mut reassembly, mut model) = (Reassembly::new(1 << 20), Model::default());
        for (at, units, more, fill) in fragments {
            let body = vec![fill; units * 8];
            let outcome = reassembly.receive(NOW, key(1), part(at * 8, more, &body));
            let expected = model.receive(at * 8, more, &body);
            match outcome {
                Outcome::Whole { body, .. } => {
                    prop_assert_eq!(Some(body), expected);
                    prop_assert_eq!(reassembly.bytes, 0);
                    return Ok(());
                }
                Outcome::Failed => prop_assert!(model.failed && expected.is_none()),
                Outcome::Kept => prop_assert!(!model.failed && expected.is_none()),
            }
        }
    }

    #[test]
    fn fragments_in_any_order_are_the_packet(
        body in proptest::collection::vec(any::<u8>(), 1..400),
        order in proptest::collection::vec(any::<usize>(), 50),
    ) {
        let mut parts: Vec<_> = body.chunks(8).enumerate().map(|(at, piece)| (at * 8, piece)).collect();
        let mut reassembly = Reassembly::new(1 << 20);
        for draw in order {
            if parts.is_empty() {
                break;
            }
            let (at, piece) = parts.remove(draw % parts.len());
            let outcome = reassembly.receive(NOW, key(1), part(at, at + piece.len() < body.len(), piece));
            if parts.is_empty() {
                prop_assert_eq!(outcome, Outcome::Whole { headers: b"head".to_vec(), body: body.clone(), ecn: 0 });
            } else {
                prop_assert_eq!(outcome, Outcome::Kept);
            }
        }
    }
}
