//! The extension's tests: negotiation, the RFC's examples, round trips, and hostile input.

use proptest::prelude::*;

use super::naive::Inflated;
use super::*;
use crate::handshake::extensions;

const MEBIBYTE: usize = 1024 * 1024;

fn offers(header: &str) -> Vec<extensions::Extension<'_>> {
    extensions::parse([header.as_bytes()]).expect("the test's header follows the grammar")
}

fn direction(window_bits: u8, context_takeover: bool) -> Direction {
    Direction { context_takeover, window_bits }
}

fn unlimited_ratio() -> RatioLimit {
    RatioLimit { ratio: u32::MAX, beyond: usize::MAX }
}

/// A whole message at once.
fn inflate(decompressor: &mut Decompressor, payload: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let mut output = Vec::new();
    decompressor.decompress(payload, &mut output, limit)?;
    decompressor.finish(&mut output, limit)?;
    Ok(output)
}

fn deflate(compressor: &mut Compressor, message: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    assert!(compressor.compress(message, &mut output));
    output
}

#[test]
fn a_server_grants_what_it_can() {
    let generous =
        Options { server_context_takeover: true, client_context_takeover: true, ..Options::default() };
    let thrifty = Options { server_max_window_bits: 11, client_max_window_bits: 10, ..Options::default() };
    let (server, client) = ("server_no_context_takeover", "client_no_context_takeover");
    for (options, offer, answer) in [
        (generous, "", "".to_owned()),
        (generous, "; server_no_context_takeover", format!("; {server}")),
        (generous, "; client_no_context_takeover", format!("; {client}")),
        (generous, "; client_max_window_bits", String::new()),
        (generous, "; client_max_window_bits=15", String::new()),
        (generous, "; client_max_window_bits=9", "; client_max_window_bits=9".to_owned()),
        (generous, "; client_max_window_bits=\"9\"", "; client_max_window_bits=9".to_owned()),
        (generous, "; server_max_window_bits=8", "; server_max_window_bits=8".to_owned()),
        (generous, "; server_max_window_bits=15", "; server_max_window_bits=15".to_owned()),
        (thrifty, "", format!("; {server}; {client}; server_max_window_bits=11")),
        (
            thrifty,
            "; client_max_window_bits",
            format!("; {server}; {client}; server_max_window_bits=11; client_max_window_bits=10"),
        ),
        (
            thrifty,
            "; client_max_window_bits=8; server_max_window_bits=9",
            format!("; {server}; {client}; server_max_window_bits=9; client_max_window_bits=8"),
        ),
    ] {
        let header = format!("permessage-deflate{offer}");
        let parsed = Offer::parse(&offers(&header)[0]).expect(&header);
        let (agreed, answered) = options.accept(&parsed);
        assert_eq!(answered, format!("permessage-deflate{answer}"), "to {header}");
        // A client that asked for nothing must be able to live with any answer to an offer without parameters.
        let confirmed = Options { level: options.level, threshold: options.threshold, ..generous }
            .confirm(&offers(&answered)[0])
            .expect(&answered);
        assert_eq!(confirmed, agreed, "both sides of {answered}");
    }
}

#[test]
fn a_server_declines_what_is_not_valid() {
    for parameters in [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=1e1",
        "server_max_window_bits=18446744073709551625",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=7",
        "client_max_window_bits=0",
        "client_max_window_bits=-9",
        "client_max_window_bits; client_max_window_bits=12",
        "Server_No_Context_Takeover",
    ] {
        let header = format!("permessage-deflate; {parameters}");
        assert_eq!(Offer::parse(&offers(&header)[0]), None, "{header}");
    }
    assert_eq!(Offer::parse(&offers("x-webkit-deflate-frame")[0]), None);
}

