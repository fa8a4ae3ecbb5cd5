//! FQ-CoDel (RFC 8290): every flow has a queue of its own with CoDel at its head, and they take turns by bytes. A flow
//! that comes anew, or sends so little that it never waits for itself, goes first.

use std::collections::VecDeque;

use host::Instant;

use super::Waiting;
use super::codel::{Codel, Control};
use super::fifo::Fifo;
use crate::link::counters::Books;
use crate::link::flow;
use crate::link::impairments::{Framing, Lost};
use crate::units::Limit;

/// The settings of FQ-CoDel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FqCodel {
    /// Queues; flows whose hashes fall together share one. 1,024 (RFC 8290 section 5.2.4).
    pub flows: u16,
    /// Bytes that a queue may send when it is its turn. 1,514 (RFC 8290 section 5.2.3).
    pub quantum: u32,
    /// CoDel's own; its limit counts all queues together. 10,240 packets, with congestion notification (RFC 8290 sections
    /// 5.2.1 to 5.2.6).
    pub codel: Codel,
}

impl Default for FqCodel {
    fn default() -> Self {
        let codel = Codel { limit: Limit::Packets(10_240), ecn: true, ..Codel::default() };
        Self { flows: 1_024, quantum: 1_514, codel }
    }
}

/// Frames that are dropped at once when there are too many, at most (RFC 8290 section 4.1.3).
const DROP_BATCH: usize = 64;

/// The queues of all flows.
pub(in crate::link) struct FqCodelQueue {
    settings: FqCodel,
    framing: Framing,
    key: [u8; 16],
    flows: Box<[Flow]>,
    /// Flows that came anew, then those that stay, each in the order of their turns.
    new: VecDeque<u16>,
    old: VecDeque<u16>,
    frames: usize,
    bytes: usize,
}

#[derive(Default)]
struct Flow {
    fifo: Fifo,
    control: Control,
    /// Bytes that it may still send in this turn.
    credits: i64,
    /// Whether it is in one of the lists.
    is_active: bool,
}

