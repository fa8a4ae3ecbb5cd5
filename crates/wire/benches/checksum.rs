//! How fast bytes are summed up, beside two other ways: word by word as RFC 1071 reads, and in 32-bit lanes that the
//! compiler makes vector instructions of. `cargo bench -p fourwire-wire --bench checksum`.

#![allow(clippy::disallowed_methods, reason = "what is measured is the machine")]

use std::hint::black_box;
use std::time::Instant;

use fourwire_wire::checksum::Sum;

fn main() {
    println!("{:>8} {:>22} {:>22} {:>22}", "bytes", "Sum", "32-bit lanes", "word by word");
    for len in [20u16, 40, 64, 576, 1460, 9000, 65_535] {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + 3) as u8).collect();
        let expected = word_by_word(&bytes);
        assert_eq!([Sum::of(&bytes).checksum(), lanes(&bytes)], [expected; 2]);
        let sum = seconds(&bytes, |bytes| Sum::of(bytes).checksum());
        let [lanes, words] = [seconds(&bytes, lanes), seconds(&bytes, word_by_word)];
        let [sum, lanes, words] = [sum, lanes, words]
            .map(|seconds| format!("{:.1} ns {:6.1} GB/s", seconds * 1e9, f64::from(len) / seconds / 1e9));
        println!("{len:>8} {sum:>22} {lanes:>22} {words:>22}");
    }
}

/// What one call costs: the best of many rounds, for the others were disturbed.
fn seconds(bytes: &[u8], sum: fn(&[u8]) -> u16) -> f64 {
    let calls = 4_000_000 / bytes.len() as u32 + 1;
    let round = || {
        let started = Instant::now();
        for _ in 0..calls {
            black_box(sum(black_box(bytes)));
        }
        started.elapsed().as_secs_f64() / f64::from(calls)
    };
    (0..50).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn word_by_word(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn lanes(bytes: &[u8]) -> u16 {
    let mut lanes = [0u64; 8];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    let mut sum: u64 = lanes.iter().sum();
    for pair in rest.chunks(2) {
        sum += u64::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::from_be(sum as u16)
}
