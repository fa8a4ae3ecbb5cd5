//! A network that runs.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use host::Instant;
use stack::StackHost;
use tcpip::InterfaceId;
use tcpip::internet::{Cidr, ConfigError, Route, nat};

use super::plan::Layout;
use super::{Change, LinkKind, NodeKind, Topology, TopologyError};
use crate::lab::{Lab, Machine};
use crate::link::{Counters, Duplex, Impairments, Link, LinkEnd, Way};
use crate::machine::LabHost;
use crate::state::{Happening, Shared, lock};

/// A node of a [`Network`], as its programs see it: a `host::Host` on Fourwire's own TCP/IP.
pub type NodeHost = StackHost<LabHost, LinkEnd>;

/// A network that runs in a lab. A clone is another handle to it.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    topology: Topology,
    layout: Layout,
    shared: Arc<Shared>,
    links: Vec<Link>,
    nodes: Vec<Node>,
}

struct Node {
    machine: Machine,
    state: Mutex<Running>,
}

/// A node between one crash and the next.
#[derive(Default)]
struct Running {
    host: Option<NodeHost>,
    programs: Vec<Program>,
    /// What holds of its cables, in order of its links: a new plug knows nothing of it.
    cables: Vec<CableState>,
}

type Program = Arc<dyn Fn(NodeHost) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What holds of a cable, out and in.
#[derive(Clone, Default)]
struct CableState {
    impairments: [Impairments; 2],
    is_cut: [bool; 2],
    black_hole: Option<u16>,
    duplex: Duplex,
}

const WAYS: [Way; 2] = [Way::Out, Way::In];
const OUT: usize = 0;
const IN: usize = 1;

/// The networks of machines by pipes and by packets are apart: there, a node has an address that says nothing (RFC 6666).
fn pipe_address(number: usize) -> IpAddr {
    IpAddr::from([0x0100, 0, 0, 0, 0, 0, (number >> 16) as u16, number as u16])
}

/// Looking around.
impl Network {
    /// The plan that it was built from.
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// A node's host, as programs use it. After a crash and a restart it is another one.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`]; [`TopologyError::State`] while it is down.
    pub fn host(&self, node: &str) -> Result<NodeHost, TopologyError> {
        let number = self.0.topology.node_number(node)?;
        let host = lock(&self.0.nodes[number].state).host.clone();
        host.ok_or_else(|| TopologyError::State { node: node.to_owned(), state: "down" })
    }

    /// The simulated machine under a node.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`].
    pub fn machine(&self, node: &str) -> Result<Machine, TopologyError> {
        Ok(self.0.nodes[self.0.topology.node_number(node)?].machine.clone())
    }

    /// What became of the frames that a node sent on a link. On a segment that is as far as the switch.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`], [`TopologyError::NotOnLink`].
    pub fn sent(&self, link: &str, node: &str) -> Result<Counters, TopologyError> {
        let (number, sender) = (self.0.topology.link_number(link)?, self.0.topology.node_number(node)?);
        if !self.0.layout.places[sender].contains(&number) {
            return Err(TopologyError::NotOnLink { node: node.to_owned(), link: link.to_owned() });
        }
        let (cable, way) = self.0.outward(number, sender);
        Ok(self.0.links[number].counters(&self.0.nodes[cable].machine, WAYS[way]))
    }

    /// A link as it is under the plan. To change it use [`apply`](Self::apply), for a node that restarts is plugged in
    /// anew.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`].
    pub fn link(&self, link: &str) -> Result<Link, TopologyError> {
        Ok(self.0.links[self.0.topology.link_number(link)?].clone())
    }

    /// A node's first address.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`].
    pub fn address(&self, node: &str) -> Result<IpAddr, TopologyError> {
        let addresses = self.addresses(node)?;
        Ok(addresses.first().expect("the plan was checked: every node has an address").address)
    }

    /// A node's addresses, in the order of its links and their networks.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`].
    pub fn addresses(&self, node: &str) -> Result<Vec<Cidr>, TopologyError> {
        let number = self.0.topology.node_number(node)?;
        Ok(self.0.layout.addresses[number].iter().flatten().copied().collect())
    }

    /// The addresses that a name stands for: a node's own name, or one of the [others](super::NodePlan::named).
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.names().filter(|(_, known)| *known == name).map(|(address, _)| address).collect()
    }

    /// All addresses with their names.
    pub fn names(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        let nodes = self.0.topology.nodes.iter().zip(&self.0.layout.addresses);
        nodes.flat_map(|(node, addresses)| {
            let names = move || std::iter::once(&node.name).chain(&node.names);
            addresses
                .iter()
                .flatten()
                .flat_map(move |cidr| names().map(move |name| (cidr.address, name.as_str())))
        })
    }
}

