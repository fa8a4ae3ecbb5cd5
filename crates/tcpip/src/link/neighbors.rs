//! Who is on the link: the neighbour cache of RFC 4861 section 7.3, for ARP (RFC 826) and NDP alike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use host::Instant;
use wire::MacAddress;

use crate::{Descending, Segmentation};

/// Neighbours per interface.
const MAX_NEIGHBORS: usize = 512;
/// Of these, not resolved: a scan of the network must not push out those that are there.
const MAX_INCOMPLETE: usize = 128;
/// Packets that wait for one neighbour, and bytes of them.
const MAX_WAITING: usize = 16;
const MAX_WAITING_BYTES: usize = 128 * 1024;
/// Bytes that wait for all neighbours of an interface.
const MAX_ALL_WAITING_BYTES: usize = 1024 * 1024;
/// Questions before a neighbour counts as gone (MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT).
const MAX_QUESTIONS: u8 = 3;
const RETRANSMIT: Duration = Duration::from_secs(1);
const REACHABLE: Duration = Duration::from_secs(30);
const DELAY: Duration = Duration::from_secs(5);

/// A packet that waits until its neighbour is known, without the link's header.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: Vec<u8>,
    headers: usize,
    segmentation: Option<Segmentation>,
    /// It was forwarded: its sender is to be told when the neighbour is not there.
    pub(crate) forwarded: bool,
}

impl Waiting {
    pub(crate) fn new(packet: &Descending<'_>, forwarded: bool) -> Self {
        let mut bytes = Vec::new();
        packet.copy_to(&mut bytes);
        Self { bytes, headers: packet.headers().len(), segmentation: packet.segmentation(), forwarded }
    }

    pub(crate) fn descending(&self) -> Descending<'_> {
        let (headers, payload) = self.bytes.split_at(self.headers);
        let mut packet = match self.segmentation {
            Some(segmentation) => Descending::segmented([payload, &[]], segmentation),
            None => Descending::new([payload, &[]]),
        };
        packet.push(headers.len()).copy_from_slice(headers);
        packet
    }
}

/// What is known of a neighbour (RFC 4861 section 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborState {
    /// It has been asked for, and has not answered.
    Incomplete,
    /// It was there a short time ago.
    Reachable,
    /// It was there.
    Stale,
    /// A packet went to it, and it has some time to show that it is there.
    Delay,
    /// It is being asked whether it is there.
    Probe,
}

/// A neighbour, for people to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborInfo {
    /// Its IP address.
    pub address: IpAddr,
    /// Its address on the link, once known.
    pub mac: Option<MacAddress>,
    /// What is known of it.
    pub state: NeighborState,
    /// Packets that wait for it.
    pub waiting: usize,
}

#[derive(Debug)]
struct Neighbor {
    mac: Option<MacAddress>,
    state: NeighborState,
    /// When the state ends: a timer while it is incomplete, delayed or probed.
    until: Instant,
    questions: u8,
    used: Instant,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

/// How an address on the link was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// In somebody's question to us: known, but not shown to hear us. New neighbours are noted.
    Asking,
    /// Said unasked: changes what is known when `replace` says so, adds nothing.
    Announced { replace: bool },
    /// In an answer to our question.
    Answered { replace: bool },
}

/// What is due.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask for `address`: everybody, or where it was.
    Ask { address: IpAddr, at: Option<MacAddress> },
    /// `address` does not answer; these waited.
    Failed { address: IpAddr, waiting: VecDeque<Waiting> },
}

#[derive(Debug)]
pub(crate) struct Neighbors {
    entries: BTreeMap<IpAddr, Neighbor>,
    /// For how long one that was heard counts as there, and the time between questions.
    reachable: Duration,
    retransmit: Duration,
    timers: BTreeSet<(Instant, IpAddr)>,
    incomplete: usize,
    waiting_bytes: usize,
}

impl Default for Neighbors {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            reachable: REACHABLE,
            retransmit: RETRANSMIT,
            timers: BTreeSet::new(),
            incomplete: 0,
            waiting_bytes: 0,
        }
    }
}

impl Neighbors {
    /// What a router advertises, in milliseconds, zero where it does not say (RFC 4861 section 6.3.4). Nobody makes us ask
    /// without a pause, or believe for hours.
    pub(crate) fn set_times(&mut self, reachable: u32, retransmit: u32) {
        let within =
            |said: u32, least: u64, most: u64| Duration::from_millis(u64::from(said).clamp(least, most));
        if reachable > 0 {
            self.reachable = within(reachable, 1_000, 3_600_000);
        }
        if retransmit > 0 {
            self.retransmit = within(retransmit, 100, 10_000);
        }
    }

    /// Where `address` is, if that is known; a packet goes there now.
    pub(crate) fn resolve(&mut self, now: Instant, address: IpAddr) -> Option<MacAddress> {
        let neighbor = self.entries.get_mut(&address)?;
        neighbor.used = now;
        let mac = neighbor.mac?;
        if neighbor.state == NeighborState::Reachable && neighbor.until <= now {
            neighbor.state = NeighborState::Stale;
        }
        if neighbor.state == NeighborState::Stale {
            neighbor.state = NeighborState::Delay;
            neighbor.until = now + DELAY;
            self.timers.insert((neighbor.until, address));
        }
        Some(mac)
    }

