//! Whose network a command uses: the operating system's, or Fourwire's own on a device.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use host::{Random, Runtime, timeout_at};
use kernel::{KernelHost, ShutdownSignals};
use sha2::{Digest, Sha256};
use stack::{Device, StackHost};
use tcpip::StackConfig;
use tcpip::internet::{Cidr, ConfigError, Layer, Route, dhcp};
use tcpip::link::AddressState;
use trace::Tracer;
use wire::MacAddress;

/// Fourwire's own TCP/IP on the operating system's clocks and tasks.
pub(crate) type OwnHost = StackHost<KernelHost, Box<dyn Device>>;

/// Whose network to use.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Whose network to use: `kernel` for the operating system's, or Fourwire's own TCP/IP on `tap:NAME` or `tun:NAME`
    /// [default: kernel]
    #[arg(long, env = "FOURWIRE_NET", value_name = "NET")]
    pub(crate) net: Option<Net>,

    /// Our address on that network and the bits of its prefix, such as 10.9.0.2/24, or `dhcp` for one that a server there
    /// lends, or `slaac` for those that routers there advertise; repeat it for several
    #[arg(long = "address", env = "FOURWIRE_ADDRESS", value_name = "ADDRESS/BITS", value_delimiter = ',')]
    pub(crate) addresses: Vec<Address>,

    /// The router that leads out of that network, one for each address family
    #[arg(long = "gateway", env = "FOURWIRE_GATEWAY", value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) gateways: Vec<IpAddr>,
}

/// An address of ours, or how to come by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Fixed(Cidr),
    /// By DHCP (RFC 2131).
    Dhcp,
    /// From what routers advertise (RFC 4862).
    Slaac,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dhcp" => Ok(Self::Dhcp),
            "slaac" => Ok(Self::Slaac),
            text => cidr(text).map(Self::Fixed),
        }
    }
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Net {
    /// The operating system's.
    #[default]
    Kernel,
    /// Our own, on a TAP interface.
    Tap(String),
    /// Our own, on a TUN interface.
    Tun(String),
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "kernel" => Ok(Self::Kernel),
            Some(("tap", name)) if !name.is_empty() => Ok(Self::Tap(name.into())),
            Some(("tun", name)) if !name.is_empty() => Ok(Self::Tun(name.into())),
            _ => Err(format!("{text:?} is no network; write kernel, tap:NAME or tun:NAME")),
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => formatter.write_str("kernel"),
            Self::Tap(name) => write!(formatter, "tap:{name}"),
            Self::Tun(name) => write!(formatter, "tun:{name}"),
        }
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} needs an address of ours on it: give --address, such as --address 10.9.0.2/24")]
    NoAddress(Net),
    #[error("--address and --gateway are for Fourwire's own network: give --net tap:NAME too")]
    NotOurs,
    #[error(transparent)]
    #[cfg(target_os = "linux")]
    Open(#[from] stack::device::OpenError),
    #[error("{0} needs Linux")]
    #[cfg(not(target_os = "linux"))]
    System(Net),
    #[error("the network cannot be set up: {0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Address(io::Error),
    #[error("no DHCP server lent an address on {0} within {time} s: start one there, or give --address 10.9.0.2/24", time = PATIENCE.as_secs())]
    NoLease(Net),
    #[error("no router advertised a prefix on {0} within {time} s: start one there, or give --address fd00::2/64", time = PATIENCE.as_secs())]
    NoPrefix(Net),
}

/// How long servers and routers have to give us an address.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to give it back.
const FAREWELL: Duration = Duration::from_millis(500);

/// Who has one of our addresses on the other side of a TAP says so at once: there is no reason to keep a user waiting for
/// the seconds that RFC 5227 has for slow networks.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// A network, open.
pub(crate) enum Opened {
    Kernel(KernelHost),
    Own(OwnHost),
}

/// What a network said about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// Who answers questions about names.
    pub(crate) name_servers: Vec<IpAddr>,
    /// Where short names are looked for.
    pub(crate) domains: Vec<String>,
}

