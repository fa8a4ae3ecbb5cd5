//! The doors beside HTTP: what is said of them on the command line and in the configuration file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;
use server::doors::dns::{self, Services, ZoneError};
use server::doors::{Access, User, ftp, smtp};

use super::rooms::set;

/// Where a door is opened by `--all`: on ports that need no rights.
const FTP: u16 = 2121;
const SMTP: u16 = 2525;
const DNS: u16 = 5300;

/// The zone of a server that nobody named: `internal` is for private use, and never public.
const ZONE: &str = "fourwire.internal";

/// Doors beside HTTP.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Open a door for FTP at this address: files that are put into /rooms/NAME/ are live in the room
    #[arg(long, env = "FOURWIRE_FTP_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    ftp_listen: Vec<SocketAddr>,

    /// Open a door for SMTP at this address: mail to ROOM@localhost is posted in the room ROOM
    #[arg(long, env = "FOURWIRE_SMTP_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    smtp_listen: Vec<SocketAddr>,

    /// Domains whose mail is taken [default: localhost]
    #[arg(long, env = "FOURWIRE_MAIL_DOMAIN", value_name = "DOMAIN", value_delimiter = ',')]
    mail_domain: Vec<String>,

    /// Open a door for DNS at this address: it answers for the server's own zone
    #[arg(long, env = "FOURWIRE_DNS_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    dns_listen: Vec<SocketAddr>,

    /// Zone that the DNS door answers for [default: fourwire.internal]
    #[arg(long, env = "FOURWIRE_DNS_ZONE", value_name = "NAME")]
    dns_zone: Option<String>,

    /// Name server that is asked for other names, for clients in private networks
    #[arg(long, env = "FOURWIRE_DNS_FORWARD", value_name = "ADDRESS", value_delimiter = ',')]
    dns_forward: Vec<SocketAddr>,

    /// Open every door, beside HTTP on 127.0.0.1 unless said otherwise, on ports that need no rights
    #[arg(long, env = "FOURWIRE_ALL")]
    all: bool,
}

/// `[ftp]` in the configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ftp {
    listen: Vec<SocketAddr>,
    anonymous: bool,
    users: Vec<FileUser>,
    sessions: Option<usize>,
}

/// `[smtp]` in the configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Smtp {
    listen: Vec<SocketAddr>,
    domains: Vec<String>,
    anonymous: bool,
    users: Vec<FileUser>,
    sessions: Option<usize>,
    message_bytes: Option<usize>,
}

/// `[dns]` in the configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dns {
    listen: Vec<SocketAddr>,
    zone: Option<String>,
    records: Vec<String>,
    forward: Vec<SocketAddr>,
    datagrams_per_second: Option<u32>,
}

/// The sections of the configuration file.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    pub(super) ftp: Ftp,
    pub(super) smtp: Smtp,
    pub(super) dns: Dns,
}

/// `[[ftp.users]]` and `[[smtp.users]]` in the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUser {
    name: String,
    password: String,
    #[serde(default = "every_room")]
    rooms: Vec<String>,
}

/// The doors to open.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors {
    pub(super) ftp: Option<ftp::Config>,
    pub(super) smtp: Option<smtp::Config>,
    pub(super) dns: Option<dns::Config>,
    /// The name of the server's zone.
    pub(super) zone: String,
}

impl Args {
    /// What holds, after the file was heard too.
    pub(super) fn settle(
        self,
        sections: Sections,
        http: &[SocketAddr],
        insecure: bool,
    ) -> Result<Doors, ZoneError> {
        let Sections { ftp: file_ftp, smtp: file_smtp, dns: file_dns } = sections;
        let listen = |said: Vec<SocketAddr>, written: Vec<SocketAddr>, port: u16| match (said, written) {
            (said, _) if !said.is_empty() => said,
            (_, written) if !written.is_empty() => written,
            _ if self.all => vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)],
            _ => Vec::new(),
        };
        let ftp_listen = listen(self.ftp_listen, file_ftp.listen, FTP);
        let ftp = (!ftp_listen.is_empty()).then(|| {
            let mut config = ftp::Config {
                listen: ftp_listen,
                access: access(file_ftp.users, file_ftp.anonymous || insecure),
                ..ftp::Config::default()
            };
            set(&mut config.sessions, file_ftp.sessions);
            config
        });
        let smtp_listen = listen(self.smtp_listen, file_smtp.listen, SMTP);
        let smtp = (!smtp_listen.is_empty()).then(|| {
            let mut config = smtp::Config {
                listen: smtp_listen,
                access: access(file_smtp.users, file_smtp.anonymous || insecure),
                ..smtp::Config::default()
            };
            for domains in [file_smtp.domains, self.mail_domain] {
                if !domains.is_empty() {
                    config.domains = domains;
                }
            }
            set(&mut config.sessions, file_smtp.sessions);
            set(&mut config.limits.message_bytes, file_smtp.message_bytes);
            config
        });
        let dns_listen = listen(self.dns_listen, file_dns.listen, DNS);
        let mut dns = None;
        let zone = self.dns_zone.or(file_dns.zone).unwrap_or_else(|| ZONE.to_owned());
        if !dns_listen.is_empty() {
            let services = services(http, ftp.as_ref(), smtp.as_ref(), &dns_listen);
            let mut config = dns::Config { listen: dns_listen, ..dns::Config::default() };
            config.server.zones = dns::zones(&zone, &services, &file_dns.records)?;
            config.server.forward_to =
                if self.dns_forward.is_empty() { file_dns.forward } else { self.dns_forward };
            set(&mut config.server.datagrams_per_second, file_dns.datagrams_per_second);
            dns = Some(config);
        }
        Ok(Doors { ftp, smtp, dns, zone })
    }
}

/// What the zone tells of the server: addresses that others can use, and the ports of its doors.
fn services(
    http: &[SocketAddr],
    ftp: Option<&ftp::Config>,
    smtp: Option<&smtp::Config>,
    dns: &[SocketAddr],
) -> Services {
    let mut addresses = Vec::new();
    for address in http.iter().chain(dns).map(SocketAddr::ip).filter(|address| !address.is_unspecified()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let ports = [
        ("http", Some(http)),
        ("ftp", ftp.map(|ftp| &*ftp.listen)),
        ("smtp", smtp.map(|smtp| &*smtp.listen)),
    ];
    let ports = ports.into_iter().filter_map(|(name, listen)| Some((name, listen?.first()?.port())));
    Services { addresses, ports: ports.collect() }
}

fn access(users: Vec<FileUser>, anonymous: bool) -> Access {
    let users = users.into_iter().map(|FileUser { name, password, rooms }| User { name, password, rooms });
    Access { users: users.collect(), anonymous }
}

fn every_room() -> Vec<String> {
    vec!["*".into()]
}
