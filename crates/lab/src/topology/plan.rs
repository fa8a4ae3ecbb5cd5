//! The plan of a network.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tcpip::StackConfig;
use tcpip::internet::Cidr;
use tcpip::internet::nat::Filtering;

use super::network::Network;
use super::{TopologyError, addresses, routes};
use crate::lab::Lab;
use crate::link::{Duplex, Impairments};

/// The plan of a network: links and the nodes on them, each with a name, in the order in which they are given. The order
/// decides which addresses they get, and nothing else.
///
/// It is plain data. [`build`](Self::build) checks it as a whole, gives every node its addresses and routes, and puts it
/// into a [`Lab`] as a [`Network`], whose nodes run Fourwire's own TCP/IP. What happens to it later is a
/// [`Change`](super::Change), at once or [at its time](Network::at).
///
/// ```
/// use std::time::Duration;
///
/// use host::{Instant, ListenOptions, Listener, Network as _};
/// use lab::{Change, Impairments, Lab, LinkPlan, NodePlan, Topology};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let wan = Impairments { delay: Duration::from_millis(40), ..Impairments::default() };
/// let topology = Topology::new()
///     .link(LinkPlan::ethernet("home").network("10.1.0.0/24".parse()?))
///     .link(LinkPlan::point_to_point("wan").network("192.0.2.0/30".parse()?).impair(wan))
///     .link(LinkPlan::ethernet("office").network("10.2.0.0/24".parse()?))
///     .node(NodePlan::router("r1").on("home").on("wan"))
///     .node(NodePlan::router("r2").on("wan").on("office"))
///     .node(NodePlan::host("alice").on("home"))
///     .node(NodePlan::host("server").on("office"));
/// let lab = Lab::new(1);
/// let network = topology.build(&lab)?;
///
/// // A program that starts again with its host.
/// network.run("server", |host| async move {
///     let mut listener = host.listen("0.0.0.0:7".parse().unwrap(), ListenOptions::default()).await.unwrap();
///     while let Ok(mut connection) = listener.accept().await {
///         let mut words = String::new();
///         let _ = connection.read_to_string(&mut words).await;
///         let _ = connection.write_all(words.as_bytes()).await;
///     }
/// });
/// network.at(Instant::ORIGIN, Change::Cut { link: "wan".into() })?;
/// network.at(Instant::ORIGIN + Duration::from_secs(3), Change::Heal { link: "wan".into() })?;
///
/// let server = (network.address("server")?, 7).into();
/// let alice = network.host("alice")?;
/// let echo = lab.block_on(async move {
///     let mut connection = alice.connect(server).await?;
///     connection.write_all(b"through").await?;
///     connection.shutdown().await?;
///     let mut echo = String::new();
///     connection.read_to_string(&mut echo).await?;
///     std::io::Result::Ok(echo)
/// });
/// assert_eq!(echo?, "through");
/// assert!(lab.now() > Instant::ORIGIN + Duration::from_secs(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Where impairments act
///
/// Delays and rates are one-way. What a link is [impaired](LinkPlan::impair) with meets each frame once on its way across:
/// on a point-to-point link as it leaves its sender, on an Ethernet segment on the cable from the switch to its receiver,
/// where a switch has its queue. [`LinkPlan::sending`] and [`LinkPlan::receiving`] say otherwise for one node.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The links.
    pub links: Vec<LinkPlan>,
    /// The hosts and routers.
    pub nodes: Vec<NodePlan>,
}

/// What a link is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A learning switch, with a cable to each node.
    Ethernet,
    /// One cable between two nodes. Its frames are Ethernet's too, so that captures of both look alike.
    PointToPoint,
}

/// A link.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    /// What it is called.
    pub name: String,
    /// What it is made of.
    pub kind: LinkKind,
    /// Its networks: each node on the link gets an address in each of them. Bits behind the prefix do not count.
    pub networks: Vec<Cidr>,
    /// The longest packet, in bytes.
    pub mtu: u16,
    /// What it costs to go by this link, for the shortest paths.
    pub cost: u32,
    /// Who may speak when: on a point-to-point link its two ends, on a segment each node and the switch.
    pub duplex: Duplex,
    /// What happens to each frame: see [`Topology`](Topology#where-impairments-act).
    pub impairments: Impairments,
    /// What happens to frames that one node sends, in place of that.
    pub sending: Vec<(String, Impairments)>,
    /// What happens to frames that one node receives, in place of that.
    pub receiving: Vec<(String, Impairments)>,
}