impl Opened {
    /// What DHCP servers and routers said.
    fn learned(&self) -> Learned {
        match self {
            Self::Kernel(_) => Learned::default(),
            Self::Own(host) => host.with_stack(|stack, now, _| {
                let internet = stack.internet();
                Learned { name_servers: internet.name_servers(now), domains: internet.domains() }
            }),
        }
    }
}

/// The addresses of a host that others can reach.
pub(crate) fn addresses(host: &OwnHost) -> Vec<IpAddr> {
    host.with_stack(|stack, _, _| {
        let interfaces = stack.internet().interfaces().iter();
        let addresses = interfaces.flat_map(|one| one.addresses()).map(|own| own.cidr.address);
        let local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        addresses.filter(|address| !local(address)).collect()
    })
}

/// Gives back what was lent.
pub(crate) async fn close(host: &OwnHost) {
    host.release_leases(host.now() + FAREWELL).await;
}

impl Args {
    /// Whether the network is Fourwire's own.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self.net, None | Some(Net::Kernel))
    }

    /// Opens the network, does `work` on it, and closes it again. `None` when Ctrl-C or SIGTERM came first.
    pub(crate) async fn with<T, E: From<Error> + From<io::Error>>(
        &self,
        kernel: KernelHost,
        work: impl AsyncFnOnce(Opened, &Learned) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut signals = ShutdownSignals::watch()?;
        let opened = tokio::select! {
            biased;
            _ = signals.next() => return Ok(None),
            opened = self.open(kernel) => opened?,
        };
        let learned = opened.learned();
        let own = match &opened {
            Opened::Kernel(_) => None,
            Opened::Own(host) => Some(host.clone()),
        };
        let done = tokio::select! {
            biased;
            _ = signals.next() => Ok(None),
            done = work(opened, &learned) => done.map(Some),
        };
        if let Some(host) = own {
            close(&host).await;
        }
        done
    }

    /// Opens the network, on the runtime of `kernel`, in which this must be called, and waits until our addresses there
    /// can be used.
    pub(crate) async fn open(&self, kernel: KernelHost) -> Result<Opened, Error> {
        let net = self.net.clone().unwrap_or_default();
        let device = match &net {
            Net::Kernel if self.addresses.is_empty() && self.gateways.is_empty() => {
                return Ok(Opened::Kernel(kernel));
            }
            Net::Kernel => return Err(Error::NotOurs),
            _ if self.addresses.is_empty() => return Err(Error::NoAddress(net)),
            Net::Tap(name) => tap(name, &kernel)?,
            Net::Tun(name) => tun(name)?,
        };
        let mut config = StackConfig::default();
        config.internet.secret = identity(&net.to_string(), "addresses").map(|mut random| {
            let mut secret = [0; 16];
            random.fill(&mut secret);
            secret
        });
        config.internet.detect_duplicates = true;
        config.internet.probe_interval = PROBE_INTERVAL;
        let host = OwnHost::new(kernel, config, Tracer::OFF);
        let interface = host.attach(&net.to_string(), device)?;
        host.with_stack(|stack, now, _| {
            let internet = stack.internet();
            for &address in &self.addresses {
                match address {
                    Address::Fixed(cidr) => internet.add_address(now, interface, cidr)?,
                    Address::Dhcp => {
                        let host_name = host_name();
                        let config =
                            dhcp::Config { host_name, delay: PROBE_INTERVAL, ..dhcp::Config::default() };
                        internet.enable_dhcp(now, interface, config)?;
                    }
                    Address::Slaac => internet.enable_slaac(now, interface)?,
                }
            }
            for &gateway in &self.gateways {
                let all: IpAddr = match gateway {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let network = Cidr::new(all, 0);
                let route = Route { network, gateway: Some(gateway), interface, metric: 0, until: None };
                internet.add_route(route)?;
            }
            Ok::<_, ConfigError>(())
        })?;
        let deadline = host.now() + PATIENCE;
        let ready = timeout_at(&host, deadline, host.addresses_ready()).await;
        ready.map_err(|_| Error::NoLease(net.clone()))?.map_err(Error::Address)?;
        if self.addresses.contains(&Address::Slaac) {
            let advertised = timeout_at(&host, deadline, host.watch_addresses(has_prefix)).await;
            advertised.map_err(|_| Error::NoPrefix(net))?;
        }
        Ok(Opened::Own(host))
    }
}

