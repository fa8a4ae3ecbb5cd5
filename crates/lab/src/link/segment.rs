//! The segments' part of the lab's state: switches, cables, and what is on its way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use host::Instant;
use wire::MacAddress;

use super::{Cable, Counters, Direction, Duplex, Impairments, Lost, Way};
use crate::queue::Moment;
use crate::silence::Silence;
use crate::state::{Happening, State};
use crate::transcript::{Event, short_hash};
use crate::watch;

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
    silence: Option<Silence>,
}

struct Port {
    machine: usize,
    mac: MacAddress,
    plugged: bool,
    cable: Cable,
    /// The event at which something happens on the cable next; never later than that.
    alarm: Option<Moment>,
    ring: VecDeque<Bytes>,
    driver: Option<Waker>,
}

/// A port's cable, as an event names it.
#[derive(Clone, Copy)]
pub(crate) struct CableId {
    segment: usize,
    port: usize,
}

impl Segments {
    pub(super) fn add(&mut self, name: &str, mtu: u16) -> usize {
        assert!(self.0.iter().all(|segment| &*segment.name != name), "there is a link {name} already");
        self.0.push(Segment {
            name: name.into(),
            mtu,
            ports: Vec::new(),
            learned: BTreeMap::new(),
            silence: None,
        });
        self.0.len() - 1
    }

    pub(super) fn counters(&self, segment: usize, machine: usize, way: Way) -> Counters {
        let ports = self.0[segment].ports.iter().filter(|port| port.machine == machine);
        ports.map(|port| port.cable.counters(way)).fold(Counters::default(), Counters::and)
    }

    pub(crate) fn name(&self, segment: usize) -> &Arc<str> {
        &self.0[segment].name
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

    /// Pulls all plugs of `machine`.
    pub(crate) fn unplug_all(&mut self, machine: usize) -> Vec<Waker> {
        let mut drivers = Vec::new();
        for segment in 0..self.0.len() {
            for port in 0..self.0[segment].ports.len() {
                if self.0[segment].ports[port].machine == machine {
                    drivers.extend(self.unplug(segment, port));
                }
            }
        }
        drivers
    }

    pub(super) fn silence(&mut self, segment: usize, silence: Option<Silence>) {
        self.0[segment].silence = silence;
    }

    pub(super) fn unplug(&mut self, segment: usize, port: usize) -> Option<Waker> {
        let port = &mut self.0[segment].ports[port];
        port.plugged = false;
        port.ring.clear();
        port.driver.take()
    }
}

impl Segment {
    /// The address of a card of `machine` that is not plugged in.
    fn idle_address(&self, machine: usize) -> Option<MacAddress> {
        let mut cards = self.ports.iter().filter(|port| port.machine == machine);
        let in_use = |mac| self.ports.iter().any(|port| port.plugged && port.mac == mac);
        cards.find(|port| !in_use(port.mac)).map(|port| port.mac)
    }
}

impl State {
    /// Plugs `machine` in at a new port, with an address of its own: that of a plug of its which was pulled, for a card keeps
    /// the address it was made with. What its earlier ports were told holds no more.
    pub(super) fn plug(&mut self, segment: usize, machine: usize) -> (usize, MacAddress) {
        let name = self.segments.0[segment].name.clone();
        let owner = self.net.machines[machine].name.clone();
        let mut stream = |what: String| self.streams.next(&owner, 0, &what);
        let mac = self.segments.0[segment].idle_address(machine).unwrap_or_else(|| {
            let mut mac = [0; 6];
            stream(format!("link {name}: address")).fill(&mut mac);
            // Locally administered, of one station (IEEE 802, clause 8).
            mac[0] = mac[0] & !1 | 2;
            MacAddress(mac)
        });
        let mut direction = |way: &str| {
            Direction::new(Impairments::default(), |purpose| stream(format!("link {name} {way}: {purpose}")))
        };
        let cable = Cable::new(Duplex::Full, direction("out"), direction("in"));
        let Segment { ports, learned, .. } = &mut self.segments.0[segment];
        // It is not behind the port any more where it was seen.
        learned.remove(&mac);
        ports.push(Port {
            machine,
            mac,
            plugged: true,
            cable,
            alarm: None,
            ring: VecDeque::new(),
            driver: None,
        });
        (ports.len() - 1, mac)
    }

    /// Changes every cable of `machine`.
    pub(super) fn each_cable(
        &mut self,
        segment: usize,
        machine: usize,
        change: impl Fn(&mut Cable, Instant),
    ) {
        for port in 0..self.segments.0[segment].ports.len() {
            if self.segments.0[segment].ports[port].machine == machine {
                change(&mut self.segments.0[segment].ports[port].cable, self.now);
                self.settle(CableId { segment, port });
            }
        }
    }

