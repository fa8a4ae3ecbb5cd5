//! Networks of hosts, switches, routers and links: the plan, and what it becomes.

mod addresses;
mod change;
mod network;
mod plan;
mod routes;

use std::net::IpAddr;

use tcpip::internet::{Cidr, ConfigError};

pub use change::Change;
pub use network::{Network, NodeHost};
pub use plan::{LinkKind, LinkPlan, NatPlan, NodeKind, NodePlan, StaticRoute, Topology};

/// Why a topology cannot be, or a change not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Two of a kind have one name.
    #[error("there are two {kind}s called {name:?}; give one of them another name")]
    Twice {
        /// A link or a node.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A name means nothing.
    #[error("there is no {kind} called {name:?}; the {kind}s are: {known}")]
    Unknown {
        /// A link or a node.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A node is not where it should be.
    #[error("{node:?} is not on the link {link:?}; say that it is, or name a node that is")]
    NotOnLink {
        /// Which node.
        node: String,
        /// On which link.
        link: String,
    },
    /// A node is on one link twice.
    #[error("{node:?} is on the link {link:?} twice; parallel links need a name each")]
    TwiceOnLink {
        /// Which node.
        node: String,
        /// On which link.
        link: String,
    },
    /// A point-to-point link has not two ends.
    #[error("the point-to-point link {link:?} has {ends} ends, and needs two")]
    Ends {
        /// Which.
        link: String,
        /// How many.
        ends: usize,
    },
    /// A node cannot be on any network.
    #[error("{node:?} is on no link; put it on one")]
    Nowhere {
        /// Which.
        node: String,
    },
    /// A link's network has fewer addresses than nodes.
    #[error("the network {network} of the link {link:?} has no address left for {node:?}; make it larger")]
    Full {
        /// Which link.
        link: String,
        /// Which network.
        network: Cidr,
        /// For whom.
        node: String,
    },
    /// Two nodes have one address.
    #[error("{address} is the address of two nodes, {node:?} among them; change one")]
    AddressTwice {
        /// Which address.
        address: IpAddr,
        /// One of the two.
        node: String,
    },
    /// An address was chosen that is in no network of the link.
    #[error(
        "the address {address} of {node:?} is in no network of the link {link:?}; add the network or change the address"
    )]
    Outside {
        /// Which address.
        address: IpAddr,
        /// Whose.
        node: String,
        /// On which link.
        link: String,
    },
    /// A node that needs a network has none.
    #[error("{node:?} has no address: none of its links has a network; give one of them one")]
    NoAddress {
        /// Which.
        node: String,
    },
    /// A static route leads by a router that is not on any link of the node.
    #[error("the route of {node:?} to {network} goes by {via}, which is on none of its links")]
    Gateway {
        /// Whose route.
        node: String,
        /// To which network.
        network: Cidr,
        /// By whom.
        via: IpAddr,
    },
    /// A node that does not translate addresses is to.
    #[error("{node:?} translates no addresses; make it a router that does")]
    NoTranslator {
        /// Which.
        node: String,
    },
    /// The node's own stack refuses.
    #[error("{node:?}: {error}")]
    Stack {
        /// Which node.
        node: String,
        /// Why.
        error: ConfigError,
    },
    /// A change that needs a host that is down, or one that is up.
    #[error("{node:?} is {state} already")]
    State {
        /// Which node.
        node: String,
        /// What it is.
        state: &'static str,
    },
}
