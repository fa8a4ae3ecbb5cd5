//! The little that the hub does to JSON without taking it apart.

use bytes::Bytes;
use serde_json::value::RawValue;

/// How deep arrays and objects nest in `text`. Exact for valid JSON; for other text at least no less than what a parser
/// would go down before it finds the fault.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut inside = Inside::Structure;
    for &byte in text {
        inside = inside.after(byte);
        if inside == Inside::Structure {
            match byte {
                b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// Whether valid JSON has a `\u` escape of one half of a surrogate pair without the other. Its grammar allows that, but
/// it is no text, and many parsers refuse the whole line that it is in.
pub(crate) fn has_half_pair(text: &str) -> bool {
    let mut high = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = &rest.as_bytes()[at + 1..];
        let unit = match escape.split_first() {
            Some((b'u', digits)) => digits
                .get(..4)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                .unwrap_or(0),
            _ => 0,
        };
        let is_low = (0xdc00..0xe000).contains(&unit);
        if is_low != (high && at == 0) || high && at > 0 {
            return true;
        }
        high = (0xd800..0xdc00).contains(&unit);
        let length = if escape.first() == Some(&b'u') { 6 } else { 2 };
        rest = rest.get(at + length..).unwrap_or_default();
    }
    high
}

/// `text` as one line: valid JSON, not deeper than `depth_limit`, without white space outside of strings.
pub(crate) fn compact(text: &Bytes, depth_limit: usize) -> Option<Bytes> {
    if depth(text) > depth_limit {
        return None;
    }
    serde_json::from_slice::<&RawValue>(text).ok().filter(|json| !has_half_pair(json.get()))?;
    let mut inside = Inside::Structure;
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let mut compact = Vec::new();
    for &byte in text.iter() {
        inside = inside.after(byte);
        if inside != Inside::Structure || !is_space(byte) {
            compact.push(byte);
        }
    }
    Some(if compact.len() == text.len() { text.clone() } else { compact.into() })
}

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing into a vector cannot fail, and a string has no part that JSON lacks.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `number` in decimal.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    let _ = serde_json::to_writer(out, &number);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Structure,
    String,
    /// After a backslash in a string.
    Escape,
    /// The quote that ends a string belongs to it.
    End,
}

impl Inside {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Structure | Self::End, b'"') => Self::String,
            (Self::Structure | Self::End, _) => Self::Structure,
            (Self::String, b'\\') => Self::Escape,
            (Self::String, b'"') => Self::End,
            (Self::String | Self::Escape, _) => Self::String,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_counts_structure_and_not_strings() {
        assert_eq!(depth(b"1"), 0);
        assert_eq!(depth(br#"{"a":[1,{"b":"[[[[{{"}]}"#), 3);
        assert_eq!(depth(br#"["\"[[",["\\"],[]]"#), 2);
    }

    #[test]
    fn compact_leaves_strings_alone() {
        let compacted = compact(&Bytes::from_static(b"{ \"a b\\\" c\" :\n [ 1 , \"\\n \" ] }"), 8);
        assert_eq!(compacted.as_deref(), Some(&br#"{"a b\" c":[1,"\n "]}"#[..]));
        assert_eq!(compact(&Bytes::from_static(b"{} {}"), 8), None);
        assert_eq!(compact(&Bytes::from_static(b""), 8), None);
        assert_eq!(compact(&Bytes::from_static(b"[[[]]]"), 2), None);
    }

    #[test]
    fn half_a_pair_is_found() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, false),
            (r#""\uD83D\uDE00 \u0041\n""#, false),
            (r#""\\ud800""#, false),
            (r#""\ud800""#, true),
            (r#""\ud800x\udc00""#, true),
            (r#""\ud800\n\udc00""#, true),
            (r#""\ud800\ud800\udc00""#, true),
            (r#""\udc00""#, true),
            (r#""\ud800","\udc00""#, true),
            ("\"é😀\"", false),
        ] {
            assert_eq!(has_half_pair(text), expected, "{text}");
        }
    }

    #[test]
    fn a_deep_text_does_not_reach_the_end_of_the_stack() {
        let text = Bytes::from(vec![b'['; 1_000_000]);
        assert_eq!(compact(&text, usize::MAX), None);
    }

    proptest! {
        #[test]
        fn compact_means_the_same(text in "\\PC*|[\\[\\]{}\"a\\\\ \n:,1]{0,40}") {
            let bytes = Bytes::from(text.clone());
            let value = serde_json::from_str::<serde_json::Value>(&text).ok();
            if let (Some(value), Some(compact)) = (value, compact(&bytes, 64)) {
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&compact).unwrap(), value);
                prop_assert!(!compact.contains(&b'\n'));
            }
        }
    }
}