    /// `packet` waits until `address` is known. Says how many packets had to go for it, and whether to ask now.
    pub(crate) fn wait(&mut self, now: Instant, address: IpAddr, packet: Waiting) -> (usize, bool) {
        let ask = !self.entries.contains_key(&address);
        if ask {
            self.make_room(true);
            let until = now + self.retransmit;
            self.insert(address, None, NeighborState::Incomplete, until, now);
            self.timers.insert((until, address));
        }
        let mut dropped = 0;
        let len = packet.bytes.len();
        let Some(neighbor) = self.entries.get_mut(&address) else { return (1, ask) };
        while neighbor.waiting.len() >= MAX_WAITING || neighbor.waiting_bytes + len > MAX_WAITING_BYTES {
            // The oldest goes first (RFC 4861 section 7.2.2).
            let Some(oldest) = neighbor.waiting.pop_front() else { break };
            neighbor.waiting_bytes -= oldest.bytes.len();
            self.waiting_bytes -= oldest.bytes.len();
            dropped += 1;
        }
        if self.waiting_bytes + len > MAX_ALL_WAITING_BYTES {
            return (dropped + 1, ask);
        }
        neighbor.waiting_bytes += len;
        self.waiting_bytes += len;
        neighbor.waiting.push_back(packet);
        (dropped, ask)
    }

    /// `address` was heard at `mac`. What waited for it may go.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: MacAddress,
        how: Heard,
    ) -> VecDeque<Waiting> {
        if !mac.is_unicast() {
            return VecDeque::new();
        }
        let Some(neighbor) = self.entries.get_mut(&address) else {
            if how == Heard::Asking {
                self.make_room(false);
                self.insert(address, Some(mac), NeighborState::Stale, now, now);
            }
            return VecDeque::new();
        };
        let changed = neighbor.mac != Some(mac);
        let replace = match how {
            Heard::Asking => true,
            Heard::Announced { replace } | Heard::Answered { replace } => replace,
        };
        if neighbor.mac.is_some() && changed && !replace {
            // RFC 4861 section 7.2.5: another one answers; what is known becomes doubtful, no more.
            if neighbor.state == NeighborState::Reachable {
                neighbor.state = NeighborState::Stale;
            }
            return VecDeque::new();
        }
        let answered = matches!(how, Heard::Answered { .. });
        if !answered && !changed {
            return VecDeque::new();
        }
        self.timers.remove(&(neighbor.until, address));
        if neighbor.state == NeighborState::Incomplete {
            self.incomplete -= 1;
        }
        neighbor.mac = Some(mac);
        neighbor.questions = 0;
        neighbor.state = if answered { NeighborState::Reachable } else { NeighborState::Stale };
        neighbor.until = if answered { now + self.reachable } else { now };
        self.waiting_bytes -= neighbor.waiting_bytes;
        neighbor.waiting_bytes = 0;
        std::mem::take(&mut neighbor.waiting)
    }

    /// Whether `address` has been asked for and the answer is still to come.
    pub(crate) fn is_asked(&self, address: IpAddr) -> bool {
        self.entries
            .get(&address)
            .is_some_and(|one| matches!(one.state, NeighborState::Incomplete | NeighborState::Probe))
    }

    /// The layer above knows that `address` hears us.
    pub(crate) fn confirm(&mut self, now: Instant, address: IpAddr) {
        if let Some(neighbor) = self.entries.get_mut(&address)
            && neighbor.mac.is_some()
        {
            if neighbor.state != NeighborState::Reachable {
                self.timers.remove(&(neighbor.until, address));
                neighbor.state = NeighborState::Reachable;
                neighbor.questions = 0;
            }
            neighbor.until = now + self.reachable;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// One thing that is due; call until there is none.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        let &(at, address) = self.timers.first().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&(at, address));
        let neighbor = self.entries.get_mut(&address)?;
        if neighbor.state == NeighborState::Delay {
            neighbor.state = NeighborState::Probe;
        } else {
            neighbor.questions += 1;
        }
        // The first question of an incomplete neighbour went out when it was made.
        if neighbor.questions >= MAX_QUESTIONS {
            let waiting = self.remove(address);
            return Some(Action::Failed { address, waiting });
        }
        neighbor.until = now + self.retransmit;
        self.timers.insert((neighbor.until, address));
        Some(Action::Ask { address, at: neighbor.mac })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NeighborInfo> {
        self.entries.iter().map(|(address, one)| NeighborInfo {
            address: *address,
            mac: one.mac,
            state: one.state,
            waiting: one.waiting.len(),
        })
    }

    fn insert(
        &mut self,
        address: IpAddr,
        mac: Option<MacAddress>,
        state: NeighborState,
        until: Instant,
        now: Instant,
    ) {
        self.incomplete += usize::from(state == NeighborState::Incomplete);
        let waiting = VecDeque::new();
        let neighbor = Neighbor { mac, state, until, questions: 0, used: now, waiting, waiting_bytes: 0 };
        self.entries.insert(address, neighbor);
    }

    fn remove(&mut self, address: IpAddr) -> VecDeque<Waiting> {
        let Some(neighbor) = self.entries.remove(&address) else { return VecDeque::new() };
        self.timers.remove(&(neighbor.until, address));
        self.incomplete -= usize::from(neighbor.state == NeighborState::Incomplete);
        self.waiting_bytes -= neighbor.waiting_bytes;
        neighbor.waiting
    }

    /// Makes room for one more: among the incomplete ones, or among all, where those in use go last.
    fn make_room(&mut self, incomplete: bool) {
        let crowded = incomplete && self.incomplete >= MAX_INCOMPLETE;
        if !crowded && self.entries.len() < MAX_NEIGHBORS {
            return;
        }
        let victim = self
            .entries
            .iter()
            .filter(|(_, one)| !crowded || one.state == NeighborState::Incomplete)
            .min_by_key(|(_, one)| {
                let in_use = matches!(
                    one.state,
                    NeighborState::Reachable | NeighborState::Delay | NeighborState::Probe
                );
                (in_use, one.used)
            })
            .map(|(address, _)| *address);
        if let Some(address) = victim {
            self.remove(address);
        }
    }
}
