//! What can be said on the command line, in the environment and in the configuration file, and which of them wins.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use server::Tokens;

use super::certificate::Source;
use super::doors::{self, Doors};
use super::rooms::{self, Namespace, Rooms, TokenFile};
use crate::network::{self, Net};

/// Where the default page is served.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8000);

/// Serve rooms over WebSocket, with a page and an HTTP API.
///
/// Each option can also stand in the configuration file under its long name with `_` for `-`, and in the environment
/// as shown. The command line wins over the environment, the environment over the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on. Repeat it, or separate with commas, for several [default: 127.0.0.1:8000]
    #[arg(long, env = "FOURWIRE_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    #[command(flatten)]
    doors: doors::Args,

    #[command(flatten)]
    network: network::Args,

    /// Directory of the rooms' history; it is made if need be [default: fourwire in the user's data directory]
    #[arg(long, env = "FOURWIRE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Keep rooms in memory only: nothing survives the end of the process
    #[arg(long, env = "FOURWIRE_MEMORY", conflicts_with = "data")]
    memory: bool,

    /// Configuration file (TOML)
    #[arg(long, env = "FOURWIRE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Let anybody who reaches the address read and write every room, on other than loopback addresses too
    #[arg(long, env = "FOURWIRE_INSECURE")]
    insecure: bool,

    /// Secret of the tokens (JWT, HS256) that clients must bring
    #[arg(long, env = "FOURWIRE_TOKEN_SECRET", value_name = "SECRET", hide_env_values = true)]
    token_secret: Option<String>,

    /// Key that calls of the HTTP API must bring
    #[arg(long, env = "FOURWIRE_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// Serve https and wss with the certificate in this PEM file, and those that vouch for it; it is read again when it
    /// changes
    #[arg(long, env = "FOURWIRE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(long, env = "FOURWIRE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve https and wss with a certificate that nobody vouches for, to try it out; it is kept in the data directory
    #[arg(long, env = "FOURWIRE_TLS_SELF_SIGNED", conflicts_with = "tls_cert")]
    tls_self_signed: bool,

    /// Origin whose pages may connect, beside our own; repeat it for several
    #[arg(long, env = "FOURWIRE_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,

    /// Threads that serve connections [default: the number of cores]
    #[arg(long, env = "FOURWIRE_SHARDS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,

    /// Connections that may be open at a time [default: 100000]
    #[arg(long, env = "FOURWIRE_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    /// What to log: error, warn, info, debug, or a filter such as `server=debug` [default: warn]
    #[arg(long, env = "FOURWIRE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// The configuration file: the flags, and what only a file has room for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: OneOrMany,
    net: Option<String>,
    address: Vec<String>,
    gateway: Vec<IpAddr>,
    data: Option<PathBuf>,
    memory: bool,
    insecure: bool,
    token_secret: Option<String>,
    api_key: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_self_signed: bool,
    allow_origin: Vec<String>,
    shards: Option<u16>,
    max_connections: Option<usize>,
    log: Option<String>,
    rooms: Rooms,
    namespaces: BTreeMap<String, Namespace>,
    tokens: TokenFile,
    ftp: doors::Ftp,
    smtp: doors::Smtp,
    dns: doors::Dns,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(SocketAddr),
    Many(Vec<SocketAddr>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// What to do, after all three were heard.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) network: network::Args,
    /// Where to keep rooms; `None` keeps them in memory.
    pub(super) data: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) tokens: Tokens,
    pub(super) api_key: Option<String>,
    /// The certificate to show; `None` serves without TLS.
    pub(super) certificate: Option<Source>,
    pub(super) allow_origin: Vec<String>,
    pub(super) shards: usize,
    pub(super) max_connections: usize,
    pub(super) log: String,
    pub(super) rooms: Rooms,
    pub(super) namespaces: hub::Namespaces,
    pub(super) doors: Doors,
}