impl LinkPlan {
    /// A switch for packets of up to 1,500 bytes that does nothing to them.
    pub fn ethernet(name: impl Into<String>) -> Self {
        Self::new(name.into(), LinkKind::Ethernet)
    }

    /// A cable between two nodes, for packets of up to 1,500 bytes, that does nothing to them.
    pub fn point_to_point(name: impl Into<String>) -> Self {
        Self::new(name.into(), LinkKind::PointToPoint)
    }

    fn new(name: String, kind: LinkKind) -> Self {
        Self {
            name,
            kind,
            networks: Vec::new(),
            mtu: 1_500,
            cost: 1,
            duplex: Duplex::default(),
            impairments: Impairments::default(),
            sending: Vec::new(),
            receiving: Vec::new(),
        }
    }

    /// One more network on the link.
    pub fn network(mut self, network: Cidr) -> Self {
        self.networks.push(network);
        self
    }

    /// The longest packet, in bytes.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// What it costs to go by this link: 1 where nothing is said.
    pub fn cost(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    /// Who may speak when.
    pub fn duplex(mut self, duplex: Duplex) -> Self {
        self.duplex = duplex;
        self
    }

    /// What happens to all frames.
    pub fn impair(mut self, impairments: Impairments) -> Self {
        self.impairments = impairments;
        self
    }

    /// What happens to the frames that `node` sends, in place of what happens to all.
    pub fn sending(mut self, node: impl Into<String>, impairments: Impairments) -> Self {
        self.sending.push((node.into(), impairments));
        self
    }

    /// What happens to the frames that `node` receives, in place of what happens to all.
    pub fn receiving(mut self, node: impl Into<String>, impairments: Impairments) -> Self {
        self.receiving.push((node.into(), impairments));
        self
    }
}

/// What a node does with packets for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Nothing: programs run here.
    Host,
    /// It forwards them.
    Router,
}

/// A host or router.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// What it is called.
    pub name: String,
    /// What it does with packets for others.
    pub kind: NodeKind,
    /// The links that it is on, in order of its interfaces eth0, eth1, …
    pub links: Vec<String>,
    /// Addresses that were chosen for it. In a network where none is, it gets the first that is free.
    pub addresses: Vec<IpAddr>,
    /// Its routes; where there are none, those of the shortest paths.
    pub routes: Vec<StaticRoute>,
    /// For a router that translates addresses: how.
    pub nat: Option<NatPlan>,
    /// Other names for its addresses, such as "rt.lab".
    pub names: Vec<String>,
    /// How its TCP/IP behaves.
    pub stack: StackConfig,
}

/// A route that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// To which network; zero bits for all others.
    pub network: Cidr,
    /// The router to go by.
    pub via: IpAddr,
}

/// How a router translates IPv4 addresses; for timeouts and bounds see [`tcpip::internet::nat::Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatPlan {
    /// The link to the outside.
    pub outside: String,
    /// What may come in.
    pub filtering: Filtering,
}

impl NodePlan {
    /// A host, on no link yet.
    pub fn host(name: impl Into<String>) -> Self {
        Self::new(name.into(), NodeKind::Host)
    }

    /// A router, on no link yet.
    pub fn router(name: impl Into<String>) -> Self {
        Self::new(name.into(), NodeKind::Router)
    }

    fn new(name: String, kind: NodeKind) -> Self {
        Self {
            name,
            kind,
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            nat: None,
            names: Vec::new(),
            stack: StackConfig::default(),
        }
    }

    /// Puts it on one more link.
    pub fn on(mut self, link: impl Into<String>) -> Self {
        self.links.push(link.into());
        self
    }

    /// Chooses an address for it.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Chooses a route: where there is one, none is computed.
    pub fn route(mut self, network: Cidr, via: IpAddr) -> Self {
        self.routes.push(StaticRoute { network, via });
        self
    }

    /// Lets it translate IPv4 addresses: its other links are inside, and share its address on the link `outside`. What is
    /// inside is known to nobody outside, so several such routers may have the same networks inside.
    pub fn translating(mut self, outside: impl Into<String>) -> Self {
        self.nat = Some(NatPlan { outside: outside.into(), filtering: Filtering::default() });
        self
    }

