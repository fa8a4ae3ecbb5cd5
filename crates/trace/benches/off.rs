//! What an event costs where nobody listens: a loop over pretended segments that tells of each, beside the same loop
//! that does not. `cargo bench -p fourwire-trace --bench off`.

#![allow(clippy::disallowed_methods, reason = "what is measured is the machine")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use fourwire_trace::{Direction, Endpoints, Event, Segment, Tracer, Why};

const SEGMENTS: u32 = 1_000_000;
const ROUNDS: usize = 51;

fn main() {
    let local: SocketAddr = "10.9.0.2:80".parse().expect("an address");
    let endpoints = Endpoints { local, remote: local };
    let tracer = Tracer::OFF;
    // Interleaved, so that both see the same machine.
    let mut rounds: Vec<[f64; 2]> = (0..ROUNDS)
        .map(|_| {
            [
                seconds(|_| {}),
                seconds(|sequence| {
                    // Not known to be off from one segment to the next.
                    black_box(&tracer).emit(u64::from(sequence), || {
                        Event::Segment(Segment {
                            endpoints,
                            direction: Direction::Down,
                            sequence,
                            acknowledgment: 0,
                            len: 1460,
                            flags: 0x10,
                            why: Why::New,
                            congestion_window: 14_600,
                            in_flight: 1_460,
                        })
                    });
                }),
            ]
            .map(|seconds| seconds / f64::from(SEGMENTS) * 1e9)
        })
        .collect();
    rounds.sort_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0])));
    let [without, with] = rounds[ROUNDS / 2];
    println!(
        "a segment without an event {without:.2} ns, with one that nobody hears {with:.2} ns: {:+.2} ns",
        with - without
    );
}

/// The work of a segment, much too little of it: a header's worth of arithmetic that the compiler cannot leave out.
fn seconds(tell: impl Fn(u32)) -> f64 {
    let mut header = black_box([0x5au8; 40]);
    let started = Instant::now();
    for sequence in 0..SEGMENTS {
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        tell(sequence);
        black_box(&mut header);
    }
    started.elapsed().as_secs_f64()
}