impl FqCodelQueue {
    /// `key` is that of the hash by which flows are told apart.
    pub(super) fn new(settings: FqCodel, framing: Framing, key: [u8; 16]) -> Self {
        let flows = (0..settings.flows.max(1)).map(|_| Flow::default()).collect();
        let (new, old) = Default::default();
        Self { settings, framing, key, flows, new, old, frames: 0, bytes: 0 }
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All frames that wait, flow by flow.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        self.flows.iter_mut().flat_map(|flow| flow.fifo.drain()).collect()
    }

    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        let length = waiting.frame.len();
        let hash = flow::hash(self.framing, &waiting.frame, &self.key);
        let index = (hash % self.flows.len() as u64) as u16;
        let flow = &mut self.flows[usize::from(index)];
        flow.control.arrive(&waiting);
        flow.fifo.push(waiting);
        if !std::mem::replace(&mut flow.is_active, true) {
            flow.credits = i64::from(self.settings.quantum);
            self.new.push_back(index);
        }
        self.frames += 1;
        self.bytes += length;
        while self.frames > 0 && !self.settings.codel.limit.has_room_for(0, self.frames - 1, self.bytes) {
            self.drop_from_fattest(books);
        }
    }

    /// Who has the most bytes loses half of its frames, from the head on, up to a batch.
    fn drop_from_fattest(&mut self, books: &mut Books) {
        // Of equals the first, and there is at least one queue.
        let bytes = |flow: &Flow| flow.fifo.bytes();
        let most = self.flows.iter().map(bytes).max();
        let Some(fattest) = self.flows.iter_mut().find(|flow| Some(bytes(flow)) == most) else { return };
        let batch = fattest.fifo.frames().div_ceil(2).min(DROP_BATCH);
        for waiting in (0..batch).map_while(|_| fattest.fifo.pop()) {
            self.frames -= 1;
            self.bytes -= waiting.frame.len();
            books.lose(waiting.frame, Lost::Full);
        }
    }

    pub(super) fn pop(&mut self, now: Instant, books: &mut Books) -> Option<Waiting> {
        loop {
            let is_new = !self.new.is_empty();
            let list = if is_new { &mut self.new } else { &mut self.old };
            let index = *list.front()?;
            let flow = &mut self.flows[usize::from(index)];
            if flow.credits <= 0 {
                flow.credits += i64::from(self.settings.quantum.max(1));
                list.pop_front();
                self.old.push_back(index);
                continue;
            }
            let before = (flow.fifo.frames(), flow.fifo.bytes());
            let next = flow.control.dequeue(now, &mut flow.fifo, &self.settings.codel, self.framing, books);
            self.frames -= before.0 - flow.fifo.frames();
            self.bytes -= before.1 - flow.fifo.bytes();
            if let Some(waiting) = next {
                flow.credits -= waiting.frame.len() as i64;
                return Some(waiting);
            }
            list.pop_front();
            // A flow that came anew waits its turn once among the old ones before it may come anew again: else one that
            // sends a frame whenever its queue is empty would always go first (RFC 8290 section 4.2).
            if is_new && !self.old.is_empty() {
                self.old.push_back(index);
            } else {
                flow.is_active = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;
    use wire::{Protocol, ipv4};

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    /// A UDP packet of so many bytes from a port.
    fn packet(port: u16, length: usize) -> Bytes {
        let header = ipv4::Header {
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::UDP,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            options: ipv4::Options::default(),
        };
        let mut packet = vec![0; length];
        header.emit(&mut packet, length - ipv4::Header::MIN_LEN);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet.into()
    }

    fn port(packet: &[u8]) -> u16 {
        u16::from_be_bytes([packet[20], packet[21]])
    }

    fn queue(settings: FqCodel) -> (FqCodelQueue, Books) {
        (FqCodelQueue::new(settings, Framing::Ip, [8; 16]), Books::default())
    }

    fn push(queue: &mut FqCodelQueue, books: &mut Books, port: u16, length: usize) {
        queue.push(Waiting { since: NOW, frame: packet(port, length) }, books);
    }

    fn ports(queue: &mut FqCodelQueue, books: &mut Books) -> Vec<u16> {
        std::iter::from_fn(|| queue.pop(NOW, books)).map(|waiting| port(&waiting.frame)).collect()
    }

    #[test]
    fn flows_take_turns_by_bytes() {
        let (mut queue, mut books) = queue(FqCodel::default());
        (0..20).for_each(|_| push(&mut queue, &mut books, 1, 1_500));
        (0..300).for_each(|_| push(&mut queue, &mut books, 2, 100));
        let order = ports(&mut queue, &mut books);
        assert_eq!(order.len(), 320);
        // While both have something, each has sent as many bytes as the other, up to two turns.
        let mut sent = [0_i64; 2];
        for &port in &order[..200] {
            sent[usize::from(port) - 1] += if port == 1 { 1_500 } else { 100 };
            assert!((sent[0] - sent[1]).abs() <= 2 * 1_514 + 1_500, "{sent:?}");
        }
        assert_eq!((queue.frames(), queue.bytes()), (0, 0));
    }

    #[test]
    fn a_flow_that_comes_anew_goes_first_but_not_for_ever() {
        let (mut queue, mut books) = queue(FqCodel::default());
        (0..10).for_each(|_| push(&mut queue, &mut books, 1, 1_500));
        // Its first turn is over, and it is one of the old.
        (0..3).for_each(|_| assert!(queue.pop(NOW, &mut books).is_some()));
        push(&mut queue, &mut books, 2, 100);
        assert_eq!(port(&queue.pop(NOW, &mut books).unwrap().frame), 2);
        // Two that come whenever the other has gone do not push in for ever.
        let mut order = Vec::new();
        for port in [2, 3].into_iter().cycle().take(12) {
            push(&mut queue, &mut books, port, 1_500);
            order.push(self::port(&queue.pop(NOW, &mut books).unwrap().frame));
        }
        assert!(order.iter().filter(|&&port| port == 1).count() >= 3, "{order:?}");
    }

    #[test]
    fn who_has_most_pays_for_a_full_queue() {
        let codel = Codel { limit: Limit::Packets(100), ..Codel::default() };
        let (mut queue, mut books) = queue(FqCodel { codel, ..FqCodel::default() });
        (0..10).for_each(|_| push(&mut queue, &mut books, 2, 1_000));
        (0..500).for_each(|_| push(&mut queue, &mut books, 1, 1_000));
        assert!(queue.frames() <= 100);
        assert_eq!(books.counters.lost(Lost::Full), 510 - queue.frames() as u64);
        let order = ports(&mut queue, &mut books);
        assert_eq!(order.iter().filter(|&&port| port == 2).count(), 10, "the thin flow lost nothing");
    }

    #[test]
    fn a_queue_too_long_for_long_is_cut_for_its_own_flow_only() {
        let (mut queue, mut books) = queue(FqCodel::default());
        let mut now = NOW;
        let mut thin = 0;
        for round in 0..3_000 {
            now += Duration::from_millis(1);
            // The fat flow sends twice as much as leaves, the thin one a little.
            let frames = if round % 10 == 0 { &[1, 1, 2][..] } else { &[1, 1] };
            for &port in frames {
                queue.push(Waiting { since: now, frame: packet(port, 1_000) }, &mut books);
            }
            thin += usize::from(queue.pop(now, &mut books).is_some_and(|waiting| port(&waiting.frame) == 2));
        }
        assert!(books.counters.lost(Lost::Stale) > 50);
        assert!(thin >= 299, "{thin} of 300 of the thin flow went at once");
    }

    #[test]
    fn fragments_of_a_packet_stay_together() {
        let whole = packet(9, 100);
        let mut first = whole.to_vec();
        first[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
        let mut later = whole.to_vec();
        later[6..8].copy_from_slice(&0x0010_u16.to_be_bytes());
        for fragment in [&mut first, &mut later] {
            fragment[10..12].fill(0);
            let sum = wire::checksum::Sum::of(&fragment[..20]).checksum();
            fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        let hash = |bytes: &[u8]| flow::hash(Framing::Ip, bytes, &[1; 16]);
        assert_eq!(hash(&first), hash(&later));
        assert_ne!(hash(&whole), hash(&first));
        assert_ne!(hash(&whole), hash(&packet(10, 100)));
        assert_ne!(hash(&whole), flow::hash(Framing::Ip, &whole, &[2; 16]));
    }
}