    /// Starts a frame along the cable of a port.
    pub(super) fn start(&mut self, segment: usize, port: usize, way: Way, frame: Bytes) {
        let now = self.now;
        if way == Way::Out {
            if !self.segments.0[segment].ports[port].plugged {
                return;
            }
            let machine = self.segments.0[segment].ports[port].machine;
            self.watch_sent(watch::Port { segment, port }, machine, &frame);
            if self.segments.0[segment].silence.as_mut().is_some_and(|silence| silence.swallows(&frame)) {
                return self.tell_lost(segment, port, way, &frame, Lost::Silenced);
            }
        }
        self.segments.0[segment].ports[port].cable.offer(way, now, frame);
        // A cable that takes no time needs no event. What comes from a stack waits for one all the same: it is sent under the
        // stack's lock, where nobody may be woken.
        while way == Way::In
            && let Some(frame) = self.segments.0[segment].ports[port].cable.poll_arrival(way, now)
        {
            self.deliver(segment, port, frame);
        }
        self.settle(CableId { segment, port });
    }

    /// Something happens on a cable.
    pub(crate) fn travel(&mut self, id: CableId) {
        let CableId { segment, port } = id;
        let now = self.now;
        self.segments.0[segment].ports[port].alarm = None;
        while let Some(frame) = self.segments.0[segment].ports[port].cable.poll_arrival(Way::Out, now) {
            self.switch(segment, port, frame);
        }
        while let Some(frame) = self.segments.0[segment].ports[port].cable.poll_arrival(Way::In, now) {
            self.deliver(segment, port, frame);
        }
        self.settle(id);
    }

    /// Tells what was lost on a cable, and sees to it that its next event is in the queue.
    fn settle(&mut self, CableId { segment, port }: CableId) {
        for way in [Way::Out, Way::In] {
            while let Some((frame, why)) = self.segments.0[segment].ports[port].cable.poll_lost(way) {
                self.tell_lost(segment, port, way, &frame, why);
            }
        }
        let Port { cable, alarm, .. } = &mut self.segments.0[segment].ports[port];
        let Some(next) = cable.poll_timeout() else { return };
        if alarm.is_some_and(|alarm| alarm.at <= next) {
            return;
        }
        if let Some(later) = alarm.take() {
            self.queue.cancel(later);
        }
        *alarm = Some(self.queue.schedule(next, Happening::Travel(CableId { segment, port })));
    }

    /// The switch sends a frame on: to the port behind which its station was seen, else to all others.
    fn switch(&mut self, segment: usize, from: usize, frame: Bytes) {
        let stamp = self.watch_at_switch(watch::Port { segment, port: from }, &frame);
        let Ok((header, _)) = wire::ethernet::Header::parse(&frame) else {
            return self.watch_nobody(stamp);
        };
        let switch = &mut self.segments.0[segment];
        if !header.source.is_multicast() {
            switch.learned.insert(header.source, from);
        }
        let is_plugged = |switch: &Segment, port: usize| port != from && switch.ports[port].plugged;
        if let Some(&port) = switch.learned.get(&header.destination) {
            if !is_plugged(switch, port) {
                return self.watch_nobody(stamp);
            }
            self.watch_onward(stamp, watch::Port { segment, port }, &frame);
            return self.start(segment, port, Way::In, frame);
        }
        let mut is_alone = true;
        for port in 0..switch.ports.len() {
            if is_plugged(&self.segments.0[segment], port) {
                is_alone = false;
                self.watch_onward(stamp, watch::Port { segment, port }, &frame);
                self.start(segment, port, Way::In, frame.clone());
            }
        }
        if is_alone {
            self.watch_nobody(stamp);
        }
    }

    fn deliver(&mut self, segment: usize, number: usize, frame: Bytes) {
        let link = self.segments.0[segment].name.clone();
        let port = &mut self.segments.0[segment].ports[number];
        if !port.plugged {
            let stamp = self.watch_unplugged(watch::Port { segment, port: number }, &frame);
            return self.watch_nobody(stamp);
        }
        let machine = port.machine;
        if port.ring.len() >= RING {
            return self.tell_lost(segment, number, Way::In, &frame, Lost::Full);
        }
        self.watch_arrived(watch::Port { segment, port: number }, machine, &frame);
        let port = &mut self.segments.0[segment].ports[number];
        let event = Event::Frame { link, length: frame.len(), hash: short_hash(&frame) };
        port.ring.push_back(frame);
        let driver = port.driver.take();
        self.wakers.extend(driver);
        self.record(machine, event);
    }

    fn tell_lost(&mut self, segment: usize, port: usize, way: Way, frame: &Bytes, why: Lost) {
        let link = self.segments.0[segment].name.clone();
        let machine = self.segments.0[segment].ports[port].machine;
        self.watch_lost(watch::Port { segment, port }, machine, way, frame, why);
        let event = Event::FrameLost { link, way, length: frame.len(), hash: short_hash(frame), why };
        self.record(machine, event);
    }
}
