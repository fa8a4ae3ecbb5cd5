//! SYN cookies (RFC 4987 section 3.6): when a listener's backlog is full, all that has to be remembered of a SYN is put
//! into the numbers of the answer, and comes back with the peer's acknowledgment.

use std::hash::BuildHasher;
use std::time::Duration;

use host::{Instant, Random};
use wire::tcp::{Options, SeqNumber};

use super::Flow;
use super::secrets::Key;
use super::tcp::Negotiated;

/// How long a key makes cookies. What it made counts for as long again.
const EPOCH: Duration = Duration::from_secs(64);

/// What three bits can say of the peer's largest segment.
const SEGMENT_SIZES: [u16; 8] = [216, 536, 1220, 1360, 1400, 1440, 1460, 8960];

/// The low bits of a cookie: the place in [`SEGMENT_SIZES`]. The others prove that we made it.
const SIZE_BITS: u32 = 3;

/// The low bits of our timestamp, which the peer echoes: four for its window scale, one for selective acknowledgment.
const AGREED_BITS: u32 = 6;
const NO_SCALE: u8 = 15;
const SACK: u8 = 1 << 4;

/// Stands for a peer without timestamps, which can bring back nothing but its segment size.
const NO_CLOCK: u8 = 1 << AGREED_BITS;

/// Makes cookies and knows them again. Nothing is kept of any.
#[derive(Debug)]
pub(super) struct Cookies {
    random: Random,
    epoch: u64,
    /// Of this epoch, and of the one before.
    keys: [Key; 2],
    /// When the latest was made: at other times nobody can have one.
    latest: Option<Instant>,
}

impl Cookies {
    pub(super) fn new(mut random: Random) -> Self {
        let keys = [Key::new(&mut random), Key::new(&mut random)];
        Self { random, epoch: 0, keys, latest: None }
    }

    /// The initial sequence number that stands for a SYN with number `peer` and these `options`. `None` when the peer
    /// takes only segments that are too small to be told.
    pub(super) fn generate(
        &mut self,
        now: Instant,
        flow: &Flow,
        peer: SeqNumber,
        options: &Options,
    ) -> Option<SeqNumber> {
        self.rotate(now);
        let default = if flow.remote.is_ipv4() { 536 } else { 1220 };
        let size = options.max_segment_size.unwrap_or(default);
        let place = SEGMENT_SIZES.iter().rposition(|&known| known <= size)? as u32;
        self.latest = Some(now);
        Some(proof(self.keys[0], flow, peer, place, agreed_bits(options)))
    }

    /// What was agreed on, when `cookie` is one that was given to `flow` not long ago. `peer` is the number of its SYN,
    /// `options` are those of its acknowledgment.
    pub(super) fn validate(
        &mut self,
        now: Instant,
        flow: &Flow,
        peer: SeqNumber,
        cookie: SeqNumber,
        options: &Options,
    ) -> Option<Negotiated> {
        self.latest.filter(|&latest| now.since(latest) < EPOCH * 2)?;
        self.rotate(now);
        let clock = options.timestamps;
        let bits = clock.map_or(NO_CLOCK, |clock| (clock.echo % (1 << AGREED_BITS)) as u8);
        let place = cookie.0 % (1 << SIZE_BITS);
        if !self.keys.iter().any(|&key| proof(key, flow, peer, place, bits) == cookie) {
            return None;
        }
        let scale = bits & 15;
        Some(Negotiated {
            max_segment_size: SEGMENT_SIZES[place as usize],
            window_scale: (clock.is_some() && scale != NO_SCALE).then_some(scale),
            sack: bits & SACK != 0,
            timestamps: clock.map(|clock| clock.value),
        })
    }

    fn rotate(&mut self, now: Instant) {
        let epoch = now.as_nanos() / EPOCH.as_nanos() as u64;
        match epoch.saturating_sub(self.epoch) {
            0 => return,
            1 => self.keys = [Key::new(&mut self.random), self.keys[0]],
            _ => self.keys = [Key::new(&mut self.random), Key::new(&mut self.random)],
        }
        self.epoch = epoch;
    }
}

/// The options of a SYN that a cookie can bring back.
pub(super) fn remembered(options: &Options) -> Options {
    match options.timestamps {
        Some(_) => *options,
        None => Options { window_scale: None, sack_permitted: false, ..*options },
    }
}

