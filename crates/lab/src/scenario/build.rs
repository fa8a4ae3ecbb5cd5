//! A scenario's network as a topology of the lab, and its events as changes of it.

use tcpip::internet::Cidr;

use super::event::{Action, Event, Skew, Which};
use super::format::{Kind, Scenario};
use super::link::{Change as Different, Link};
use super::problem::{Problem, Step};
use crate::clock::Jump;
use crate::link::Impairments;
use crate::silence::Flows;
use crate::topology::{Change, LinkKind, LinkPlan, Network, NodePlan, Topology, TopologyError};

/// The presets that a link may begin with.
pub(super) const PRESETS: &[&str] = &[];

/// What a preset does to frames.
pub(super) fn preset(_name: &str) -> Option<Impairments> {
    None
}

/// The network of a scenario.
pub(super) fn topology(scenario: &Scenario) -> Result<Topology, Problem> {
    let mut topology = Topology::new();
    for (number, (name, link)) in scenario.link.iter().enumerate() {
        let plan = match scenario.node.values().filter(|node| node.on.contains(name)).count() {
            2 => LinkPlan::point_to_point(name),
            _ => LinkPlan::ethernet(name),
        };
        let subnet = match &link.subnet {
            Some(text) => subnet(text),
            None => chosen(number),
        };
        let subnet = subnet.map_err(|error| Problem::new(["link".into(), name.as_str().into()], error))?;
        let mut plan = plan.network(subnet).impair(impairments(link, None));
        if let Some(mtu) = link.mtu {
            plan = plan.mtu(mtu);
        }
        for way in link.toward.keys() {
            let Some((from, to)) = ends(way) else { continue };
            let impairments = impairments(link, Some(way));
            // Where there is a switch, the cable to the receiver is where frames queue.
            plan = match plan.kind {
                LinkKind::PointToPoint => plan.sending(from, impairments),
                LinkKind::Ethernet => plan.receiving(to, impairments),
            };
        }
        topology = topology.link(plan);
    }
    for (name, node) in &scenario.node {
        let mut plan = match node.kind {
            Kind::Host => NodePlan::host(name),
            Kind::Router => NodePlan::router(name),
            Kind::Nat => NodePlan::router(name),
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

/// What a link does to frames, in the direction `way` or in both.
fn impairments(link: &Link, way: Option<&str>) -> Impairments {
    let mut impairments = link.preset.as_deref().and_then(preset).unwrap_or_default();
    link.both.apply(&mut impairments);
    if let Some(different) = way.and_then(|way| link.toward.get(way)) {
        different.apply(&mut impairments);
    }
    impairments
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
pub(super) struct Weather {
    /// The links as they are now.
    links: std::collections::BTreeMap<String, Link>,
}

impl Weather {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { links: scenario.link.clone() }
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
                None => vec![
                    Change::Heal { link: on.link.clone() },
                    Change::Speak { link: on.link.clone() },
                    Change::BlackHole { link: on.link.clone(), mtu: None },
                ],
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
            Action::Rebind(_) => Vec::new(),
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
        let name = name.to_owned();
        match way {
            Some(way) => {
                let from = sender(Some(way));
                link.toward.entry(way.to_owned()).or_default().add(change);
                vec![Change::Impair { link: name, from, impairments: impairments(link, Some(way)) }]
            }
            None => {
                link.both.add(change);
                // What was said of one direction alone keeps its word, but for what is said now.
                link.toward.values_mut().for_each(|one| one.add(change));
                let all =
                    Change::Impair { link: name.clone(), from: None, impairments: impairments(link, None) };
                let single = link.toward.keys().map(|way| Change::Impair {
                    link: name.clone(),
                    from: sender(Some(way)),
                    impairments: impairments(link, Some(way)),
                });
                std::iter::once(all).chain(single).collect()
            }
        }
    }
}

fn sender(way: Option<&str>) -> Option<String> {
    way.and_then(ends).map(|(from, _)| from.to_owned())
}