#[test]
fn a_client_believes_only_what_it_asked_for() {
    let strict = Options { server_max_window_bits: 10, client_max_window_bits: 12, ..Options::default() };
    assert_eq!(
        strict.offer(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
         client_max_window_bits=12"
    );
    for (answer, valid) in [
        ("server_no_context_takeover; server_max_window_bits=10", true),
        ("server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=9", true),
        ("server_max_window_bits=10", false),
        ("server_no_context_takeover", false),
        ("server_no_context_takeover; server_max_window_bits=11", false),
        ("server_no_context_takeover; server_max_window_bits=10; client_max_window_bits", false),
        ("server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=16", false),
        ("server_no_context_takeover; server_max_window_bits=10; more", false),
    ] {
        let header = format!("permessage-deflate; {answer}");
        assert_eq!(strict.confirm(&offers(&header)[0]).is_ok(), valid, "{header}");
    }
    let agreed = strict
        .confirm(&offers("permessage-deflate; server_no_context_takeover; server_max_window_bits=9")[0])
        .unwrap();
    assert_eq!((agreed.server, agreed.client), (direction(9, false), direction(12, false)));
}

/// RFC 7692, section 7.2.3, example by example.
#[test]
fn the_examples_of_the_rfc() {
    let mut taken_over = Decompressor::new(direction(15, true), RatioLimit::default());
    for payload in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        // After the final block of the fourth: the window is still that of the messages before.
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ] {
        assert_eq!(inflate(&mut taken_over, payload, 5).as_deref(), Ok(&b"Hello"[..]), "{payload:02x?}");
    }
    assert_eq!(inflate(&mut taken_over, &[0x00], 0).as_deref(), Ok(&b""[..]));

    let mut compressor = Compressor::new(direction(15, true), 6);
    assert_eq!(deflate(&mut compressor, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(deflate(&mut compressor, b""), [0x00]);
    assert_eq!(deflate(&mut compressor, b"Hello"), [0xf2, 0x00, 0x11, 0x00, 0x00]);
    assert_eq!(deflate(&mut Compressor::new(direction(15, false), 6), b""), [0x00]);
}

/// Some senders leave the octet of section 7.2.3.4 out; what follows must not suffer.
#[test]
fn a_final_block_may_end_a_message() {
    for context_takeover in [false, true] {
        let mut decompressor = Decompressor::new(direction(9, context_takeover), RatioLimit::default());
        for _ in 0..3 {
            let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
            assert_eq!(inflate(&mut decompressor, &payload, 5).as_deref(), Ok(&b"Hello"[..]));
        }
    }
}

#[test]
fn without_takeover_nothing_is_remembered() {
    let mut compressor = Compressor::new(direction(15, false), 6);
    let once = deflate(&mut compressor, b"Hello");
    assert_eq!(deflate(&mut compressor, b"Hello"), once);

    let mut decompressor = Decompressor::new(direction(15, false), RatioLimit::default());
    assert!(inflate(&mut decompressor, &once, 5).is_ok());
    assert!(!decompressor.holds_context(), "an idle connection holds no context");
    // A reference to an earlier message.
    assert_eq!(inflate(&mut decompressor, &[0xf2, 0x00, 0x11, 0x00, 0x00], 5), Err(Error::Corrupt));
}

/// 64 MiB of zeros in some 64 KiB.
fn bomb(context_takeover: bool) -> Vec<u8> {
    deflate(&mut Compressor::new(direction(15, context_takeover), 9), &vec![0; 64 * MEBIBYTE])
}

#[test]
fn a_bomb_goes_off_within_the_limit() {
    for context_takeover in [false, true] {
        let bomb = bomb(context_takeover);
        for chunk in [1, 1000, bomb.len()] {
            let mut decompressor = Decompressor::new(direction(15, context_takeover), unlimited_ratio());
            let mut output = Vec::new();
            let end = bomb
                .chunks(chunk)
                .try_for_each(|chunk| decompressor.decompress(chunk, &mut output, MEBIBYTE));
            assert_eq!(end, Err(Error::TooLarge { limit: MEBIBYTE }));
            assert!(output.capacity() <= MEBIBYTE + 1, "{} bytes were taken", output.capacity());
        }
    }
}

/// With takeover even a first message that is innocent can prime the window for the second.
#[test]
fn a_primed_bomb_goes_off_within_the_limit() {
    let mut compressor = Compressor::new(direction(15, true), 9);
    let mut decompressor = Decompressor::new(direction(15, true), unlimited_ratio());
    let noise: Vec<u8> =
        (0..32_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let first = deflate(&mut compressor, &noise);
    assert_eq!(inflate(&mut decompressor, &first, MEBIBYTE).as_deref(), Ok(&noise[..]));
    let second = deflate(&mut compressor, &noise.repeat(100));
    assert!(second.len() < noise.len() * 2);
    let mut output = Vec::new();
    let end = decompressor.decompress(&second, &mut output, MEBIBYTE);
    assert_eq!(end, Err(Error::TooLarge { limit: MEBIBYTE }));
    assert!(output.capacity() <= MEBIBYTE + 1);
}

#[test]
fn the_limit_itself_is_allowed() {
    let message = vec![7; 10_000];
    let payload = deflate(&mut Compressor::new(direction(15, false), 6), &message);
    for chunk in [1, 7, payload.len()] {
        for (limit, allowed) in [(9_999, false), (10_000, true), (10_001, true)] {
            let mut decompressor = Decompressor::new(direction(15, false), unlimited_ratio());
            let mut output = Vec::new();
            let end = payload
                .chunks(chunk)
                .try_for_each(|chunk| decompressor.decompress(chunk, &mut output, limit))
                .and_then(|()| decompressor.finish(&mut output, limit));
            assert_eq!(end.is_ok(), allowed, "limit {limit}, chunks of {chunk}");
        }
    }
}

#[test]
fn the_ratio_is_limited_beyond_its_allowance() {
    let small = deflate(&mut Compressor::new(direction(15, false), 9), &[0; 256 * 1024]);
    let mut decompressor = Decompressor::new(direction(15, false), RatioLimit::default());
    assert_eq!(
        inflate(&mut decompressor, &small, 64 * MEBIBYTE).map(|message| message.len()),
        Ok(256 * 1024)
    );

    let mut output = Vec::new();
    let end = decompressor.decompress(&bomb(false), &mut output, 64 * MEBIBYTE);
    assert_eq!(end, Err(Error::Ratio { ratio: 200 }));
    assert!(output.len() < 32 * MEBIBYTE);

    // Ordinary text of the same size passes.
    let text: String = (0..100_000).map(|line| format!("line {line} of a long log\n")).collect();
    let payload = deflate(&mut Compressor::new(direction(15, false), 9), text.as_bytes());
    let mut decompressor = Decompressor::new(direction(15, false), RatioLimit::default());
    assert_eq!(inflate(&mut decompressor, &payload, 64 * MEBIBYTE).as_deref(), Ok(text.as_bytes()));
}

/// Payloads with something in them for a compressor to find, near and far.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        (any::<u8>(), 0..3_000_usize).prop_map(|(octet, length)| vec![octet; length]),
        (0..40_u32).prop_map(|n| format!("{{\"user\":{n},\"text\":\"the same words again\"}}").into_bytes()),
        (0..60_usize, 100..700_usize).prop_map(|(times, length)| {
            (0..length).map(|index| (index * index % 251) as u8).collect::<Vec<_>>().repeat(times)
        }),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_compressed_comes_back(
        messages in prop::collection::vec(message(), 1..5),
        window_bits in 8..=15_u8,
        context_takeover in any::<bool>(),
        level in 1..=9_u8,
        chunk in 1..5_000_usize,
    ) {
        let direction = direction(window_bits, context_takeover);
        let mut compressor = Compressor::new(direction, level);
        let mut decompressor = Decompressor::new(direction, unlimited_ratio());
        let mut naive = Inflated::default();
        let mut total = 0;
        for message in &messages {
            let payload = deflate(&mut compressor, message);
            let mut output = Vec::new();
            for chunk in payload.chunks(chunk) {
                decompressor.decompress(chunk, &mut output, message.len()).unwrap();
            }
            decompressor.finish(&mut output, message.len()).unwrap();
            prop_assert_eq!(&output, message);

            if !context_takeover {
                (naive.bytes, total) = (Vec::new(), 0);
            }
            naive.message(&payload);
            prop_assert_eq!(&naive.bytes[total..], &message[..]);
            total += message.len();
        }
        prop_assert!(naive.furthest <= 1 << window_bits, "a match went back {} bytes", naive.furthest);
    }

    #[test]
    fn garbage_is_survived(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        chunk in 1..50_usize,
        context_takeover in any::<bool>(),
    ) {
        let mut decompressor = Decompressor::new(direction(15, context_takeover), RatioLimit::default());
        let mut output = Vec::new();
        let _ = payload
            .chunks(chunk)
            .try_for_each(|chunk| decompressor.decompress(chunk, &mut output, 10_000))
            .and_then(|()| decompressor.finish(&mut output, 10_000));
        prop_assert!(output.len() <= 10_001);
    }
}

#[test]
fn contexts_are_kept_only_within_the_budget() {
    let budget = Budget::new(3 * direction(15, true).compressor_bytes());
    let message = b"all work and no play makes Jack a dull boy".repeat(10);
    let mut compressors: Vec<Compressor> =
        (0..5).map(|_| Compressor::new(direction(15, true), 3).with_budget(budget.clone())).collect();
    let compressed: Vec<bool> =
        compressors.iter_mut().map(|compressor| compressor.compress(&message, &mut Vec::new())).collect();
    assert_eq!(compressed, [true, true, true, false, false]);
    compressors.remove(0);
    assert!(compressors[3].compress(&message, &mut Vec::new()));
    assert_eq!(budget.held_bytes(), 3 * direction(15, true).compressor_bytes());
    // Without takeover nothing is kept, and so nothing is counted.
    let mut free = Compressor::new(direction(15, false), 3).with_budget(budget.clone());
    let payload = deflate(&mut free, &message);

    // To inflate a whole message needs nothing either, but half a message needs to be kept.
    let mut decompressor =
        Decompressor::new(direction(15, false), RatioLimit::default()).with_budget(budget.clone());
    let mut output = Vec::new();
    decompressor.decompress_last(&payload, &mut output, 10_000).unwrap();
    assert_eq!(output, message);
    assert_eq!(decompressor.decompress(&payload[..10], &mut Vec::new(), 10_000), Err(Error::Budget));
    drop(compressors);
    assert_eq!(budget.held_bytes(), 0);
}