    /// One more name for its addresses.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// How its TCP/IP behaves.
    pub fn stack(mut self, stack: StackConfig) -> Self {
        self.stack = stack;
        self
    }
}

impl Topology {
    /// A plan of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more link.
    pub fn link(mut self, link: LinkPlan) -> Self {
        self.links.push(link);
        self
    }

    /// One more host or router.
    pub fn node(mut self, node: NodePlan) -> Self {
        self.nodes.push(node);
        self
    }

    /// Checks the plan without building it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), TopologyError> {
        self.lay_out().map(|_| ())
    }

    /// Builds it in `lab`: every node is up when this returns.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the plan. Nothing is built then, unless it is a node's own stack that refuses
    /// ([`TopologyError::Stack`]).
    ///
    /// # Panics
    ///
    /// When the lab has a link or a machine of one of these names already.
    pub fn build(self, lab: &Lab) -> Result<Network, TopologyError> {
        let layout = self.lay_out()?;
        Network::build(self, layout, lab)
    }

    fn lay_out(&self) -> Result<Layout, TopologyError> {
        self.check_names()?;
        let places = self.places()?;
        let addresses = addresses::assign(self, &places)?;
        let routes = routes::compute(self, &places, &addresses)?;
        Ok(Layout { places, addresses, routes })
    }

    fn check_names(&self) -> Result<(), TopologyError> {
        once("link", self.links.iter().map(|link| &link.name))?;
        once("node", self.nodes.iter().map(|node| &node.name))
    }

    /// The links of each node, by number, and whether everything that is named is there.
    fn places(&self) -> Result<Vec<Vec<usize>>, TopologyError> {
        let mut places = Vec::new();
        for node in &self.nodes {
            let mut on = Vec::new();
            for link in &node.links {
                let number = self.link_number(link)?;
                if on.contains(&number) {
                    return Err(TopologyError::TwiceOnLink { node: node.name.clone(), link: link.clone() });
                }
                on.push(number);
            }
            if on.is_empty() {
                return Err(TopologyError::Nowhere { node: node.name.clone() });
            }
            if let Some(nat) = &node.nat {
                if !on.contains(&self.link_number(&nat.outside)?) {
                    return Err(TopologyError::NotOnLink {
                        node: node.name.clone(),
                        link: nat.outside.clone(),
                    });
                }
                if node.kind != NodeKind::Router {
                    return Err(TopologyError::NoTranslator { node: node.name.clone() });
                }
            }
            places.push(on);
        }
        for (number, link) in self.links.iter().enumerate() {
            let ends = places.iter().filter(|on| on.contains(&number)).count();
            if link.kind == LinkKind::PointToPoint && ends != 2 {
                return Err(TopologyError::Ends { link: link.name.clone(), ends });
            }
            for (node, _) in link.sending.iter().chain(&link.receiving) {
                if !places[self.node_number(node)?].contains(&number) {
                    return Err(TopologyError::NotOnLink { node: node.clone(), link: link.name.clone() });
                }
            }
        }
        Ok(places)
    }

    pub(super) fn link_number(&self, name: &str) -> Result<usize, TopologyError> {
        number("link", name, self.links.iter().map(|link| &link.name))
    }

    pub(super) fn node_number(&self, name: &str) -> Result<usize, TopologyError> {
        number("node", name, self.nodes.iter().map(|node| &node.name))
    }
}

/// What follows from a plan, for each node.
#[derive(Debug)]
pub(super) struct Layout {
    /// Its links.
    pub(super) places: Vec<Vec<usize>>,
    /// Its addresses, for each of its links.
    pub(super) addresses: Vec<Vec<Vec<Cidr>>>,
    pub(super) routes: Vec<Vec<routes::Way>>,
}

fn once<'a>(kind: &'static str, mut names: impl Iterator<Item = &'a String>) -> Result<(), TopologyError> {
    let mut seen = BTreeSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => Err(TopologyError::Twice { kind, name: name.clone() }),
        None => Ok(()),
    }
}

fn number<'a>(
    kind: &'static str,
    name: &str,
    mut names: impl Iterator<Item = &'a String> + Clone,
) -> Result<usize, TopologyError> {
    let known = names.clone().map(String::as_str).collect::<Vec<_>>().join(", ");
    let unknown = || TopologyError::Unknown { kind, name: name.to_owned(), known };
    names.position(|known| known == name).ok_or_else(unknown)
}
