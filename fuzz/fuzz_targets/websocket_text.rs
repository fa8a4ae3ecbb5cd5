#![no_main]
//! Text in one masked frame, cut in two: taken when the standard library takes it, and as it was before it was masked.

use fourwire_host::Instant;
use libfuzzer_sys::fuzz_target;
use websocket::protocol::Protocol;
use websocket::{End, Fault, Kind, Limits, Outbox};

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, cut_high, cut_low], text)) = input.split_first_chunk() else { return };
    let key = [a, b, c, d];
    let mut frame = vec![0x81];
    match text.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        _ => return,
    }
    frame.extend(key);
    frame.extend(text.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    let cut = usize::from(u16::from_be_bytes([cut_high, cut_low])) % (frame.len() + 1);
    let mut server = Protocol::server(Instant::ORIGIN, Limits::default(), None);
    let mut heard = None;
    let mut handler = |kind: Kind, payload: &[u8], _: &mut Outbox| {
        assert_eq!((kind, payload), (Kind::Text, text));
        heard = Some(());
    };
    let (first, second) = frame.split_at_mut(cut);
    server.receive(Instant::ORIGIN, first, &mut handler);
    server.receive(Instant::ORIGIN, second, &mut handler);
    let valid = std::str::from_utf8(text).is_ok();
    assert_eq!(heard.is_some(), valid);
    assert_eq!(server.expected_end(), (!valid).then_some(End::Fault(Fault::InvalidUtf8)));
});