/// Settings that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file is not there, or not ours to read.
    #[error("the configuration file {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file says something that is not understood.
    #[error("the configuration file {path} is not understood:\n{error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// More shards than there are queues.
    #[error("{0} is one stack, which is one shard: leave --shards {1} away, or serve on --net kernel")]
    Shards(Net, u16),
    /// A network that is none.
    #[error("the configuration file says: {0}")]
    Network(String),
    /// A zone that is none.
    #[error(transparent)]
    Zone(#[from] server::doors::dns::ZoneError),
    /// Half of a certificate.
    #[error("tls_cert and tls_key go together, and not with tls_self_signed: give both files, or that")]
    Certificate,
    /// An open door on an open network.
    #[error(
        "{0} can be reached from other machines, and without tokens anybody there could read and write every room.\n\
         Give --token-secret (clients then need a token), listen on 127.0.0.1, or say --insecure if that is what you want."
    )]
    Open(SocketAddr),
}

impl Args {
    /// Hears the file too, and settles what holds.
    pub(super) fn settle(self) -> Result<Settings, Error> {
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let mut listen = match file.listen {
            OneOrMany::One(address) => vec![address],
            OneOrMany::Many(addresses) => addresses,
        };
        if !self.listen.is_empty() {
            listen = self.listen;
        }
        if listen.is_empty() {
            listen.push(LISTEN);
        }
        let memory = self.memory || (file.memory && self.data.is_none());
        let data = self.data.or(file.data).unwrap_or_else(default_data);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let network = network(self.network, file.net, file.address, file.gateway)?;
        let certificate = match (self.tls_cert.or(file.tls_cert), self.tls_key.or(file.tls_key)) {
            (Some(chain), Some(key)) if !self.tls_self_signed && !file.tls_self_signed => {
                Some(Source::Files { chain, key })
            }
            (None, None) if self.tls_self_signed || file.tls_self_signed => {
                Some(Source::SelfSigned((!memory).then(|| data.join("tls"))))
            }
            (None, None) => None,
            _ => return Err(Error::Certificate),
        };
        let tokens = file.tokens.tokens(self.token_secret.or(file.token_secret));
        let insecure = self.insecure || file.insecure;
        let sections = doors::Sections { ftp: file.ftp, smtp: file.smtp, dns: file.dns };
        let settings = Settings {
            doors: self.doors.settle(sections, &listen, insecure)?,
            listen,
            certificate,
            data: (!memory).then_some(data),
            tokens,
            insecure,
            api_key: self.api_key.or(file.api_key),
            allow_origin: if self.allow_origin.is_empty() { file.allow_origin } else { self.allow_origin },
            shards: match network.is_own() {
                true => one_shard(&network, self.shards.or(file.shards))?,
                false => self.shards.or(file.shards).map_or(cores, usize::from).max(1),
            },
            network,
            max_connections: self.max_connections.or(file.max_connections).unwrap_or(100_000),
            log: self.log.or(file.log).unwrap_or_else(|| "warn".into()),
            rooms: file.rooms,
            namespaces: rooms::namespaces(&file.namespaces),
        };
        let open = settings.listen.iter().find(|address| !address.ip().is_loopback());
        match open {
            Some(&address) if settings.tokens.is_empty() && !settings.insecure => Err(Error::Open(address)),
            _ => Ok(settings),
        }
    }
}

/// What the command line says of the network, and what of the rest the file does.
fn network(
    said: network::Args,
    net: Option<String>,
    addresses: Vec<String>,
    gateways: Vec<IpAddr>,
) -> Result<network::Args, Error> {
    let net = match said.net {
        None => net.map(|net| net.parse()).transpose().map_err(Error::Network)?,
        said => said,
    };
    let addresses = match said.addresses.is_empty() {
        true => addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>(),
        false => Ok(said.addresses),
    };
    let gateways = if said.gateways.is_empty() { gateways } else { said.gateways };
    Ok(network::Args { net, addresses: addresses.map_err(Error::Network)?, gateways })
}

/// A device of our own stack has one queue, and so one shard.
fn one_shard(network: &network::Args, shards: Option<u16>) -> Result<usize, Error> {
    match shards {
        Some(shards) if shards > 1 => Err(Error::Shards(network.net.clone().unwrap_or_default(), shards)),
        _ => Ok(1),
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::Unreadable { path: path.into(), error })?;
    toml::from_str(&text).map_err(|error| Error::File { path: path.into(), error: Box::new(error) })
}

