//! Deltas in the format of the Fossil version control system, which the protocol's clients apply: the target's length,
//! pieces of the source to copy and texts to insert, and a checksum of the target. Numbers are in base 64.

use std::collections::HashMap;

/// The shortest piece that is looked for in the source, in bytes.
const PIECE: usize = 16;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// How `target` comes from `source`; `None` when that would not be shorter than `target`. Where `target` is UTF-8, so is
/// the delta.
pub(crate) fn delta(source: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    number(&mut out, target.len());
    out.push(b'\n');
    let mut told = 0;
    for Copy { from, start, end } in copies(source, target) {
        insert(&mut out, &target[told..start]);
        number(&mut out, end - start);
        out.push(b'@');
        number(&mut out, from);
        out.push(b',');
        told = end;
        if out.len() >= target.len() {
            return None;
        }
    }
    insert(&mut out, &target[told..]);
    number(&mut out, checksum(target) as usize);
    out.push(b';');
    (out.len() < target.len()).then_some(out)
}

/// A piece of the target, from `start` to `end`, that stands in the source at `from`.
struct Copy {
    from: usize,
    start: usize,
    end: usize,
}

/// Pieces of the target that the source has, in the target's order, on whole characters.
fn copies(source: &[u8], target: &[u8]) -> Vec<Copy> {
    let mut places = HashMap::new();
    for (index, piece) in source.chunks_exact(PIECE).enumerate() {
        places.entry(piece).or_insert(index * PIECE);
    }
    let mut copies = Vec::new();
    let (mut told, mut at) = (0, 0);
    while let Some(piece) = target.get(at..at + PIECE) {
        let Some(&place) = places.get(piece) else {
            at += 1;
            continue;
        };
        let before = common(source[..place].iter().rev(), target[told..at].iter().rev());
        let after = common(source[place..].iter(), target[at..].iter());
        let (mut start, mut end) = (at - before, at + after);
        let from = place - before;
        while start < end && is_inside_character(target, start) {
            start += 1;
        }
        while start < end && is_inside_character(target, end) {
            end -= 1;
        }
        if end - start >= PIECE / 2 {
            copies.push(Copy { from: from + start + before - at, start, end });
            told = end;
        }
        at = end.max(at + 1);
    }
    copies
}

fn common<'a>(left: impl Iterator<Item = &'a u8>, right: impl Iterator<Item = &'a u8>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

/// Whether a UTF-8 text cannot be cut at `at`.
fn is_inside_character(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
}

fn insert(out: &mut Vec<u8>, text: &[u8]) {
    if !text.is_empty() {
        number(out, text.len());
        out.push(b':');
        out.extend_from_slice(text);
    }
}

fn number(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(6).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[number >> (6 * digit) & 63]));
}

/// The sum of the text's big-endian words, of which the last may be short.
fn checksum(text: &[u8]) -> u32 {
    let word = |piece: &[u8]| {
        piece.iter().enumerate().fold(0, |word, (index, &byte)| word | u32::from(byte) << (24 - 8 * index))
    };
    text.chunks(4).map(word).fold(0, u32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The target that a delta makes of a source.
    fn apply(source: &[u8], mut delta: &[u8]) -> Vec<u8> {
        fn read(delta: &mut &[u8]) -> (usize, u8) {
            let mut number = 0;
            loop {
                let (&byte, rest) = delta.split_first().unwrap();
                *delta = rest;
                match DIGITS.iter().position(|&digit| digit == byte) {
                    Some(digit) => number = number << 6 | digit,
                    None => return (number, byte),
                }
            }
        }
        let (length, end) = read(&mut delta);
        assert_eq!(end, b'\n');
        let mut target = Vec::new();
        loop {
            match read(&mut delta) {
                (count, b'@') => {
                    let (from, end) = read(&mut delta);
                    assert_eq!(end, b',');
                    target.extend_from_slice(&source[from..from + count]);
                }
                (count, b':') => {
                    let (text, rest) = delta.split_at(count);
                    target.extend_from_slice(text);
                    delta = rest;
                }
                (sum, b';') => {
                    assert_eq!((sum as u32, target.len()), (checksum(&target), length));
                    assert!(delta.is_empty());
                    return target;
                }
                (_, other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_small_change_makes_a_small_delta() {
        let source = format!(r#"{{"counter":1,"payload":"{}"}}"#, "a".repeat(500));
        let target = source.replace("1", "2").replace("aaa\"", "aab\"");
        let delta = delta(source.as_bytes(), target.as_bytes()).unwrap();
        assert!(delta.len() < 60, "{}", delta.len());
        assert_eq!(apply(source.as_bytes(), &delta), target.as_bytes());
    }

    #[test]
    fn what_has_nothing_in_common_makes_none() {
        assert_eq!(delta(b"", b""), None);
        assert_eq!(delta(b"{\"a\":1}", b"{\"b\":2}"), None);
        assert_eq!(delta(&[b'a'; 100], &[b'b'; 100]), None);
    }

    #[test]
    fn the_checksum_is_that_of_others() {
        // As the delta of a Fossil repository has them.
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"abcd"), 0x6162_6364);
        assert_eq!(checksum(b"abcde"), 0x6162_6364_u32.wrapping_add(0x6500_0000));
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_target_of_the_source(
            source in "[aé😀]{0,40}\\PC{0,40}",
            pieces in prop::collection::vec((0..80_usize, 0..80_usize, "[aé😀]{0,6}"), 0..8),
        ) {
            let characters: Vec<char> = source.repeat(3).chars().collect();
            let mut target = String::new();
            for (from, count, text) in pieces {
                target.extend(characters.iter().skip(from).take(count));
                target.push_str(&text);
            }
            if let Some(delta) = delta(source.repeat(3).as_bytes(), target.as_bytes()) {
                prop_assert!(delta.len() < target.len());
                prop_assert!(std::str::from_utf8(&delta).is_ok());
                prop_assert_eq!(apply(source.repeat(3).as_bytes(), &delta), target.as_bytes());
            }
        }
    }
}
