//! What the examples have in common: a host of ours on TAP interfaces, from the command line.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use host::Runtime;
use kernel::KernelHost;
use stack::StackHost;
use stack::device::Tap;
use tcpip::StackConfig;
use tcpip::internet::{Cidr, Route};
use trace::Tracer;
use wire::MacAddress;

/// Fourwire's own TCP/IP on the operating system's clocks and tasks.
pub(crate) type OwnHost = StackHost<KernelHost, Tap>;

/// Where a host of ours is.
// Flattened into the example's own Args, whose name its group would have otherwise.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// A TAP interface and our addresses behind it, such as fw0=10.9.0.2/24,fd09::2/64; repeat it for several
    #[arg(long = "port", value_name = "NAME=ADDRESS/BITS,…", required = true)]
    ports: Vec<Port>,

    /// A router, and where it leads if not everywhere: 10.9.0.1, or 10.8.0.0/16=10.9.0.1; repeat it for several
    #[arg(long = "via", value_name = "[NETWORK=]ROUTER")]
    ways: Vec<Way>,
}

impl Args {
    /// The host, on its interfaces. `config` says how it behaves.
    pub(crate) fn open(
        &self,
        kernel: KernelHost,
        config: StackConfig,
    ) -> Result<OwnHost, Box<dyn Error + Send + Sync>> {
        let mut macs = kernel.random("mac addresses");
        let host = OwnHost::new(kernel, config, Tracer::OFF);
        let mut networks = Vec::new();
        for Port { name, addresses } in &self.ports {
            let mut mac = [0; 6];
            macs.fill(&mut mac);
            // Locally administered, of one station (IEEE 802, clause 8).
            mac[0] = mac[0] & !1 | 2;
            let interface = host.attach(name, Tap::open(name, MacAddress(mac))?)?;
            for &address in addresses {
                host.with_stack(|stack, now, _| stack.internet().add_address(now, interface, address))?;
                networks.push((address, interface));
            }
        }
        for &Way { network, router } in &self.ways {
            let near = networks.iter().find(|(network, _)| network.contains(router));
            let (_, interface) = near.ok_or_else(|| format!("{router} is in none of our networks"))?;
            let route =
                Route { network, gateway: Some(router), interface: *interface, metric: 0, until: None };
            host.with_stack(|stack, _, _| stack.internet().add_route(route))?;
        }
        Ok(host)
    }
}

#[derive(Clone, Debug)]
struct Port {
    name: String,
    addresses: Vec<Cidr>,
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, addresses) = text.split_once('=').ok_or("write NAME=ADDRESS/BITS")?;
        let addresses = addresses.split(',').map(cidr).collect::<Result<_, _>>()?;
        Ok(Self { name: name.into(), addresses })
    }
}

#[derive(Clone, Copy, Debug)]
struct Way {
    network: Cidr,
    router: IpAddr,
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (network, router) =
            text.split_once('=').map_or((None, text), |(network, router)| (Some(network), router));
        let router: IpAddr = router.parse().map_err(|_| format!("{router:?} is no address"))?;
        let everywhere = match router {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(Self { network: network.map_or(Ok(Cidr::new(everywhere, 0)), cidr)?, router })
    }
}

fn cidr(text: &str) -> Result<Cidr, String> {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        Some(Cidr::new(address, bits))
    });
    parsed.ok_or_else(|| format!("{text:?} is no address with a prefix; write 10.9.0.2/24"))
}
