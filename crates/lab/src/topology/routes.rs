//! Who goes where by whom: the routes that were chosen, else those of the shortest paths.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;

use tcpip::internet::Cidr;

use super::addresses::network_of;
use super::{NodeKind, Topology, TopologyError};

/// A route of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) network: Cidr,
    pub(super) gateway: IpAddr,
    /// Among the node's own links.
    pub(super) interface: usize,
}

/// The routes of each node.
pub(super) fn compute(
    topology: &Topology,
    places: &[Vec<usize>],
    addresses: &[Vec<Vec<Cidr>>],
) -> Result<Vec<Vec<Way>>, TopologyError> {
    let graph = Graph { topology, places, addresses };
    (0..topology.nodes.len())
        .map(|node| match topology.nodes[node].routes.is_empty() {
            true => Ok(graph.shortest(node)),
            false => graph.chosen(node),
        })
        .collect()
}

struct Graph<'a> {
    topology: &'a Topology,
    places: &'a [Vec<usize>],
    addresses: &'a [Vec<Vec<Cidr>>],
}

impl Graph<'_> {
    fn chosen(&self, node: usize) -> Result<Vec<Way>, TopologyError> {
        let plan = &self.topology.nodes[node];
        let way = |route: &super::StaticRoute| {
            let reaches = |own: &Vec<Cidr>| own.iter().any(|own| own.contains(route.via));
            let interface = self.addresses[node].iter().position(reaches).ok_or_else(|| {
                TopologyError::Gateway { node: plan.name.clone(), network: route.network, via: route.via }
            })?;
            Ok(Way { network: network_of(route.network), gateway: route.via, interface })
        };
        plan.routes.iter().map(way).collect()
    }

    /// Routes to every network by the routers on the cheapest way to it; among equals by the one that is named first. Each
    /// family has its own, for a link may lack it. A host with one router to go by has it for all there is.
    fn shortest(&self, node: usize) -> Vec<Way> {
        let mut ways = Vec::new();
        for is_v4 in [true, false] {
            let found = self.family(node, is_v4);
            let mut gateways = found.iter().map(|way| way.gateway);
            let first = gateways.next();
            let is_one = gateways.all(|gateway| Some(gateway) == first);
            match found.first() {
                Some(&way) if is_one && self.topology.nodes[node].kind == NodeKind::Host => {
                    let all: IpAddr = if is_v4 { [0; 4].into() } else { [0; 16].into() };
                    ways.push(Way { network: Cidr::new(all, 0), ..way });
                }
                _ => ways.extend(found),
            }
        }
        ways
    }

    fn family(&self, node: usize, is_v4: bool) -> Vec<Way> {
        // Dijkstra's algorithm, from link to link over routers: what it costs to be on a link, and by which first step.
        let mut reached = BTreeMap::<usize, Option<(usize, IpAddr)>>::new();
        let mut heap = BinaryHeap::new();
        for &link in &self.places[node] {
            let cost = u64::from(self.topology.links[link].cost);
            heap.push(Reverse((cost, link, None::<(usize, usize)>)));
        }
        let mut first_step = BTreeMap::<(usize, usize), (usize, IpAddr)>::new();
        while let Some(Reverse((cost, link, step))) = heap.pop() {
            if reached.contains_key(&link) {
                continue;
            }
            reached.insert(link, step.map(|step| first_step[&step]));
            for (router, plan) in self.topology.nodes.iter().enumerate() {
                let on = &self.places[router];
                let Some(incoming) = on.iter().position(|&on| on == link) else { continue };
                if plan.kind != NodeKind::Router || router == node {
                    continue;
                }
                // Who is reached directly is the first step to everything behind.
                let step = match step {
                    Some(step) => step,
                    None => {
                        let Some(gateway) = self.address(router, incoming, is_v4) else { continue };
                        let own = self.places[node].iter().position(|&own| own == link);
                        let own = own.expect("a first step is on an own link");
                        first_step.insert((router, link), (own, gateway));
                        (router, link)
                    }
                };
                if self.address(router, incoming, is_v4).is_none() {
                    continue;
                }
                for (outgoing, &next) in on.iter().enumerate() {
                    let leads = self.address(router, outgoing, is_v4).is_some();
                    if leads
                        && !reached.contains_key(&next)
                        && (!is_v4 || self.may_cross(router, incoming, outgoing))
                    {
                        let cost = cost + u64::from(self.topology.links[next].cost);
                        heap.push(Reverse((cost, next, Some(step))));
                    }
                }
            }
        }
        let mut ways = Vec::new();
        for (link, step) in reached {
            let Some((interface, gateway)) = step else { continue };
            let networks = self.topology.links[link].networks.iter();
            for network in networks.filter(|network| network.address.is_ipv4() == is_v4) {
                ways.push(Way { network: network_of(*network), gateway, interface });
            }
        }
        ways
    }

    fn address(&self, node: usize, interface: usize, is_v4: bool) -> Option<IpAddr> {
        let mut own = self.addresses[node][interface].iter();
        own.find(|own| own.address.is_ipv4() == is_v4).map(|own| own.address)
    }

    /// Whether what is behind a router's link `outgoing` is known on the side of its link `incoming`: not where addresses
    /// are translated, from outside.
    fn may_cross(&self, router: usize, incoming: usize, outgoing: usize) -> bool {
        let links = &self.topology.nodes[router].links;
        let nat = self.topology.nodes[router].nat.as_ref();
        nat.is_none_or(|nat| links[incoming] != nat.outside || links[outgoing] == nat.outside)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LinkPlan, NodePlan};
    use super::*;
    use proptest::prelude::*;

    /// Routers and the lines between them, each with a cost. A line with both its ends at one router is left out.
    fn routers(count: usize, lines: &[(usize, usize, u32)]) -> Topology {
        let mut nodes: Vec<_> =
            (0..count).map(|node| NodePlan::router(format!("r{node}")).on("all")).collect();
        // Everybody is somewhere, by a segment that is too dear to be used where there is another way.
        let all = LinkPlan::ethernet("all").network("10.255.0.0/16".parse().unwrap()).cost(1_000);
        let mut topology = Topology::new().link(all);
        for (number, &(one, other, cost)) in lines.iter().enumerate() {
            let (one, other) = (one % count, other % count);
            if one == other {
                continue;
            }
            let network = format!("10.0.{number}.0/30").parse().unwrap();
            topology =
                topology.link(LinkPlan::point_to_point(format!("l{number}")).network(network).cost(cost));
            for node in [one, other] {
                nodes[node].links.push(format!("l{number}"));
            }
        }
        topology.nodes = nodes;
        topology
    }

    fn places(topology: &Topology) -> Vec<Vec<usize>> {
        let numbers =
            |node: &NodePlan| node.links.iter().map(|link| topology.link_number(link).unwrap()).collect();
        topology.nodes.iter().map(numbers).collect()
    }

    proptest! {
        /// Who goes by the routes from router to router comes to every link, and by no dearer way than there is.
        #[test]
        fn routes_lead_everywhere_by_the_cheapest_way(
            count in 2usize..7, lines in proptest::collection::vec((0usize..7, 0usize..7, 1u32..6), 0..14),
        ) {
            let topology = routers(count, &lines);
            let places = places(&topology);
            let addresses = super::super::addresses::assign(&topology, &places).unwrap();
            let routes = compute(&topology, &places, &addresses).unwrap();
            let cost = |link: usize| u64::from(topology.links[link].cost);
            for start in 0..count {
                // Bellman and Ford: as often over all as there are links.
                let mut cheapest: Vec<Option<u64>> = vec![None; topology.links.len()];
                places[start].iter().for_each(|&link| cheapest[link] = Some(cost(link)));
                for _ in 0..topology.links.len() {
                    for on in &places {
                        for (&from, &to) in on.iter().flat_map(|from| on.iter().map(move |to| (from, to))) {
                            if let Some(way) = cheapest[from].map(|way| way + cost(to)) {
                                cheapest[to] = Some(cheapest[to].map_or(way, |known| known.min(way)));
                            }
                        }
                    }
                }
                for (goal, link) in topology.links.iter().enumerate() {
                    let network = network_of(link.networks[0]);
                    let (mut at, mut paid) = (start, 0);
                    for _ in 0..=count {
                        if places[at].contains(&goal) {
                            break;
                        }
                        let way = routes[at].iter().find(|way| way.network == network).unwrap();
                        paid += cost(places[at][way.interface]);
                        at = (0..count)
                            .find(|&node| addresses[node].iter().flatten().any(|own| own.address == way.gateway))
                            .unwrap();
                    }
                    prop_assert!(places[at].contains(&goal), "no loop from {} to {}", start, link.name);
                    // On a link that is its own, a router is whatever it costs.
                    let total = paid + cost(goal);
                    prop_assert!(
                        places[start].contains(&goal) || Some(total) == cheapest[goal],
                        "{} to {}: {} instead of {:?}", start, link.name, total, cheapest[goal]
                    );
                }
            }
        }
    }
}