/// Making things happen.
impl Network {
    /// Starts a program on a node, now and whenever the node restarts. Its future is dropped when the node crashes.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Unknown`].
    pub fn run<F>(
        &self,
        node: &str,
        program: impl Fn(NodeHost) -> F + Send + Sync + 'static,
    ) -> Result<(), TopologyError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.0.topology.node_number(node)?;
        let program: Program = Arc::new(move |host| Box::pin(program(host)));
        let mut running = lock(&self.0.nodes[number].state);
        if let Some(host) = &running.host {
            launch(host, &program);
        }
        running.programs.push(program);
        Ok(())
    }

    /// Lets `change` happen at `at`, on the lab's clock; at once when that has passed. Changes of one time happen in the
    /// order in which they were asked for.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as far as the plan tells: [`TopologyError::Unknown`], [`TopologyError::NotOnLink`]. A node
    /// that is found in the wrong state when the time has come, down or up already, stays as it is.
    pub fn at(&self, at: Instant, change: Change) -> Result<(), TopologyError> {
        self.check(&change)?;
        let network = self.clone();
        let work = move || {
            // All that can be wrong at this point is that the change changes nothing.
            let _ = network.apply(&change);
        };
        self.0.shared.with(|state| {
            let at = at.max(state.now);
            state.queue.schedule(at, Happening::Do(Box::new(work)));
        });
        Ok(())
    }

    /// Lets `change` happen now.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at); [`TopologyError::State`] when a node to crash is down, or one to restart is up.
    pub fn apply(&self, change: &Change) -> Result<(), TopologyError> {
        self.check(change)?;
        let note = crate::transcript::Event::Note(change.to_string());
        self.0.shared.with(|state| state.recorder.record(state.now, "".into(), note));
        match change {
            Change::Cut { link } => self.each_cable(link, |cable| cable.is_cut = [true; 2]),
            Change::Heal { link } => self.each_cable(link, |cable| cable.is_cut = [false; 2]),
            Change::CutOneWay { link, from } => {
                self.sending(link, from, |cable, way| cable.is_cut[way] = true)
            }
            Change::HealOneWay { link, from } => {
                self.sending(link, from, |cable, way| cable.is_cut[way] = false)
            }
            Change::Silence { link, flows } => self.link(link).map(|link| link.silence(Some(flows.clone()))),
            Change::Speak { link } => self.link(link).map(|link| link.silence(None)),
            Change::BlackHole { link, mtu } => self.each_cable(link, |cable| cable.black_hole = *mtu),
            Change::Impair { link, from, impairments } => self.impair(link, from.as_deref(), impairments),
            Change::Crash { node } => self.crash(node),
            Change::Restart { node } => self.restart(node),
            Change::Rebind { node } => self.rebind(node),
            Change::Skew { node, rate, jump } => {
                self.machine(node).map(|machine| machine.host().skew(*rate, *jump))
            }
        }
    }

    fn check(&self, change: &Change) -> Result<(), TopologyError> {
        let topology = &self.0.topology;
        let (link, node) = match change {
            Change::Cut { link }
            | Change::Heal { link }
            | Change::Silence { link, .. }
            | Change::Speak { link }
            | Change::BlackHole { link, .. }
            | Change::Impair { link, from: None, .. } => (Some(link), None),
            Change::CutOneWay { link, from }
            | Change::HealOneWay { link, from }
            | Change::Impair { link, from: Some(from), .. } => (Some(link), Some(from)),
            Change::Crash { node }
            | Change::Restart { node }
            | Change::Rebind { node }
            | Change::Skew { node, .. } => (None, Some(node)),
        };
        let link = link.map(|link| topology.link_number(link)).transpose()?;
        let node = node.map(|node| topology.node_number(node)).transpose()?;
        match (link, node) {
            (None, Some(node))
                if matches!(change, Change::Rebind { .. }) && topology.nodes[node].nat.is_none() =>
            {
                Err(TopologyError::NoTranslator { node: topology.nodes[node].name.clone() })
            }
            (Some(link), Some(node)) if !self.0.layout.places[node].contains(&link) => {
                let (link, node) = (topology.links[link].name.clone(), topology.nodes[node].name.clone());
                Err(TopologyError::NotOnLink { node, link })
            }
            _ => Ok(()),
        }
    }

    /// Changes what holds of all cables of a link.
    fn each_cable(&self, link: &str, change: impl Fn(&mut CableState)) -> Result<(), TopologyError> {
        let number = self.0.topology.link_number(link)?;
        for node in 0..self.0.nodes.len() {
            self.cable(number, node, &change);
        }
        Ok(())
    }

    /// Changes what holds of the way by which a node sends on a link.
    fn sending(
        &self,
        link: &str,
        node: &str,
        change: impl Fn(&mut CableState, usize),
    ) -> Result<(), TopologyError> {
        let (link, node) = (self.0.topology.link_number(link)?, self.0.topology.node_number(node)?);
        let (node, way) = self.0.outward(link, node);
        self.cable(link, node, &|cable: &mut CableState| change(cable, way));
        Ok(())
    }

    fn cable(&self, link: usize, node: usize, change: &impl Fn(&mut CableState)) {
        if let Some(place) = self.0.layout.places[node].iter().position(|&on| on == link) {
            let mut running = lock(&self.0.nodes[node].state);
            change(&mut running.cables[place]);
            self.0.lay(node, place, &running.cables[place]);
        }
    }

    fn impair(&self, link: &str, from: Option<&str>, impairments: &Impairments) -> Result<(), TopologyError> {
        if let Some(from) = from {
            return self.sending(link, from, |cable, way| cable.impairments[way] = impairments.clone());
        }
        let number = self.0.topology.link_number(link)?;
        match self.0.topology.links[number].kind {
            LinkKind::Ethernet => {
                return self.each_cable(link, |cable| cable.impairments[IN] = impairments.clone());
            }
            LinkKind::PointToPoint => {
                let both = |cable: &mut CableState| cable.impairments.fill(impairments.clone());
                self.cable(number, self.0.first_end(number), &both);
            }
        }
        Ok(())
    }

    fn crash(&self, node: &str) -> Result<(), TopologyError> {
        let node = &self.0.nodes[self.0.topology.node_number(node)?];
        let host = lock(&node.state).host.take();
        let Some(host) = host else {
            return Err(TopologyError::State { node: self.name_of(node), state: "down" });
        };
        self.0.shared.power_off(node.machine.number());
        drop(host);
        Ok(())
    }

    fn restart(&self, node: &str) -> Result<(), TopologyError> {
        let number = self.0.topology.node_number(node)?;
        let mut running = lock(&self.0.nodes[number].state);
        if running.host.is_some() {
            return Err(TopologyError::State { node: node.to_owned(), state: "up" });
        }
        self.0.boot(number, &mut running)
    }

    fn rebind(&self, node: &str) -> Result<(), TopologyError> {
        self.host(node)?.with_stack(|stack, _, _| {
            if let Some(nat) = stack.internet().nat() {
                nat.rebind();
            }
        });
        Ok(())
    }

    fn name_of(&self, node: &Node) -> String {
        node.machine.host().name().to_string()
    }
}

