//! A scenario's network as a topology of the lab, and its events as changes of it.

use std::collections::BTreeMap;

use tcpip::internet::Cidr;

use super::event::{Action, Event, Skew, Which};
use super::format::{Kind, Scenario};
use super::link::{Change as Different, Duplex, Link};
use super::problem::{Problem, Step};
use crate::clock::Jump;
use crate::link::Impairments;
use crate::silence::Flows;
use crate::topology::{Change, LinkPlan, Network, NodePlan, Topology, TopologyError};

/// The network of a scenario.
pub(super) fn topology(scenario: &Scenario) -> Result<Topology, Problem> {
    let mut topology = Topology::new();
    for (number, (name, link)) in scenario.link.iter().enumerate() {
        let subnet = match &link.subnet {
            Some(text) => subnet(text),
            None => chosen(number),
        };
        let subnet = subnet.map_err(|error| Problem::new(["link".into(), name.as_str().into()], error))?;
        let mut plan = match (&*members(scenario, name), &link.duplex) {
            // Both directions on one cable: only there do they meet.
            (&[one, other], Duplex::Half) => LinkPlan::ethernet(name)
                .sending(one, between(link, one, other))
                .receiving(one, between(link, other, one)),
            (&[one, other], _) => LinkPlan::point_to_point(name)
                .sending(one, between(link, one, other))
                .sending(other, between(link, other, one)),
            _ => LinkPlan::ethernet(name).impair(between(link, "", "")),
        };
        plan = plan.network(subnet);
        if let Some(mtu) = link.mtu.and_then(|mtu| u16::try_from(mtu.as_bytes()).ok()) {
            plan = plan.mtu(mtu);
        }
        topology = topology.link(plan);
    }
    for (name, node) in &scenario.node {
        let mut plan = match node.kind {
            Kind::Host => NodePlan::host(name),
            Kind::Router => NodePlan::router(name),
            Kind::Nat => NodePlan::router(name).translating(node.on.last().cloned().unwrap_or_default()),
        };
        plan = node.on.iter().fold(plan, NodePlan::on);
        plan = node.names.iter().fold(plan, NodePlan::named);
        topology = topology.node(plan);
    }
    Ok(topology)
}

/// Whether the whole can be built.
pub(super) fn possible(topology: &Topology) -> Result<(), Problem> {
    topology.check().map_err(|error| {
        let path: Vec<Step> = match &error {
            TopologyError::Full { link, .. } => vec!["link".into(), link.as_str().into()],
            TopologyError::NoAddress { node } => vec!["node".into(), node.as_str().into()],
            _ => Vec::new(),
        };
        Problem::new(path, error.to_string())
    })
}

/// The nodes on a link.
pub(super) fn members<'a>(scenario: &'a Scenario, link: &str) -> Vec<&'a str> {
    let on = scenario.node.iter().filter(|(_, node)| node.on.iter().any(|on| on == link));
    on.map(|(name, _)| name.as_str()).collect()
}

/// What a link does to frames from one node to another.
fn between(link: &Link, from: &str, to: &str) -> Impairments {
    let down = link.person.as_deref() == Some(to);
    let preset = link.preset.map(|preset| if down { preset.down() } else { preset.up() });
    let mut impairments = preset.unwrap_or_default();
    link.both.apply(&mut impairments);
    if let Some((_, different)) = link.toward.iter().find(|(way, _)| ends(way) == Some((from, to))) {
        different.apply(&mut impairments);
    }
    impairments
}

/// What is to be said of a network's links once it is built.
pub(super) fn finish(scenario: &Scenario, network: &Network) -> Result<(), TopologyError> {
    for (name, link) in &scenario.link {
        match (&link.duplex, members(scenario, name).first()) {
            (Duplex::Half, Some(one)) => {
                network.link(name)?.set_duplex(&network.machine(one)?, crate::link::Duplex::Half);
            }
            (Duplex::Simplex(way), _) => network.apply(&silent_end(name, way))?,
            _ => {}
        }
    }
    Ok(())
}

/// The end of a simplex link that says nothing.
fn silent_end(link: &str, way: &str) -> Change {
    let from = ends(way).map(|(_, to)| to.to_owned()).unwrap_or_default();
    Change::CutOneWay { link: link.to_owned(), from }
}

