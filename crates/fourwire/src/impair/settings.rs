//! What can be said on the command line, in the environment and in the configuration file, and which of them wins.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lab::units::{Delay, Size};
use lab::{Duplex, Impairments, Preset};
use serde::Deserialize;

use super::API;
use super::change::{Change, Flags};
use super::fault::{Fault, Timed};

// Flattened into the command's own Args, whose name its group would have otherwise.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Address to listen on, such as 127.0.0.1:9000
    #[arg(long, env = "FOURWIRE_IMPAIR_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,

    /// Where to carry what comes, such as 127.0.0.1:8080 or localhost:8080
    #[arg(long, env = "FOURWIRE_IMPAIR_TO", value_name = "ADDRESS")]
    to: Option<String>,

    /// Carry UDP in place of TCP
    #[arg(long, env = "FOURWIRE_IMPAIR_UDP")]
    udp: bool,

    /// Be the cable between two network interfaces instead, such as veth0,veth1 (Linux; needs CAP_NET_RAW)
    #[arg(long, env = "FOURWIRE_IMPAIR_BETWEEN", value_name = "A,B", conflicts_with_all = ["listen", "to", "udp"])]
    between: Option<Between>,

    /// Begin with the impairments of a link that people know: 3g, 4g, edge, wifi-bad, satellite, dsl, lossy, bufferbloat or
    /// train. What else is said comes on top
    #[arg(long, env = "FOURWIRE_IMPAIR_PRESET", value_name = "NAME")]
    preset: Option<Preset>,

    /// Who may speak when on the link: full, half, `simplex out` or `simplex in` [default: full]
    #[arg(long, env = "FOURWIRE_IMPAIR_DUPLEX", value_name = "DUPLEX")]
    duplex: Option<Duplex>,

    /// The longest IP packet on the link, in bytes [default: 1500]
    #[arg(long, env = "FOURWIRE_IMPAIR_MTU", value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..))]
    mtu: Option<u16>,

    /// How much of a connection is held in each direction, at least 64KiB; more lets one connection fill a link that is
    /// both fast and long [default: 256KiB]
    #[arg(long, env = "FOURWIRE_IMPAIR_BUFFER", value_name = "SIZE")]
    buffer: Option<Size>,

    /// Connections that may be open at a time; one more is reset [default: 1024]
    #[arg(long, env = "FOURWIRE_IMPAIR_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    /// Draw chances from this seed: the same packets in the same order then meet the same fate [default: random]
    #[arg(long, env = "FOURWIRE_IMPAIR_SEED", value_name = "N")]
    seed: Option<u64>,

    /// Let something happen after a time, counted from the start: `10s cut`, `12s heal`, cut-up, cut-down, half-open, reset.
    /// Repeat it for several
    #[arg(long = "at", env = "FOURWIRE_IMPAIR_AT", value_name = "TIME FAULT", value_delimiter = ',')]
    at: Vec<Timed>,

    /// After so long, lose without a word the connections that are then open; new ones work
    #[arg(long, env = "FOURWIRE_IMPAIR_HALF_OPEN_AFTER", value_name = "TIME")]
    half_open_after: Option<Delay>,

    /// Write what passes both ends of the link into this directory, as pcapng
    #[arg(long, env = "FOURWIRE_IMPAIR_CAPTURE", value_name = "DIR")]
    capture: Option<PathBuf>,

    /// Where the HTTP API listens, by which `fourwire impair set` and Toxiproxy's clients change it
    /// [default: 127.0.0.1:8474, if that is free]
    #[arg(long, env = "FOURWIRE_IMPAIR_API", value_name = "ADDRESS", conflicts_with = "no_api")]
    api: Option<SocketAddr>,

    /// No HTTP API
    #[arg(long, env = "FOURWIRE_IMPAIR_NO_API")]
    no_api: bool,

    /// Configuration file (TOML)
    #[arg(long, env = "FOURWIRE_IMPAIR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags,
}

/// Two interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Between(pub(super) [String; 2]);

impl FromStr for Between {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(',') {
            Some((one, other)) if !one.is_empty() && !other.is_empty() && one != other => {
                Ok(Self([one.into(), other.into()]))
            }
            _ => Err(format!("{text:?} are no two interfaces: write veth0,veth1")),
        }
    }
}

/// The configuration file: the flags, impairments in tables of their own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<String>,
    to: Option<String>,
    udp: bool,
    between: Option<String>,
    preset: Option<String>,
    duplex: Option<String>,
    mtu: Option<u16>,
    buffer: Option<String>,
    max_connections: Option<usize>,
    seed: Option<u64>,
    at: Vec<String>,
    half_open_after: Option<String>,
    capture: Option<PathBuf>,
    api: Option<SocketAddr>,
    no_api: bool,
    /// Of both directions.
    impairments: Change,
    up: Change,
    down: Change,
}

/// What to do, after all three were heard.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) job: Job,
    /// Towards the target, and back.
    pub(super) impairments: [Impairments; 2],
    pub(super) duplex: Duplex,
    pub(super) mtu: u16,
    pub(super) buffer: usize,
    pub(super) max_connections: usize,
    pub(super) seed: Option<u64>,
    /// In the order of their times.
    pub(super) faults: Vec<Timed>,
    pub(super) capture: Option<PathBuf>,
    pub(super) api: Api,
}

/// What to be in the way of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Carry {
        listen: String,
        to: String,
        udp: bool,
    },
    Between([String; 2]),
    /// Of what the API's clients say.
    Wait,
}

/// Where the API listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Nowhere,
    /// At its usual place, if that is free.
    Usual,
    At(SocketAddr),
}