impl Network {
    pub(super) fn build(topology: Topology, layout: Layout, lab: &Lab) -> Result<Self, TopologyError> {
        let links = topology.links.iter().map(|link| lab.link(&link.name, link.mtu)).collect();
        let nodes = topology.nodes.iter().enumerate().map(|(number, plan)| {
            let machine = lab.machine(&plan.name, pipe_address(number), 1);
            let cables = layout.places[number].iter().map(|&link| cable(&topology, &layout, link, number));
            Node { machine, state: Mutex::new(Running { cables: cables.collect(), ..Running::default() }) }
        });
        let nodes = nodes.collect();
        let inner = Inner { topology, layout, shared: lab.shared().clone(), links, nodes };
        let network = Self(Arc::new(inner));
        network.introduce();
        let inner = &network.0;
        for (number, node) in inner.nodes.iter().enumerate() {
            inner.boot(number, &mut lock(&node.state))?;
        }
        Ok(network)
    }

    /// Tells who watches what the addresses are called, and who sends packets on.
    fn introduce(&self) {
        self.0.shared.with(|state| {
            let Some(watch) = &mut state.watch else { return };
            watch.names.extend(self.names().map(|(address, name)| (address, name.to_owned())));
            let nodes = self.0.topology.nodes.iter().zip(&self.0.nodes);
            for (_, node) in nodes.filter(|(plan, _)| plan.kind == NodeKind::Router) {
                watch.router(node.machine.number());
            }
        });
    }
}