/// The user's data directory by the XDG base directory specification, or the working directory where there is no user.
fn default_data() -> PathBuf {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    base.unwrap_or_default().join("fourwire")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(args: Args, file: &str) -> Result<Settings, String> {
        let path = std::env::temp_dir().join(format!("fourwire-args-{}.toml", line_hash(file)));
        std::fs::write(&path, file).unwrap();
        let settled = Args { config: Some(path.clone()), ..args }.settle().map_err(|error| error.to_string());
        std::fs::remove_file(path).unwrap();
        settled
    }

    fn line_hash(text: &str) -> u64 {
        text.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let args = Args { listen: vec!["127.0.0.1:1".parse().unwrap()], shards: Some(3), ..Args::default() };
        let settings = settle(
            args,
            "listen = '127.0.0.1:2'\nshards = 5\nmax_connections = 7\n[rooms]\nhistory_size = 9",
        )
        .unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(settings.shards, 3);
        assert_eq!(settings.max_connections, 7);
        assert_eq!(settings.rooms.history_size, Some(9));
    }

    #[test]
    fn our_own_stack_is_one_shard() {
        let own = |shards| Args { shards, listen: vec!["127.0.0.1:1".parse().unwrap()], ..Args::default() };
        let file = "net = 'tap:fw0'\naddress = ['dhcp']";
        assert_eq!(settle(own(None), file).unwrap().shards, 1);
        assert_eq!(settle(own(Some(1)), file).unwrap().shards, 1);
        let error = settle(own(Some(2)), file).unwrap_err();
        assert!(error.contains("tap:fw0") && error.contains("--shards 2"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = settle(Args::default(), "shards = 2\nlisen = '127.0.0.1:2'\n").unwrap_err();
        assert!(error.contains("lisen") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn namespaces_say_what_holds_for_their_rooms() {
        let file = "[namespaces.default]\npublish = 'users'\n\n[namespaces.news]\ndurable = 'memory'\nhistory_size = 2\n\
                    history_seconds = 60\nsubscribe = 'nobody'\njoin_leave = false\n";
        let namespaces = settle(Args::default(), file).unwrap().namespaces;
        assert_eq!(namespaces.of("lobby").publish, hub::Right::Users);
        let news = namespaces.of("news:today");
        assert_eq!((news.durable, news.kept), (hub::Durable::Memory, Some(2)));
        assert_eq!(
            (news.age, news.subscribe),
            (Some(std::time::Duration::from_secs(60)), hub::Right::Nobody)
        );
        assert!(!news.join_leave && news.delta);
        for (file, word, line) in [
            ("[namespaces.news]\nhistory_sise = 2\n", "history_sise", "line 2"),
            ("\n[namespaces.news]\ndurable = 'maybe'\n", "maybe", "line 3"),
            ("[tokens]\nissuer = 'a'\nsecret = 'b'\n", "secret", "line 3"),
        ] {
            let error = settle(Args::default(), file).unwrap_err();
            assert!(error.contains(word) && error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_certificate_is_whole_or_none() {
        let certificate = |file: &str| settle(Args::default(), file).map(|settings| settings.certificate);
        assert_eq!(certificate(""), Ok(None));
        let files = Source::Files { chain: "a".into(), key: "b".into() };
        assert_eq!(certificate("tls_cert = 'a'\ntls_key = 'b'"), Ok(Some(files)));
        assert_eq!(certificate("tls_self_signed = true\nmemory = true"), Ok(Some(Source::SelfSigned(None))));
        for half in
            ["tls_cert = 'a'", "tls_key = 'b'", "tls_cert = 'a'\ntls_key = 'b'\ntls_self_signed = true"]
        {
            assert!(certificate(half).is_err(), "{half}");
        }
    }

    #[test]
    fn an_open_address_needs_tokens_or_a_word() {
        let error = settle(Args::default(), "listen = ['0.0.0.0:8000']").unwrap_err();
        assert!(error.contains("--insecure"), "{error}");
        assert!(settle(Args::default(), "listen = '0.0.0.0:8000'\ninsecure = true").is_ok());
        assert!(settle(Args::default(), "listen = '0.0.0.0:8000'\ntoken_secret = 'x'").is_ok());
    }
}
