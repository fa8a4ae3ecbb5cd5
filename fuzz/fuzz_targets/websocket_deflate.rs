#![no_main]
//! permessage-deflate: any bytes inflate within the limits or not at all, however they are cut; what was compressed comes
//! back.

use libfuzzer_sys::fuzz_target;
use websocket::deflate::{Compressor, Decompressor, Direction, RatioLimit};

const MOST: usize = 1 << 16;

fn inflate(direction: Direction, payload: &[u8], piece: usize) -> Result<Vec<u8>, ()> {
    let ratio = RatioLimit { ratio: u32::MAX, beyond: usize::MAX };
    let mut decompressor = Decompressor::new(direction, ratio);
    let mut output = Vec::new();
    for chunk in payload.chunks(piece) {
        decompressor.decompress(chunk, &mut output, MOST).map_err(drop)?;
        assert!(output.len() <= MOST + 1);
    }
    decompressor.finish(&mut output, MOST).map_err(drop)?;
    Ok(output)
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let direction = Direction { context_takeover: flags & 1 != 0, window_bits: 8 + (flags >> 1) % 8 };
    assert_eq!(inflate(direction, bytes, usize::MAX), inflate(direction, bytes, 3));
    let mut compressed = Vec::new();
    assert!(Compressor::new(direction, 1 + flags % 9).compress(bytes, &mut compressed));
    if bytes.len() <= MOST {
        assert_eq!(inflate(direction, &compressed, usize::MAX).as_deref(), Ok(bytes));
    }
});