/// Settings that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the configuration file {0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("the configuration file {0} is not understood:\n{1}")]
    File(PathBuf, Box<toml::de::Error>),
    #[error("the configuration file says {0}")]
    Value(String),
    #[error(
        "say where to listen and where to carry what comes: --listen 127.0.0.1:9000 --to 127.0.0.1:8080\n\
         (or --between A,B for two interfaces, or only --api ADDRESS to be told by its clients)"
    )]
    NoJob,
    #[error("{0} is too little for --buffer: say at least 64KiB")]
    Buffer(Size),
    #[error("--buffer is at most 64MiB")]
    LargeBuffer,
}

impl Args {
    /// Hears the file too, and settles what holds.
    pub(super) fn settle(self) -> Result<Settings, Error> {
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let preset = self.preset.map_or_else(|| said(&file.preset, "preset"), |said| Ok(Some(said)))?;
        let mut impairments = preset.map_or_else(Default::default, |preset| [preset.up(), preset.down()]);
        let [both, up, down] = self.flags.changes();
        let of_file = [file.up, file.down].map(|each| each.or(&file.impairments));
        for ((to, of_file), said) in impairments.iter_mut().zip(of_file).zip([up, down]) {
            said.or(&both).or(&of_file).apply(to);
        }
        let mut faults = self.at;
        if faults.is_empty() {
            for text in &file.at {
                faults.push(text.parse().map_err(|error| Error::Value(format!("at = {text:?}: {error}")))?);
            }
        }
        let half_open = match self.half_open_after {
            None => said(&file.half_open_after, "half_open_after")?,
            said => said,
        };
        faults.extend(half_open.map(|after| Timed { after, fault: Fault::HalfOpen }));
        faults.sort_by_key(|timed| timed.after);
        let api = match (self.api.or(file.api), self.no_api || (file.no_api && self.api.is_none())) {
            (_, true) => Api::Nowhere,
            (Some(address), false) => Api::At(address),
            (None, false) => Api::Usual,
        };
        let between = self.between.map_or_else(|| said(&file.between, "between"), |said| Ok(Some(said)))?;
        let job = match (between, self.listen.or(file.listen), self.to.or(file.to)) {
            (Some(Between(interfaces)), ..) => Job::Between(interfaces),
            (None, Some(listen), Some(to)) => Job::Carry { listen, to, udp: self.udp || file.udp },
            (None, None, None) if matches!(api, Api::At(_)) => Job::Wait,
            _ => return Err(Error::NoJob),
        };
        let duplex = self.duplex.map_or_else(|| said(&file.duplex, "duplex"), |said| Ok(Some(said)))?;
        let buffer = self.buffer.map_or_else(|| said(&file.buffer, "buffer"), |said| Ok(Some(said)))?;
        let buffer: Size = buffer.unwrap_or(Size::kib(256));
        if buffer < Size::kib(64) {
            return Err(Error::Buffer(buffer));
        }
        if buffer > Size::kib(64 * 1024) {
            return Err(Error::LargeBuffer);
        }
        Ok(Settings {
            job,
            impairments,
            duplex: duplex.unwrap_or_default(),
            mtu: self.mtu.or(file.mtu).unwrap_or(1500),
            buffer: buffer.as_bytes() as usize,
            max_connections: self.max_connections.or(file.max_connections).unwrap_or(1024),
            seed: self.seed.or(file.seed),
            faults,
            capture: self.capture.or(file.capture),
            api,
        })
    }
}

impl Api {
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Nowhere => None,
            Self::Usual => Some(API),
            Self::At(address) => Some(address),
        }
    }
}

/// A value of the file in the words of the command line.
fn said<T: FromStr<Err: std::fmt::Display>>(text: &Option<String>, key: &str) -> Result<Option<T>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|error: T::Err| Error::Value(format!("{key} = {text:?}: {error}")))
    };
    text.as_ref().map(parse).transpose()
}

fn read(path: &Path) -> Result<File, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::Unreadable(path.into(), error))?;
    toml::from_str(&text).map_err(|error| Error::File(path.into(), Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settle(args: Args, file: &str) -> Result<Settings, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("impair.toml");
        std::fs::write(&path, file).unwrap();
        Args { config: Some(path), ..args }.settle().map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_each_direction_over_both() {
        let said = Args { to: Some("127.0.0.1:2".into()), mtu: Some(1280), ..Args::default() };
        let file = "listen = '127.0.0.1:1'\nto = 'x:1'\nmtu = 1400\npreset = '3g'\nat = ['2s heal', '1s cut']\n\
                    [impairments]\nloss = '3%'\n[down]\nloss = '5%'\ndelay = '7ms'";
        let settings = settle(said, file).unwrap();
        let Job::Carry { listen, to, .. } = settings.job else { panic!("{:?}", settings.job) };
        assert_eq!((listen.as_str(), to.as_str(), settings.mtu), ("127.0.0.1:1", "127.0.0.1:2", 1280));
        let [up, down] = settings.impairments;
        assert_eq!((up.loss.to_string(), down.loss.to_string()), ("3%".into(), "5%".into()));
        assert_eq!((up.rate, down.delay), (Preset::ThreeG.up().rate, Duration::from_millis(7)));
        assert_eq!(
            settings.faults.iter().map(|timed| timed.fault).collect::<Vec<_>>(),
            [Fault::Cut, Fault::Heal]
        );
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for (file, word) in [
            ("listen = '127.0.0.1:1'", "--to"),
            ("lisen = '127.0.0.1:1'", "lisen"),
            ("between = 'a'", "interfaces"),
            ("between = 'a,b'\nbuffer = '1KiB'", "64KiB"),
            ("between = 'a,b'\nat = ['soon cut']", "soon"),
            ("between = 'a,b'\n[up]\nloss = '3'", "3"),
        ] {
            let error = settle(Args::default(), file).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