#[cfg(target_os = "linux")]
fn tap(name: &str, kernel: &KernelHost) -> Result<Box<dyn Device>, Error> {
    let mut mac = [0; 6];
    let mut random = identity(name, "mac address").unwrap_or_else(|| kernel.random("mac address"));
    random.fill(&mut mac);
    // Locally administered, of one station (IEEE 802, clause 8).
    mac[0] = mac[0] & !1 | 2;
    Ok(Box::new(stack::device::Tap::open(name, MacAddress(mac))?))
}

#[cfg(target_os = "linux")]
fn tun(name: &str) -> Result<Box<dyn Device>, Error> {
    Ok(Box::new(stack::device::Tun::open(name)?))
}

#[cfg(not(target_os = "linux"))]
fn tap(name: &str, _kernel: &KernelHost) -> Result<Box<dyn Device>, Error> {
    Err(Error::System(Net::Tap(name.into())))
}

#[cfg(not(target_os = "linux"))]
fn tun(name: &str) -> Result<Box<dyn Device>, Error> {
    Err(Error::System(Net::Tun(name.into())))
}

/// What this machine has of its own on a network, for one purpose: the same at each start, so that neighbours and DHCP
/// servers know us again, and different in each network namespace. It does not tell what it is made of. `None` where the
/// machine has no identity (`machine-id(5)`).
fn identity(network: &str, purpose: &str) -> Option<Random> {
    let machine = std::fs::read_to_string("/etc/machine-id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/net").ok()?;
    let mut digest = Sha256::new();
    for part in [machine.trim().as_bytes(), namespace.as_os_str().as_encoded_bytes(), network.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(purpose);
    (!machine.trim().is_empty()).then(|| Random::from_seed(digest.finalize().into()))
}

/// Whether a router has given us an IPv6 address.
fn has_prefix(internet: &Layer) -> Option<()> {
    let mut addresses = internet.interfaces().iter().flat_map(|interface| interface.addresses());
    let given = |own: &tcpip::link::Address| match own.cidr.address {
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && own.state == AddressState::Preferred,
        IpAddr::V4(_) => false,
    };
    addresses.any(given).then_some(())
}

/// What this machine is called.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// An address with the bits of its prefix.
fn cidr(text: &str) -> Result<Cidr, String> {
    let wrong = || format!("{text:?} is no address with a prefix; write 10.9.0.2/24 or fd00::2/64");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = bits.parse().ok().filter(|&bits: &u8| bits <= if address.is_ipv4() { 32 } else { 128 });
    Ok(Cidr::new(address, bits.ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_they_are_written() {
        for text in ["kernel", "tap:fw0", "tun:fw0"] {
            assert_eq!(text.parse::<Net>().unwrap().to_string(), text);
        }
        assert!("tap:".parse::<Net>().is_err() && "eth0".parse::<Net>().is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_machine_is_known_again() {
        let draw =
            |network: &str, purpose: &str| identity(network, purpose).map(|mut random| random.next_u64());
        if let Some(first) = draw("fw0", "mac address") {
            assert_eq!(draw("fw0", "mac address"), Some(first));
            assert_ne!(draw("fw1", "mac address"), Some(first));
            assert_ne!(draw("fw0", "addresses"), Some(first));
        }
    }

    #[test]
    fn addresses_come_with_a_prefix_that_fits() {
        assert_eq!(cidr("10.9.0.2/24"), Ok(Cidr::new([10, 9, 0, 2].into(), 24)));
        assert_eq!("dhcp".parse(), Ok(Address::Dhcp));
        assert_eq!("10.9.0.2/24".parse(), Ok(Address::Fixed(Cidr::new([10, 9, 0, 2].into(), 24))));
        for wrong in ["10.9.0.2", "10.9.0.2/33", "fd00::2/129", "x/8"] {
            assert!(cidr(wrong).is_err(), "{wrong}");
        }
    }
}
