//! Impairments of links that people know, by name.
//!
//! Each number says where it comes from; what nobody measured, and we chose, says that too.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use super::impairments::Impairments;
use super::jitter::{Distribution, Jitter};
use super::loss::Loss;
use super::queue::Discipline;
use super::schedule::Schedule;
use crate::units::{Chance, Limit, Rate, Size, UnitError};

/// A link that people know. Written by its [`name`](Self::name): `3g`, `wifi-bad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A phone on UMTS.
    ThreeG,
    /// A phone on LTE, with ordinary coverage.
    FourG,
    /// A phone on EDGE, where there is nothing better.
    Edge,
    /// A Wi-Fi at its edge, with a crowd on it.
    WifiBad,
    /// A geostationary satellite.
    Satellite,
    /// An old telephone line.
    Dsl,
    /// A path with much more loss than it should have, and nothing else wrong.
    Lossy,
    /// A line with a long queue before it that never says no.
    Bufferbloat,
    /// A phone in a fast train that loses every cell before it finds the next.
    Train,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ThreeG,
        Self::FourG,
        Self::Edge,
        Self::WifiBad,
        Self::Satellite,
        Self::Dsl,
        Self::Lossy,
        Self::Bufferbloat,
        Self::Train,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThreeG => "3g",
            Self::FourG => "4g",
            Self::Edge => "edge",
            Self::WifiBad => "wifi-bad",
            Self::Satellite => "satellite",
            Self::Dsl => "dsl",
            Self::Lossy => "lossy",
            Self::Bufferbloat => "bufferbloat",
            Self::Train => "train",
        }
    }

    /// Where its numbers come from.
    pub const fn source(self) -> &'static str {
        match self {
            Self::ThreeG => "WebPageTest, profile 3G: 1.6 Mbit/s down, 768 kbit/s up, 300 ms round trip",
            Self::FourG => "WebPageTest, profile 4G: 9 Mbit/s each way, 170 ms round trip",
            Self::Edge => "WebPageTest, profile Edge: 240 kbit/s down, 200 kbit/s up, 840 ms round trip",
            Self::WifiBad => {
                "Pei and others 2016: half of the packets over 20 ms on the Wi-Fi hop, one in ten over 100 ms; lowest rate \
                 of IEEE 802.11 OFDM; loss in bursts of our choice"
            }
            Self::Satellite => {
                "Huston 2022: 239 ms up and down at least, round trips of 600 ms; rates of our choice; a queue of one \
                 bandwidth-delay product"
            }
            Self::Dsl => "WebPageTest, profile DSL: 1.5 Mbit/s down, 384 kbit/s up, 50 ms round trip",
            Self::Lossy => "ITU-T Y.1541, class 0: half of its bound on delay, ten times its bound on loss",
            Self::Bufferbloat => {
                "Kreibich and others 2010 (Netalyzr): uplink buffers of 256 KiB, a second and more of waiting; rates of our \
                 choice"
            }
            Self::Train => {
                "the rates and delays of 4g; cells 1,732 m apart (3GPP TR 38.913, high speed) at 300 km/h; two seconds \
                 without a link at each of our choice"
            }
        }
    }

    /// What happens on the way from the person to the network.
    pub fn up(self) -> Impairments {
        match self {
            Self::ThreeG => web_page_test(Rate::kbit(768), 300),
            Self::FourG => web_page_test(Rate::mbit(9), 170),
            Self::Edge => web_page_test(Rate::kbit(200), 840),
            Self::Dsl => web_page_test(Rate::kbit(384), 50),
            Self::Satellite => satellite(Rate::mbit(3)),
            Self::Bufferbloat => bufferbloat(Rate::mbit(1)),
            Self::WifiBad => wifi_bad(),
            Self::Lossy => lossy(),
            Self::Train => train(),
        }
    }

    /// What happens on the way from the network to the person.
    pub fn down(self) -> Impairments {
        match self {
            Self::ThreeG => web_page_test(Rate::kbit(1_600), 300),
            Self::FourG => web_page_test(Rate::mbit(9), 170),
            Self::Edge => web_page_test(Rate::kbit(240), 840),
            Self::Dsl => web_page_test(Rate::kbit(1_500), 50),
            Self::Satellite => satellite(Rate::mbit(25)),
            Self::Bufferbloat => bufferbloat(Rate::mbit(8)),
            Self::WifiBad => wifi_bad(),
            Self::Lossy => lossy(),
            Self::Train => train(),
        }
    }
}