/// The network that a link without one gets, by its number.
fn chosen(number: usize) -> Result<Cidr, String> {
    let number = u16::try_from(number).map_err(|_| "there are too many links".to_owned())?;
    let [high, low] = number.to_be_bytes();
    // 10.0.0.0/8 from behind, so that those that people choose are free.
    Ok(Cidr::new([10, 255 - high, low, 0].into(), 24))
}

/// Reads a network.
pub(super) fn subnet(text: &str) -> Result<Cidr, String> {
    text.parse::<Cidr>().map_err(|_| {
        format!("{text:?} is no network; write an address and the bits of its prefix: \"10.1.0.0/24\"")
    })
}

/// The two ends of a direction `a>b`.
pub(super) fn ends(way: &str) -> Option<(&str, &str)> {
    let (from, to) = way.split_once('>')?;
    let (from, to) = (from.trim(), to.trim());
    (!from.is_empty() && !to.is_empty() && from != to).then_some((from, to))
}

/// What happens to the links as the scenario goes on.
pub(super) struct Weather<'a> {
    scenario: &'a Scenario,
    /// The links as they are now.
    links: BTreeMap<String, Link>,
}

impl<'a> Weather<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, links: scenario.link.clone() }
    }

    /// Lets `event` happen to `network`.
    pub(super) fn happen(&mut self, network: &Network, event: &Event) -> Result<(), TopologyError> {
        for change in self.changes(event) {
            network.apply(&change)?;
        }
        Ok(())
    }

    fn changes(&mut self, event: &Event) -> Vec<Change> {
        match &event.action {
            Action::Cut(on) => vec![match sender(on.way.as_deref()) {
                None => Change::Cut { link: on.link.clone() },
                Some(from) => Change::CutOneWay { link: on.link.clone(), from },
            }],
            Action::Heal(on) => match sender(on.way.as_deref()) {
                None => {
                    let link = || on.link.clone();
                    let mut changes = vec![
                        Change::Heal { link: link() },
                        Change::Speak { link: link() },
                        Change::BlackHole { link: link(), mtu: None },
                    ];
                    if let Some(Duplex::Simplex(way)) = self.links.get(&on.link).map(|link| &link.duplex) {
                        changes.push(silent_end(&on.link, way));
                    }
                    changes
                }
                Some(from) => vec![Change::HealOneWay { link: on.link.clone(), from }],
            },
            Action::Silence(silence) => {
                let flows = match silence.flows {
                    Which::Established => Flows::Established,
                    Which::All => Flows::All,
                };
                vec![Change::Silence { link: silence.link.clone(), flows }]
            }
            Action::BlackHole(hole) => {
                let mtu = u16::try_from(hole.mtu.as_bytes()).ok();
                vec![Change::BlackHole { link: hole.link.clone(), mtu }]
            }
            Action::Rebind(on) => vec![Change::Rebind { node: on.node.clone() }],
            Action::Crash(on) => vec![Change::Crash { node: on.node.clone() }],
            Action::Restart(on) => vec![Change::Restart { node: on.node.clone() }],
            Action::Skew(Skew { node, ahead, back, ppm }) => {
                let jump = match (ahead, back) {
                    (_, Some(by)) => Jump::Back((*by).into()),
                    (by, None) => Jump::Forward(by.unwrap_or_default().into()),
                };
                vec![Change::Skew { node: node.clone(), rate: *ppm, jump }]
            }
            Action::Set(set) => self.set(&set.link, set.way.as_deref(), &set.change),
        }
    }

    fn set(&mut self, name: &str, way: Option<&str>, change: &Different) -> Vec<Change> {
        let Some(link) = self.links.get_mut(name) else { return Vec::new() };
        match way {
            Some(way) => link.toward.entry(way.to_owned()).or_default().add(change),
            None => {
                link.both.add(change);
                // What was said of one direction alone keeps its word, but for what is said now.
                link.toward.values_mut().for_each(|one| one.add(change));
            }
        }
        let impair = |from: Option<&str>, impairments| Change::Impair {
            link: name.to_owned(),
            from: from.map(str::to_owned),
            impairments,
        };
        match *members(self.scenario, name) {
            [one, other] => {
                let both = [(one, other), (other, one)]
                    .map(|(from, to)| impair(Some(from), between(link, from, to)));
                both.into()
            }
            _ => vec![impair(None, between(link, "", ""))],
        }
    }
}

fn sender(way: Option<&str>) -> Option<String> {
    way.and_then(ends).map(|(from, _)| from.to_owned())
}
