//! The connections of a host, by place and by flow.

use std::collections::HashMap;

use host::{Instant, Random};

use super::budget::{Budget, HALF_OPEN};
use super::secrets::Key;
use super::tcp::{Changes, Connection};
use super::{Flow, ListenerId};

/// A connection. It outlives it: an id that was used is never another connection's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    place: u32,
    generation: u32,
}

/// A connection and what its host notes of it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) flow: Flow,
    pub(super) connection: Connection,
    /// The listener that answers for it until the handshake is done.
    pub(super) parent: Option<ListenerId>,
    /// The application let it go.
    pub(super) released: bool,
    /// Where the timers have it.
    pub(super) armed: Option<Instant>,
    /// It waits to send.
    pub(super) dirty: bool,
    /// Of which changes an event waits to be fetched.
    pub(super) told: Changes,
    /// Bytes of memory that are counted for it.
    pub(super) held: Held,
    /// Where it waits for memory.
    pub(super) starved: Option<usize>,
}

impl Slot {
    /// Counts what the connection holds, and tells it what it may.
    pub(super) fn account(&mut self, budget: &mut Budget) {
        let half_open = if self.parent.is_some() { HALF_OPEN } else { 0 };
        let (send, receive) = self.connection.held();
        let held = Held { send, receive, half_open };
        std::mem::replace(&mut self.held, held).change(held, budget);
        self.lend(budget);
    }

    /// Tells the connection what it may hold now.
    pub(super) fn lend(&mut self, budget: &Budget) {
        self.connection.set_share(budget.share(self.held.send, self.held.receive));
    }
}

/// What a connection holds: of what it sends, of what it receives, and for a handshake under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    send: usize,
    receive: usize,
    half_open: usize,
}

impl Held {
    /// It holds this now.
    pub(super) fn change(self, now: Self, budget: &mut Budget) {
        budget.change(self.send, now.send);
        budget.change(self.receive, now.receive);
        budget.change(self.half_open, now.half_open);
    }
}

#[derive(Debug)]
pub(super) struct Connections {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Never gone through: its order is the hash's.
    flows: HashMap<Flow, u32, Key>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    /// Apart, for an empty place to be small.
    slot: Option<Box<Slot>>,
}

impl Connections {
    pub(super) fn new(random: &mut Random) -> Self {
        Self { places: Vec::new(), free: Vec::new(), flows: HashMap::with_hasher(Key::new(random)) }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn add(
        &mut self,
        flow: Flow,
        connection: Connection,
        parent: Option<ListenerId>,
    ) -> ConnectionId {
        let slot = Box::new(Slot {
            flow,
            connection,
            parent,
            released: false,
            armed: None,
            dirty: false,
            told: Changes::default(),
            held: Held::default(),
            starved: None,
        });
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, slot: None });
            (self.places.len() - 1) as u32
        });
        self.flows.insert(flow, place);
        let here = &mut self.places[place as usize];
        here.slot = Some(slot);
        ConnectionId { place, generation: here.generation }
    }

    pub(super) fn find(&self, flow: &Flow) -> Option<ConnectionId> {
        let place = *self.flows.get(flow)?;
        Some(ConnectionId { place, generation: self.places[place as usize].generation })
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Slot> {
        let place = self.places.get(id.place as usize)?;
        place.slot.as_deref().filter(|_| place.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        let place = self.places.get_mut(id.place as usize)?;
        place.slot.as_deref_mut().filter(|_| place.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        if self.get(id).is_none() {
            return;
        }
        self.detach(id);
        let place = &mut self.places[id.place as usize];
        place.slot = None;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.place);
    }

    /// What comes over its flow is not for this connection any more.
    pub(super) fn detach(&mut self, id: ConnectionId) {
        if let Some(flow) = self.get(id).map(|slot| slot.flow)
            && self.flows.get(&flow) == Some(&id.place)
        {
            self.flows.remove(&flow);
        }
    }

    /// Those that a listener still answers for.
    pub(super) fn of_listener(&self, listener: ListenerId) -> Vec<ConnectionId> {
        let ids = self.iter().map(|(id, _, _)| id);
        ids.filter(|&id| self.get(id).is_some_and(|slot| slot.parent == Some(listener))).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, Flow, &Connection)> {
        self.places.iter().enumerate().filter_map(|(place, here)| {
            let slot = here.slot.as_deref()?;
            let id = ConnectionId { place: place as u32, generation: here.generation };
            Some((id, slot.flow, &slot.connection))
        })
    }
}
