//! An interface: its medium, its addresses and its neighbours.

use std::net::{IpAddr, Ipv6Addr};

use host::Instant;
use wire::MacAddress;

use super::Neighbors;
use crate::internet::groups::Reports;
use crate::internet::{Cidr, dhcp};

/// What an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// What people call it.
    pub name: String,
    /// What its frames are.
    pub medium: Medium,
    /// The largest IP packet that it takes, in bytes.
    pub mtu: u16,
    /// The largest IP packet that its device cuts into TCP segments itself, in bytes, and fills in the checksums of; `mtu`
    /// or less where it does not. Such packets are handed to [`Transmit`](crate::Transmit) as they are.
    pub segmented: u32,
}

/// What the frames of an interface are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet frames; ours come from this address.
    Ethernet(MacAddress),
    /// IP packets without a frame: a tunnel, with nobody but the other end.
    Ip,
}

/// One of an interface's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, and how much of it names the network.
    pub cidr: Cidr,
    /// Whether it may be used.
    pub state: AddressState,
    /// When it is no longer preferred for new flows (RFC 4862 section 5.5.4).
    pub preferred_until: Option<Instant>,
    /// When it is no longer ours.
    pub valid_until: Option<Instant>,
    /// Probes still to be sent, and when the next step is due; while the address is tentative.
    pub(crate) probe: Option<(u8, Instant)>,
    /// Who advertised its network.
    pub(crate) router: Option<Ipv6Addr>,
}

/// Whether an address may be used (RFC 4862 section 2, RFC 5227).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// It is being asked whether somebody has it.
    Tentative,
    /// It is ours.
    Preferred,
    /// It is ours, but no new flow shall begin with it.
    Deprecated,
    /// Somebody else has it.
    Duplicate,
}

/// An interface of a host.
#[derive(Debug)]
pub struct Interface {
    pub(crate) config: InterfaceConfig,
    pub(crate) addresses: Vec<Address>,
    /// Groups that were joined, with the number of times.
    pub(crate) groups: Vec<(IpAddr, u32)>,
    pub(crate) neighbors: Neighbors,
    /// With addresses from routers: solicitations that are left, and when the next is due.
    pub(crate) solicitations: Option<(u8, Instant)>,
    /// What routers are still to be told of groups.
    pub(crate) reports: Reports,
    /// Who asks servers for an address.
    pub(crate) dhcp: Option<Box<dhcp::Client>>,
    /// What servers say that the link takes, where that is less than the device does.
    pub(crate) mtu_v4: Option<u16>,
    /// The same, as routers say.
    pub(crate) mtu_v6: Option<u16>,
    /// The hop limit that routers say.
    pub(crate) hop_limit: Option<u8>,
    /// Who answers questions about names, as routers say, and until when.
    pub(crate) name_servers: Vec<(Ipv6Addr, Instant)>,
}

impl Interface {
    pub(crate) fn new(config: InterfaceConfig) -> Self {
        Self {
            config,
            addresses: Vec::new(),
            groups: Vec::new(),
            neighbors: Neighbors::default(),
            solicitations: None,
            reports: Reports::default(),
            dhcp: None,
            mtu_v4: None,
            mtu_v6: None,
            hop_limit: None,
            name_servers: Vec::new(),
        }
    }

    /// What it is.
    pub fn config(&self) -> &InterfaceConfig {
        &self.config
    }

    /// Its addresses.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The largest packet that the link takes, in bytes, of IPv4 or of IPv6.
    pub fn mtu(&self, v4: bool) -> u16 {
        let said = if v4 { self.mtu_v4 } else { self.mtu_v6 };
        said.map_or(self.config.mtu, |mtu| mtu.min(self.config.mtu))
    }

    /// Whether its device cuts long packets itself.
    pub(crate) fn cuts(&self) -> bool {
        self.config.segmented > u32::from(self.config.mtu)
    }

    /// The groups that were joined on it.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.iter().map(|(group, _)| *group)
    }

    /// Our own address on its link, where that has any.
    pub fn mac(&self) -> Option<MacAddress> {
        match self.config.medium {
            Medium::Ethernet(mac) => Some(mac),
            Medium::Ip => None,
        }
    }

    /// Whether `address` is one of ours here that may be used.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.usable().any(|own| own.cidr.address == address)
    }

    /// The addresses that may be used.
    pub(crate) fn usable(&self) -> impl Iterator<Item = &Address> {
        self.addresses
            .iter()
            .filter(|own| matches!(own.state, AddressState::Preferred | AddressState::Deprecated))
    }

    /// Whether `address` means everybody on this link: the limited or a directed broadcast address.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        address == IpAddr::from([255; 4])
            || self.usable().any(|own| own.cidr.broadcast().is_some_and(|all| IpAddr::V4(all) == address))
    }

    /// Whether we listen to `group` here.
    pub(crate) fn is_member(&self, group: IpAddr) -> bool {
        let always = match group {
            IpAddr::V4(v4) => v4.octets() == [224, 0, 0, 1],
            IpAddr::V6(v6) => {
                v6.segments() == [0xff02, 0, 0, 0, 0, 0, 0, 1]
                    || v6.segments() == [0xff01, 0, 0, 0, 0, 0, 0, 1]
                    || self.addresses.iter().any(|own| match own.cidr.address {
                        IpAddr::V6(own) => wire::ipv6::solicited_node(own) == v6,
                        IpAddr::V4(_) => false,
                    })
            }
        };
        always || self.has_joined(group)
    }

    /// Whether somebody here asked for `group`.
    pub(crate) fn has_joined(&self, group: IpAddr) -> bool {
        self.groups.iter().any(|(joined, _)| *joined == group)
    }
}
