//! The segments' part of the lab's state: switches, cables, and what is on its way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use wire::MacAddress;

use super::Way;
use super::impair::{Direction, Lost};
use crate::state::{Happening, State};
use crate::transcript::{Event, short_hash};

/// Frames that wait for an end to read them; an end that does not is a card whose ring has run over.
const RING: usize = 1_024;

/// All segments of a lab.
#[derive(Default)]
pub(crate) struct Segments(Vec<Segment>);

struct Segment {
    name: Arc<str>,
    mtu: u16,
    ports: Vec<Port>,
    /// Behind which port a station was seen.
    learned: BTreeMap<MacAddress, usize>,
}

struct Port {
    machine: usize,
    plugged: bool,
    out: Direction,
    back: Direction,
    ring: VecDeque<Bytes>,
    driver: Option<Waker>,
}

/// A frame on its way: along a port's cable to the switch, or along it to the end.
pub(crate) struct Travel {
    segment: usize,
    port: usize,
    way: Way,
    frame: Bytes,
}

impl Segments {
    pub(super) fn add(&mut self, name: &str, mtu: u16) -> usize {
        assert!(self.0.iter().all(|segment| &*segment.name != name), "there is a link {name} already");
        self.0.push(Segment { name: name.into(), mtu, ports: Vec::new(), learned: BTreeMap::new() });
        self.0.len() - 1
    }

    /// Changes a direction of every cable of `machine`.
    pub(super) fn each(&mut self, segment: usize, machine: usize, way: Way, change: impl Fn(&mut Direction)) {
        for port in self.0[segment].ports.iter_mut().filter(|port| port.machine == machine) {
            change(port.direction(way));
        }
    }

    pub(super) fn mtu(&self, segment: usize) -> u16 {
        self.0[segment].mtu
    }

    /// The oldest frame in the ring; `None` when it is empty, and then `waker` is woken by the next.
    pub(super) fn receive(
        &mut self,
        segment: usize,
        port: usize,
        waker: &Waker,
    ) -> (Option<Bytes>, Option<Waker>) {
        let port = &mut self.0[segment].ports[port];
        match port.ring.pop_front() {
            Some(frame) => (Some(frame), None),
            None => (None, port.driver.replace(waker.clone())),
        }
    }

    pub(super) fn unplug(&mut self, segment: usize, port: usize) -> Option<Waker> {
        let port = &mut self.0[segment].ports[port];
        port.plugged = false;
        port.ring.clear();
        port.driver.take()
    }
}

impl Port {
    fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Out => &mut self.out,
            Way::In => &mut self.back,
        }
    }
}

impl State {
    /// Plugs `machine` in at a new port, with an address of its own. What its earlier ports were told holds no more.
    pub(super) fn plug(&mut self, segment: usize, machine: usize) -> (usize, MacAddress) {
        let name = self.segments.0[segment].name.clone();
        let owner = self.net.machines[machine].name.clone();
        let mut stream = |what: String| self.streams.next(&owner, 0, &what);
        let mut mac = [0; 6];
        stream(format!("link {name}: address")).fill(&mut mac);
        // Locally administered, of one station (IEEE 802, clause 8).
        mac[0] = mac[0] & !1 | 2;
        let out = Direction::new(|purpose| stream(format!("link {name} out: {purpose}")));
        let back = Direction::new(|purpose| stream(format!("link {name} in: {purpose}")));
        let ports = &mut self.segments.0[segment].ports;
        ports.push(Port { machine, plugged: true, out, back, ring: VecDeque::new(), driver: None });
        (ports.len() - 1, MacAddress(mac))
    }

    /// Starts a frame along the cable of a port.
    pub(super) fn start(&mut self, segment: usize, port: usize, way: Way, frame: Bytes) {
        let now = self.now;
        let direction = self.segments.0[segment].ports[port].direction(way);
        let mut bytes = Vec::from(frame);
        match direction.travel(now, &mut bytes) {
            Ok(arrival) => {
                let frame = Bytes::from(bytes);
                for at in std::iter::once(arrival.at).chain(arrival.again) {
                    let travel = Travel { segment, port, way, frame: frame.clone() };
                    self.queue.schedule(at, Happening::Travel(travel));
                }
            }
            Err(lost) => self.tell_lost(segment, port, way, &bytes, lost),
        }
    }

    /// A frame has come to the end of a cable.
    pub(crate) fn travel(&mut self, travel: Travel) {
        let Travel { segment, port, way, frame } = travel;
        match way {
            Way::Out => self.switch(segment, port, frame),
            Way::In => self.deliver(segment, port, frame),
        }
    }

    /// The switch sends a frame on: to the port behind which its station was seen, else to all others.
    fn switch(&mut self, segment: usize, from: usize, frame: Bytes) {
        let Ok((header, _)) = wire::ethernet::Header::parse(&frame) else { return };
        let switch = &mut self.segments.0[segment];
        if !header.source.is_multicast() {
            switch.learned.insert(header.source, from);
        }
        let known = switch.learned.get(&header.destination).copied();
        let ports = known.map_or(0..switch.ports.len(), |port| port..port + 1);
        for port in ports.filter(|&port| port != from) {
            if self.segments.0[segment].ports[port].plugged {
                self.start(segment, port, Way::In, frame.clone());
            }
        }
    }

    fn deliver(&mut self, segment: usize, number: usize, frame: Bytes) {
        let link = self.segments.0[segment].name.clone();
        let port = &mut self.segments.0[segment].ports[number];
        if !port.plugged {
            return;
        }
        let machine = port.machine;
        if port.ring.len() >= RING {
            return self.tell_lost(segment, number, Way::In, &frame, Lost::Full);
        }
        let event = Event::Frame { link, length: frame.len(), hash: short_hash(&frame) };
        port.ring.push_back(frame);
        let driver = port.driver.take();
        self.wakers.extend(driver);
        self.record(machine, event);
    }

    fn tell_lost(&mut self, segment: usize, port: usize, way: Way, frame: &[u8], why: Lost) {
        let link = self.segments.0[segment].name.clone();
        let machine = self.segments.0[segment].ports[port].machine;
        let event = Event::FrameLost { link, way, length: frame.len(), hash: short_hash(frame), why };
        self.record(machine, event);
    }
}
