//! The link layer: interfaces and the neighbours on them.

mod interface;
mod neighbors;

pub use interface::{Address, AddressState, Interface, InterfaceConfig, Medium};
pub(crate) use neighbors::{Action, Heard, Neighbors, Waiting};
pub use neighbors::{NeighborInfo, NeighborState};
