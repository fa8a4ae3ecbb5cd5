//! An adversarial link: each byte once and in order, or an error.

use std::io::IoSlice;
use std::time::Duration;

use super::pair::{Dice, Link, Pair};
use crate::transport::tcp::{End, Keepalive, ReadError, Settings, State, WriteError};

/// What one side sends and has got.
struct Side {
    to_send: usize,
    sent: usize,
    got: usize,
    finished: bool,
    failed: bool,
}

fn byte(side: usize, at: usize) -> u8 {
    (at * 31 + at / 255 + side) as u8
}

/// Sends from both sides over a link made from `seed`.
fn play(seed: u64) {
    let mut dice = Dice::new(seed ^ 0xfeed);
    let link = Link {
        delay: Duration::from_millis(1 + dice.below(80)),
        loss: [0, 10, 50, 150][dice.below(4) as usize],
        duplication: [0, 10, 200][dice.below(3) as usize],
        reordering: [0, 50, 400][dice.below(3) as usize],
        cut: None,
    };
    let settings = Settings {
        send_buffer: 3000 + dice.below(60_000) as usize,
        receive_buffer: 2048 + dice.below(100_000) as usize,
        nodelay: dice.below(2) == 0,
        user_timeout: Some(Duration::from_secs(1500)),
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(100),
            interval: Duration::from_secs(10),
            probes: 5,
        }),
        ..Settings::default()
    };
    let mut pair = Pair::new(seed, link, settings);
    if dice.below(4) == 0 {
        let from = pair.now + Duration::from_millis(dice.below(2000));
        let lasts = Duration::from_millis([500, 20_000, 10_000_000][dice.below(3) as usize]);
        pair.link.cut = Some((from, from + lasts));
    }
    let mut sides: [Side; 2] = std::array::from_fn(|_| Side {
        to_send: dice.below(120_000) as usize,
        sent: 0,
        got: 0,
        finished: false,
        failed: false,
    });
    let start = pair.now;
    for _ in 0..20_000 {
        for (number, side) in sides.iter_mut().enumerate() {
            use_side(&mut pair, &mut dice, number, side);
        }
        pair.flush();
        let until = pair.now + Duration::from_secs(20_000);
        if !pair.step(until) {
            break;
        }
        pair.log.clear();
    }
    for _ in 0..40 {
        for (number, side) in sides.iter_mut().enumerate() {
            use_side(&mut pair, &mut dice, number, side);
        }
    }
    let cut = pair.link.cut.is_some();
    for (number, side) in sides.iter().enumerate() {
        let Some(end) = &pair.ends[number] else {
            assert!(cut, "seed {seed}: side {number} was never reached");
            continue;
        };
        assert!(
            end.is_finished(),
            "seed {seed}: side {number} in {:?} after {:?}, sent {} of {}, got {}: {end:?}",
            end.state(),
            pair.now.since(start),
            side.sent,
            side.to_send,
            side.got
        );
        assert_eq!(end.poll_timeout(), None, "seed {seed}: a timer is left");
        assert!(cut || !side.failed, "seed {seed}: side {number} failed with {:?}", end.end());
    }
    for (number, side) in sides.iter().enumerate() {
        let other = &sides[1 - number];
        let whole = side.finished && side.got == other.to_send;
        assert!(whole || cut, "seed {seed}: side {number} got {} of {}", side.got, other.to_send);
    }
    assert!(pair.expiries < 3000, "seed {seed}: {} timers ran out", pair.expiries);
}

/// The application of one side: writes and reads some, shuts down at the end.
fn use_side(pair: &mut Pair, dice: &mut Dice, number: usize, side: &mut Side) {
    let now = pair.now;
    let Some(end) = &mut pair.ends[number] else { return };
    if side.sent < side.to_send {
        let len = (1 + dice.below(8000) as usize).min(side.to_send - side.sent);
        let bytes: Vec<u8> = (side.sent..side.sent + len).map(|at| byte(number, at)).collect();
        match end.write(now, &[IoSlice::new(&bytes)]) {
            Ok(len) => side.sent += len,
            Err(WriteError::WouldBlock) => {}
            Err(_) => side.failed = true,
        }
    } else if matches!(end.state(), State::Established | State::CloseWait) {
        end.shutdown(now);
    }
    if dice.below(3) == 0 {
        return;
    }
    let mut piece = vec![0; 1 + dice.below(30_000) as usize];
    match end.read(now, &mut piece) {
        Ok(0) => side.finished |= end.end().is_none_or(|end| end == End::Closed),
        Ok(len) => {
            for (at, &got) in piece[..len].iter().enumerate() {
                assert_eq!(got, byte(1 - number, side.got + at), "a wrong byte");
            }
            side.got += len;
        }
        Err(ReadError::WouldBlock) => {}
        Err(ReadError::Ended(_)) => side.failed = true,
    }
}

#[test]
fn each_byte_comes_once_and_in_order_or_an_error() {
    let seeds = std::env::var("TCP_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        play(seed);
    }
}
