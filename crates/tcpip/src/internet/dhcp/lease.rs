//! What a server lends, checked.

use std::net::Ipv4Addr;
use std::time::Duration;

use host::Instant;
use wire::dhcpv4::{DhcpOption, Header, Options};

use crate::internet::Cidr;

/// Shorter leases are none: renewing them would be all that the client does.
const LEAST: Duration = Duration::from_secs(10);
/// Name servers that are kept.
const MAX_SERVERS: usize = 3;
/// The longest name of a domain (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;
/// Each IPv4 host takes packets of 576 bytes (RFC 791 section 3.1): a link with less is nobody's.
const LEAST_MTU: u16 = 576;

/// An address for a time, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, with the bits of its network.
    pub address: Cidr,
    /// Who lends it.
    pub server: Ipv4Addr,
    /// The way out of the network.
    pub router: Option<Ipv4Addr>,
    /// Who answers questions about names, the best first: three at most.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain in which short names are looked for.
    pub domain: Option<String>,
    /// What the link takes, in bytes.
    pub mtu: Option<u16>,
    /// What the server calls us.
    pub host_name: Option<String>,
    /// When to ask for more time (T1), and when to ask anybody (T2); `None` for one that does not end.
    pub(super) renew: Option<Instant>,
    pub(super) rebind: Option<Instant>,
    /// When it ends, if it does.
    pub expires: Option<Instant>,
}

impl Lease {
    /// What a server's message says, of a lease that counts from `since`. `None` when no host could live with it.
    pub(super) fn of(
        since: Instant,
        server: Ipv4Addr,
        header: &Header,
        options: Options<'_>,
    ) -> Option<Self> {
        let mut mask = None;
        let (mut routers, mut servers) = (Vec::new(), Vec::new());
        let (mut domain, mut host_name, mut mtu) = (None, None, None);
        let (mut time, mut renew, mut rebind) = (None, None, None);
        for option in options.iter() {
            match option {
                DhcpOption::SubnetMask(address) => mask = Some(address),
                DhcpOption::Routers(addresses) => routers.extend(addresses.iter()),
                DhcpOption::DnsServers(addresses) => servers.extend(addresses.iter()),
                DhcpOption::DomainName(bytes) => domain = name(bytes),
                DhcpOption::HostName(bytes) => host_name = name(bytes),
                DhcpOption::InterfaceMtu(bytes) => mtu = Some(bytes).filter(|&mtu| mtu >= LEAST_MTU),
                DhcpOption::LeaseTime(seconds) => time = Some(seconds),
                DhcpOption::RenewalTime(seconds) => renew = Some(Duration::from_secs(seconds.into())),
                DhcpOption::RebindingTime(seconds) => rebind = Some(Duration::from_secs(seconds.into())),
                _ => {}
            }
        }
        let address = header.your;
        let prefix = match mask {
            // Bits of the network in front, bits of the host behind.
            Some(mask) if mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() >= 32 => {
                mask.to_bits().leading_ones() as u8
            }
            Some(_) => return None,
            None => by_class(address),
        };
        let address = Cidr::new(address.into(), prefix);
        let on_link =
            |other: &Ipv4Addr| *other != header.your && is_host(*other) && address.contains((*other).into());
        let is_end = prefix < 31
            && (Some(header.your) == address.broadcast() || address.network().address == address.address);
        if !is_host(header.your) || !is_host(server) || prefix == 0 || is_end {
            return None;
        }
        let time = match time? {
            u32::MAX => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        };
        if time.is_some_and(|time| time < LEAST) {
            return None;
        }
        let (renew, rebind) = time.map_or((None, None), |time| {
            // RFC 2131 section 4.4.5: in order, and before the end.
            let said = renew.zip(rebind).filter(|(renew, rebind)| renew < rebind && *rebind < time);
            let (renew, rebind) = said.unwrap_or((time / 2, time * 7 / 8));
            (Some(since + renew), Some(since + rebind))
        });
        servers.retain(|server| is_host(*server));
        servers.truncate(MAX_SERVERS);
        let router = routers.into_iter().find(on_link);
        let expires = time.map(|time| since + time);
        Some(Self {
            address,
            server,
            router,
            name_servers: servers,
            domain,
            mtu,
            host_name,
            renew,
            rebind,
            expires,
        })
    }
}

/// Whether it can be the address of another host than this: not of a group, of everybody, of nobody or of ourselves.
fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

/// The network's bits where no mask is given (RFC 950).
fn by_class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// A name that is made of what names are made of; anything else may be meant for a shell.
fn name(bytes: &[u8]) -> Option<String> {
    // Some send the zero that ends a string in C.
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let fits = !bytes.is_empty() && bytes.len() <= LONGEST_NAME && bytes.iter().all(valid);
    fits.then(|| String::from_utf8_lossy(bytes).into_owned())
}