impl FromStr for Preset {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = "one of 3g, 4g, edge, wifi-bad, satellite, dsl, lossy, bufferbloat, train";
        let known = Self::ALL.into_iter().find(|preset| preset.name() == text.trim());
        known.ok_or_else(|| UnitError::form(text, form))
    }
}

impl Display for Preset {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A profile of WebPageTest: a rate and a round trip, half of it each way, before a queue of 50 packets (the default of
/// the dummynet that it uses).
fn web_page_test(rate: Rate, round_trip_millis: u64) -> Impairments {
    Impairments {
        rate: Some(rate),
        queue: Discipline::DropTail(Limit::Packets(50)),
        delay: Duration::from_millis(round_trip_millis / 2),
        ..Impairments::default()
    }
}

/// A Pareto distribution whose median is 10 ms and whose ninth decile is 50 ms, so that there and back they are about 20
/// and 100. With shape 3, of the standard distribution they are -0.277 and 0.755: that gives the deviation, and from it the
/// mean. 2 % are lost: every other one of bursts of five on average. The model counts packets and not time, so where nothing at
/// all passed, a sender that backs off would meet the same burst for minutes.
fn wifi_bad() -> Impairments {
    let spread = Duration::from_millis(39);
    Impairments {
        rate: Some(Rate::mbit(6)),
        queue: Discipline::DropTail(Limit::Packets(100)),
        delay: Duration::from_millis(21),
        jitter: Jitter { distribution: Distribution::Pareto, ..Jitter::uniform(spread) },
        loss: Loss::GilbertElliott {
            // p / (p + r) = 4 %.
            p: Chance::per_million(8_333),
            r: Chance::percent(20),
            h: Chance::percent(50),
            k: Chance::ALWAYS,
        },
        ..Impairments::default()
    }
}

/// 300 ms up to the satellite and down again, with what lies behind.
fn satellite(rate: Rate) -> Impairments {
    // A round trip of 600 ms at that rate.
    let product = rate.bits() * 6 / 10 / 8;
    Impairments {
        rate: Some(rate),
        queue: Discipline::DropTail(Limit::Bytes(Size::bytes(product))),
        delay: Duration::from_millis(300),
        ..Impairments::default()
    }
}

/// The class allows 100 ms and one packet in a thousand.
fn lossy() -> Impairments {
    Impairments {
        delay: Duration::from_millis(50),
        loss: Chance::percent(1).into(),
        ..Impairments::default()
    }
}

/// A megabit and 256 KiB: two seconds.
fn bufferbloat(rate: Rate) -> Impairments {
    Impairments {
        rate: Some(rate),
        queue: Discipline::DropTail(Limit::Bytes(Size::kib(256))),
        delay: Duration::from_millis(10),
        ..Impairments::default()
    }
}

/// 1,732 m at 300 km/h are 20.8 s. The base station keeps what comes meanwhile.
fn train() -> Impairments {
    let [on, off] = [18_800, 2_000].map(Duration::from_millis);
    Impairments {
        queue: Discipline::DropTail(Limit::Bytes(Size::kib(256))),
        schedule: Some(Schedule { on, off, from: Duration::ZERO, waits: true }),
        ..web_page_test(Rate::mbit(9), 170)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Random;

    #[test]
    fn names_are_read_and_printed() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
            assert!(!preset.source().is_empty());
        }
        let error = "5g".parse::<Preset>().unwrap_err().to_string();
        assert!(Preset::ALL.iter().all(|preset| error.contains(preset.name())), "{error}");
    }

    #[test]
    fn a_bad_wifi_is_as_bad_as_it_was_measured() {
        let Impairments { delay, jitter, .. } = wifi_bad();
        let mut random = Random::from_seed([4; 32]);
        let mut trips: Vec<_> =
            (0..20_000).map(|_| jitter.vary(delay, &mut random) + jitter.vary(delay, &mut random)).collect();
        trips.sort_unstable();
        let at = |percent: usize| trips[trips.len() * percent / 100].as_millis();
        // More than half over 20 ms, a tenth over 100 ms.
        assert!((20..40).contains(&at(50)), "{}", at(50));
        assert!((80..120).contains(&at(90)), "{}", at(90));
    }
}
