//! Whole hosts under fire: a hostile peer, a hostile network, and the attacks that other stacks fell to.

mod adversary;
mod cve;
mod forge;
mod groups;
mod memory;
mod net;
mod time_wait;
