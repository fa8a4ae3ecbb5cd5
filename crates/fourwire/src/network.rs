//! Whose network a command uses: the operating system's, or Fourwire's own on a device.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use host::Runtime;
use kernel::KernelHost;
use stack::{Device, StackHost};
use tcpip::StackConfig;
use tcpip::internet::{Cidr, ConfigError, Route};
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

    /// Our address on that network and the bits of its prefix, such as 10.9.0.2/24; repeat it for several
    #[arg(long = "address", env = "FOURWIRE_ADDRESS", value_name = "ADDRESS/BITS", value_parser = cidr, value_delimiter = ',')]
    pub(crate) addresses: Vec<Cidr>,

    /// The router that leads out of that network, one for each address family
    #[arg(long = "gateway", env = "FOURWIRE_GATEWAY", value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) gateways: Vec<IpAddr>,
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
}

/// Who has one of our addresses on the other side of a TAP says so at once: there is no reason to keep a user waiting for
/// the seconds that RFC 5227 has for slow networks.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// A network, open.
pub(crate) enum Opened {
    Kernel(KernelHost),
    Own(OwnHost),
}

impl Args {
    /// Whether the network is Fourwire's own.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self.net, None | Some(Net::Kernel))
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
        config.internet.detect_duplicates = true;
        config.internet.probe_interval = PROBE_INTERVAL;
        let host = OwnHost::new(kernel, config, Tracer::OFF);
        let interface = host.attach(&net.to_string(), device)?;
        host.with_stack(|stack, now, _| {
            let internet = stack.internet();
            for &address in &self.addresses {
                internet.add_address(now, interface, address)?;
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
        host.addresses_ready().await.map_err(Error::Address)?;
        Ok(Opened::Own(host))
    }
}

#[cfg(target_os = "linux")]
fn tap(name: &str, kernel: &KernelHost) -> Result<Box<dyn Device>, Error> {
    let mut mac = [0; 6];
    kernel.random("mac address").fill(&mut mac);
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

/// An address with the bits of its prefix.
pub(crate) fn cidr(text: &str) -> Result<Cidr, String> {
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
    fn addresses_come_with_a_prefix_that_fits() {
        assert_eq!(cidr("10.9.0.2/24"), Ok(Cidr::new([10, 9, 0, 2].into(), 24)));
        for wrong in ["10.9.0.2", "10.9.0.2/33", "fd00::2/129", "x/8"] {
            assert!(cidr(wrong).is_err(), "{wrong}");
        }
    }
}