/// What holds of a node's cable at first. Of a point-to-point link the first end's cable is all there is, and the other's a
/// plug without length: so the two directions are one cable's.
fn cable(topology: &Topology, layout: &Layout, link: usize, node: usize) -> CableState {
    let plan = &topology.links[link];
    let chosen = |list: &[(String, Impairments)], node: usize| {
        let mut named = list.iter().rev().filter(|(name, _)| *name == topology.nodes[node].name);
        named.next().map(|(_, impairments)| impairments.clone())
    };
    let (sends, receives) = (chosen(&plan.sending, node), chosen(&plan.receiving, node));
    let all = || plan.impairments.clone();
    let impairments = match plan.kind {
        LinkKind::Ethernet => [sends.unwrap_or_default(), receives.unwrap_or_else(all)],
        LinkKind::PointToPoint => {
            let ends = ends(layout, link);
            if ends[0] != node {
                return CableState::default();
            }
            // What the one receives is what the other sends.
            let out = sends.or_else(|| chosen(&plan.receiving, ends[1]));
            let back = receives.or_else(|| chosen(&plan.sending, ends[1]));
            [out.unwrap_or_else(all), back.unwrap_or_else(all)]
        }
    };
    CableState { impairments, duplex: plan.duplex, ..CableState::default() }
}

/// The nodes on a link, in order.
fn ends(layout: &Layout, link: usize) -> Vec<usize> {
    (0..layout.places.len()).filter(|&node| layout.places[node].contains(&link)).collect()
}

impl Inner {
    /// By whose cable, and which way along it, a node sends on a link.
    fn outward(&self, link: usize, node: usize) -> (usize, usize) {
        match self.topology.links[link].kind {
            LinkKind::Ethernet => (node, OUT),
            LinkKind::PointToPoint => {
                let first = self.first_end(link);
                (first, if node == first { OUT } else { IN })
            }
        }
    }

    fn first_end(&self, link: usize) -> usize {
        ends(&self.layout, link)[0]
    }

    /// Starts a node: its stack, its interfaces, its programs.
    fn boot(&self, number: usize, running: &mut Running) -> Result<(), TopologyError> {
        let plan = &self.topology.nodes[number];
        let wrong = |error: ConfigError| TopologyError::Stack { node: plan.name.clone(), error };
        let machine = &self.nodes[number].machine;
        let mut config = plan.stack.clone();
        config.internet.forwarding |= plan.kind == NodeKind::Router;
        let host = NodeHost::new(machine.host(), config, self.shared.tracer(machine.number()));
        for (place, &link) in self.layout.places[number].iter().enumerate() {
            let end = self.links[link].attach(machine);
            host.attach(&format!("eth{place}"), end).map_err(wrong)?;
            self.lay(number, place, &running.cables[place]);
        }
        host.with_stack(|stack, now, _| {
            for (place, addresses) in self.layout.addresses[number].iter().enumerate() {
                for &address in addresses {
                    stack.add_address(now, InterfaceId(place as u16), address)?;
                }
            }
            if let Some(nat) = &plan.nat {
                let outside = plan.links.iter().position(|link| *link == nat.outside);
                let outside = InterfaceId(outside.expect("the plan was checked") as u16);
                let filtering = nat.filtering;
                stack.internet().set_nat(Some(nat::Config { filtering, ..nat::Config::new(outside) }))?;
            }
            for way in &self.layout.routes[number] {
                let route = Route {
                    network: way.network,
                    gateway: Some(way.gateway),
                    interface: InterfaceId(way.interface as u16),
                    metric: 0,
                    until: None,
                };
                stack.add_route(route)?;
            }
            Ok(())
        })
        .map_err(wrong)?;
        running.programs.iter().for_each(|program| launch(&host, program));
        running.host = Some(host);
        Ok(())
    }

    /// Tells a node's cable what holds of it.
    fn lay(&self, node: usize, place: usize, cable: &CableState) {
        let link = &self.links[self.layout.places[node][place]];
        let machine = &self.nodes[node].machine;
        link.set_duplex(machine, cable.duplex);
        for (way, (impairments, is_cut)) in WAYS.into_iter().zip(cable.impairments.iter().zip(cable.is_cut)) {
            let mtu = [impairments.mtu, cable.black_hole].into_iter().flatten().min();
            link.impair(machine, way, Impairments { mtu, ..impairments.clone() });
            match is_cut {
                true => link.cut(machine, way),
                false => link.heal(machine, way),
            }
        }
    }
}

fn launch(host: &NodeHost, program: &Program) {
    use host::Runtime;
    host.spawn_detached(program(host.clone()));
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes = self.0.topology.nodes.iter().map(|node| &node.name);
        formatter.debug_list().entries(nodes).finish()
    }
}
