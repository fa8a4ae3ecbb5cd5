//! What happens to a network.

use std::fmt;

use crate::clock::Jump;
use crate::link::Impairments;
use crate::silence::Flows;

/// Something that happens to a network, at once ([`Network::apply`](super::Network::apply)) or at its time
/// ([`Network::at`](super::Network::at)). Links and nodes are named as in the plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "few changes wait at a time, and a box would be in everybody's way"
)]
pub enum Change {
    /// A link carries nothing any more, in any direction. What is on the wire still arrives.
    Cut {
        /// Which.
        link: String,
    },
    /// A link carries again what it is given: takes back [`Cut`](Self::Cut) and [`CutOneWay`](Self::CutOneWay).
    Heal {
        /// Which.
        link: String,
    },
    /// A link carries nothing any more of what one node sends; what it is to receive still arrives.
    CutOneWay {
        /// Which link.
        link: String,
        /// Whose frames are lost.
        from: String,
    },
    /// Takes back [`CutOneWay`](Self::CutOneWay).
    HealOneWay {
        /// Which link.
        link: String,
        /// Whose frames get through again.
        from: String,
    },
    /// A link loses the packets of some flows, in both directions and without a word, while it carries all else and the
    /// neighbours on it still find each other. So does a firewall that has forgotten its connections, and what it leaves
    /// behind is connections that each end believes to be open.
    Silence {
        /// Which link.
        link: String,
        /// Which flows.
        flows: Flows,
    },
    /// Takes back [`Silence`](Self::Silence).
    Speak {
        /// Which link.
        link: String,
    },
    /// A link loses packets that are longer than `mtu` bytes, without a word: path MTU discovery is told nothing.
    BlackHole {
        /// Which link.
        link: String,
        /// The longest packet that gets through, in bytes; `None` takes it back.
        mtu: Option<u16>,
    },
    /// Other impairments from now on. What is on the wire arrives as it would have.
    Impair {
        /// Which link.
        link: String,
        /// What this node sends; `None` for all of them.
        from: Option<String>,
        /// What happens to its frames.
        impairments: Impairments,
    },
    /// The power of a node fails: its programs, its sockets and its stack are gone, and it answers nothing.
    Crash {
        /// Which.
        node: String,
    },
    /// A crashed node is up again, with its addresses, hardware addresses too, but with new random streams; its
    /// programs start from the beginning.
    Restart {
        /// Which.
        node: String,
    },
    /// A router that translates addresses forgets whom it translates: who goes on sending comes from another port.
    Rebind {
        /// Which router.
        node: String,
    },
    /// A node's clocks go wrong.
    Skew {
        /// Which node.
        node: String,
        /// How much its clocks run fast, in parts of a million; negative: slow. Both clocks, timers too.
        rate: i32,
        /// What its wall clock jumps by.
        jump: Jump,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { link } => write!(formatter, "cut {link}"),
            Self::Heal { link } => write!(formatter, "heal {link}"),
            Self::CutOneWay { link, from } => write!(formatter, "cut {link} for what {from} sends"),
            Self::HealOneWay { link, from } => write!(formatter, "heal {link} for what {from} sends"),
            Self::Silence { link, flows } => write!(formatter, "silence {flows} on {link}"),
            Self::Speak { link } => write!(formatter, "silence nothing on {link}"),
            Self::BlackHole { link, mtu: Some(mtu) } => {
                write!(formatter, "lose packets longer than {mtu} bytes on {link}")
            }
            Self::BlackHole { link, mtu: None } => write!(formatter, "lose no long packets on {link}"),
            Self::Impair { link, from: None, .. } => write!(formatter, "change {link}"),
            Self::Impair { link, from: Some(from), .. } => {
                write!(formatter, "change {link} for what {from} sends")
            }
            Self::Crash { node } => write!(formatter, "crash {node}"),
            Self::Restart { node } => write!(formatter, "restart {node}"),
            Self::Rebind { node } => write!(formatter, "rebind {node}"),
            Self::Skew { node, rate, jump } => {
                write!(formatter, "let the clocks of {node} run {rate:+} ppm")?;
                match jump {
                    Jump::Forward(by) if by.is_zero() => Ok(()),
                    Jump::Forward(by) => write!(formatter, " and jump forward by {by:?}"),
                    Jump::Back(by) => write!(formatter, " and jump back by {by:?}"),
                }
            }
        }
    }
}