/// `clock` with what the SYN's `options` said in its low bits, and not later than it was.
pub(super) fn stamp(clock: u32, options: &Options) -> u32 {
    let step = 1 << AGREED_BITS;
    let stamp = (clock & !(step - 1)) | u32::from(agreed_bits(options));
    if SeqNumber(stamp).is_after(SeqNumber(clock)) { stamp.wrapping_sub(step) } else { stamp }
}

fn agreed_bits(options: &Options) -> u8 {
    if options.timestamps.is_none() {
        return NO_CLOCK;
    }
    let sack = if options.sack_permitted { SACK } else { 0 };
    options.window_scale.map_or(NO_SCALE, |scale| scale.min(14)) | sack
}

fn proof(key: Key, flow: &Flow, peer: SeqNumber, place: u32, bits: u8) -> SeqNumber {
    let hash = key.hash_one((flow, peer, place, bits)) as u32;
    SeqNumber(hash << SIZE_BITS | place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;
    use wire::tcp::Timestamps;

    fn flow(port: u16) -> Flow {
        Flow { local: SocketAddr::from(([10, 9, 0, 2], 80)), remote: SocketAddr::from(([10, 9, 0, 1], port)) }
    }

    fn cookies() -> Cookies {
        Cookies::new(Random::from_seed([9; 32]))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn what_a_syn_said_comes_back(
            size in 216u16.., scale in proptest::option::of(0u8..=14), sack: bool, clock: Option<u32>, ours: u32,
            peer: u32, start in 0u64..1000,
        ) {
            let timestamps = clock.map(|value| Timestamps { value, echo: 0 });
            let syn = Options {
                max_segment_size: Some(size), window_scale: scale, sack_permitted: sack, timestamps,
                ..Options::default()
            };
            let (mut cookies, peer) = (cookies(), SeqNumber(peer));
            let cookie = cookies.generate(at(start), &flow(5), peer, &syn).unwrap();
            let stamp = stamp(ours, &syn);
            prop_assert!(clock.is_none() || ours.wrapping_sub(stamp) < 64, "never ahead of the clock");
            let timestamps = clock.map(|value| Timestamps { value: value.wrapping_add(3), echo: stamp });
            let ack = Options { timestamps, ..Options::default() };
            let agreed = cookies.validate(at(start + 60), &flow(5), peer, cookie, &ack).unwrap();
            prop_assert!(agreed.max_segment_size <= size);
            let kept = remembered(&syn);
            prop_assert_eq!((agreed.window_scale, agreed.sack), (kept.window_scale, kept.sack_permitted));
            prop_assert_eq!(agreed.timestamps, clock.map(|value| value.wrapping_add(3)));
            let strangers = [
                cookies.validate(at(start + 60), &flow(6), peer, cookie, &ack),
                cookies.validate(at(start + 60), &flow(5), peer + 1, cookie, &ack),
                cookies.validate(at(start + 60), &flow(5), peer, cookie + 1, &ack),
                cookies.validate(at(start + 128), &flow(5), peer, cookie, &ack),
            ];
            prop_assert_eq!(strangers, [None; 4]);
        }
    }

    #[test]
    fn old_cookies_go_stale_even_when_new_ones_are_made() {
        let (mut cookies, peer, options) = (cookies(), SeqNumber(7), Options::default());
        let old = cookies.generate(at(0), &flow(5), peer, &options).unwrap();
        cookies.generate(at(100), &flow(6), peer, &options);
        assert!(cookies.validate(at(127), &flow(5), peer, old, &options).is_some());
        cookies.generate(at(128), &flow(6), peer, &options);
        assert!(cookies.validate(at(128), &flow(5), peer, old, &options).is_none());
    }

    #[test]
    fn options_that_were_changed_on_the_way_prove_nothing() {
        let (mut cookies, peer) = (cookies(), SeqNumber(7));
        let clock = |echo| Some(Timestamps { value: 1, echo });
        let syn = Options { window_scale: Some(2), timestamps: clock(0), ..Options::default() };
        let cookie = cookies.generate(at(0), &flow(5), peer, &syn).unwrap();
        let stamp = stamp(1 << 20, &syn);
        let mut validate = |echo| {
            let options = Options { timestamps: clock(echo), ..Options::default() };
            cookies.validate(at(1), &flow(5), peer, cookie, &options).is_some()
        };
        assert!(validate(stamp));
        assert!(!validate(stamp + 1));
    }
}
