//! Who gets which address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tcpip::internet::Cidr;

use super::{Topology, TopologyError};

/// The addresses of each node on each of its links: those that were chosen, and in the networks where none was, the first
/// free ones, in the order of the nodes.
pub(super) fn assign(
    topology: &Topology,
    places: &[Vec<usize>],
) -> Result<Vec<Vec<Vec<Cidr>>>, TopologyError> {
    // The same network may be behind several translators: an address is somebody's on a link.
    let mut taken = BTreeMap::<(usize, IpAddr), usize>::new();
    for (node, plan) in topology.nodes.iter().enumerate() {
        for &address in &plan.addresses {
            let mut networks = places[node]
                .iter()
                .flat_map(|&link| topology.links[link].networks.iter().map(move |network| (link, network)));
            let Some((link, _)) = networks.find(|(_, network)| network.contains(address)) else {
                let link = plan.links.join(", ");
                return Err(TopologyError::Outside { address, node: plan.name.clone(), link });
            };
            if taken.insert((link, address), node).is_some() {
                return Err(TopologyError::AddressTwice { address, node: plan.name.clone() });
            }
        }
    }
    let mut all = Vec::new();
    for (node, plan) in topology.nodes.iter().enumerate() {
        let mut own = Vec::new();
        for &link in &places[node] {
            let mut addresses = Vec::new();
            for network in &topology.links[link].networks {
                let chosen = plan.addresses.iter().filter(|address| network.contains(**address));
                let before = addresses.len();
                addresses.extend(chosen.map(|&address| Cidr::new(address, network.prefix)));
                if addresses.len() > before {
                    continue;
                }
                let mut candidates = hosts(*network).take_while(|address| network.contains(*address));
                let free = candidates.find(|address| !taken.contains_key(&(link, *address)));
                let address = free.ok_or_else(|| TopologyError::Full {
                    link: topology.links[link].name.clone(),
                    network: *network,
                    node: plan.name.clone(),
                })?;
                taken.insert((link, address), node);
                addresses.push(Cidr::new(address, network.prefix));
            }
            own.push(addresses);
        }
        if own.iter().all(Vec::is_empty) {
            return Err(TopologyError::NoAddress { node: plan.name.clone() });
        }
        all.push(own);
    }
    Ok(all)
}

/// The network without bits behind its prefix.
pub(super) fn network_of(cidr: Cidr) -> Cidr {
    let address = match cidr.address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(cidr.prefix)).unwrap_or(0);
            IpAddr::from(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(cidr.prefix)).unwrap_or(0);
            IpAddr::from(Ipv6Addr::from(u128::from(v6) & mask))
        }
    };
    Cidr::new(address, cidr.prefix)
}

/// The addresses of a network that a node can have, and then some beyond it: neither that of the network itself (in IPv6 of
/// its routers, RFC 4291 section 2.6.1), nor that of everybody, unless it is a link of two (RFC 3021, RFC 6164).
fn hosts(network: Cidr) -> impl Iterator<Item = IpAddr> {
    let bits = if network.address.is_ipv4() { 32 } else { 128 };
    let first = u32::from(network.prefix + 1 < bits);
    let all = network.broadcast();
    (first..=u32::MAX)
        .map_while(move |number| match network_of(network).address {
            IpAddr::V4(v4) => u32::from(v4).checked_add(number).map(|v4| IpAddr::from(Ipv4Addr::from(v4))),
            IpAddr::V6(v6) => {
                u128::from(v6).checked_add(number.into()).map(|v6| IpAddr::from(Ipv6Addr::from(v6)))
            }
        })
        .filter(move |address| all.is_none_or(|all| *address != IpAddr::V4(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(network: &str) -> Vec<String> {
        let network: Cidr = network.parse().unwrap();
        let ours = hosts(network).take_while(|address| network.contains(*address));
        ours.take(4).map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_network_gives_its_addresses_from_the_first_on() {
        assert_eq!(first("10.1.0.77/24"), ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"]);
        assert_eq!(first("192.0.2.0/30"), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(first("192.0.2.4/31"), ["192.0.2.4", "192.0.2.5"]);
        assert_eq!(first("192.0.2.4/32"), ["192.0.2.4"]);
        assert_eq!(first("fd00::/64"), ["fd00::1", "fd00::2", "fd00::3", "fd00::4"]);
        assert_eq!(first("255.255.255.252/30"), ["255.255.255.253", "255.255.255.254"]);
        assert_eq!(network_of("0.0.0.5/0".parse().unwrap()).to_string(), "0.0.0.0/0");
        assert_eq!(network_of("fd00::5/64".parse().unwrap()).to_string(), "fd00::/64");
    }
}
