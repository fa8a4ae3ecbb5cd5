//! Loss recovery: what was sent, what arrived, what to send again, and when.
//!
//! One [`Recovery`] for each connection. It knows sequence numbers, acknowledgments and time, and nothing of states,
//! buffers or the receiver's window: the connection tells it what left and what was acknowledged, and asks how much more
//! may leave ([`Recovery::allowance`]), what is to be sent again ([`Recovery::lost`]), and when to look again
//! ([`Recovery::poll_timeout`]).
//!
//! With selective acknowledgments losses are found by time, as RACK does (RFC 8985 section 6); without, by three
//! duplicate acknowledgments (RFC 5681, RFC 6582). The window in recovery follows PRR (RFC 6937), the tail is probed
//! (RFC 8985 section 7), and behind all stands the retransmission timeout (RFC 6298).

mod delivery;
mod flight;
mod reduction;
mod reordering;
mod report;
mod rtt;
mod selections;
mod spurious;
#[cfg(test)]
mod tests;

pub use report::{Acked, Acknowledgment, Expired, Info, Phase};
pub use rtt::RoundTrip;

use std::time::Duration;

use host::Instant;
use trace::Why;
use wire::tcp::SeqNumber;

use super::congestion::{Algorithm, Controller};
use delivery::Delivery;
use flight::Flight;
use reduction::Reduction;
use reordering::ReorderingWindow;
use spurious::{Doubt, Seen, TICK};

/// What a connection begins with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The first sequence number, that of SYN.
    pub start: SeqNumber,
    /// Payload of a full segment, in bytes.
    pub max_segment_size: u32,
    /// Both sides speak of selective acknowledgments.
    pub sack: bool,
    /// How the window is found.
    pub algorithm: Algorithm,
    /// The smallest retransmission timeout.
    pub smallest_timeout: Duration,
    /// The largest.
    pub largest_timeout: Duration,
}

impl Setup {
    /// With the usual timeouts: 200 ms to 120 s.
    pub fn new(start: SeqNumber, max_segment_size: u32) -> Self {
        Self {
            start,
            max_segment_size,
            sack: false,
            algorithm: Algorithm::default(),
            smallest_timeout: Duration::from_millis(200),
            largest_timeout: Duration::from_secs(120),
        }
    }
}

/// Sequence numbers from `start` up to, and not with, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: SeqNumber,
    /// After the last.
    pub end: SeqNumber,
}

impl Range {
    /// How many there are.
    pub fn len(self) -> u32 {
        self.end.since(self.start)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Loss recovery of one connection's sending side.
#[derive(Debug)]
pub struct Recovery {
    flight: Flight,
    controller: Box<dyn Controller>,
    trip: RoundTrip,
    segment: u32,
    sack: bool,
    phase: Phase,
    /// What had been sent when recovery began: once it is acknowledged, recovery ends.
    point: SeqNumber,
    duplicates: u32,
    reduction: Reduction,
    /// Timeouts in a row.
    backoffs: u32,
    /// How often the timeout was doubled. It stays so until a round trip was measured (RFC 6298 section 5.7): what was
    /// sent too early again says nothing of how long it takes.
    doublings: u32,
    /// When the oldest unacknowledged segment is given up on.
    retransmission: Option<Instant>,
    /// When the tail is probed.
    probe: Option<Instant>,
    probed: Option<Probed>,
    /// The round-trip time was measured since the last probe.
    measured: bool,
    doubt: Doubt,
    reordering_window: ReorderingWindow,
    /// Until then, an echo of congestion tells of what was answered already (RFC 3168 section 6.1.2).
    echoed: SeqNumber,
    /// The application had more to send when something last left.
    more: bool,
    undone: u64,
    /// When a segment that was overtaken counts as lost.
    reordering: Option<Instant>,
    /// Whether the window was in full use when something last left.
    limited_by_window: bool,
    last_sent: Instant,
    retransmissions: u64,
    delivery: Delivery,
}

/// A probe of the tail is out.
#[derive(Clone, Copy, Debug)]
struct Probed {
    /// Up to this number.
    end: SeqNumber,
    /// It carried what had been sent before.
    again: bool,
}

/// Duplicate acknowledgments that tell of a loss (RFC 5681 section 3.2).
const DUPLICATES: u32 = 3;

/// How long a receiver may hold an acknowledgment of a single segment back, for the timer of the tail probe.
const DELAYED: Duration = Duration::from_millis(200);

impl Recovery {
    /// Nothing was sent yet.
    pub fn new(now: Instant, setup: Setup) -> Self {
        let segment = setup.max_segment_size.max(1);
        Self {
            flight: Flight::new(setup.start),
            controller: setup.algorithm.controller(segment),
            trip: RoundTrip::new(setup.smallest_timeout, setup.largest_timeout),
            segment,
            sack: setup.sack,
            phase: Phase::Open,
            point: setup.start,
            duplicates: 0,
            reduction: Reduction::default(),
            backoffs: 0,
            doublings: 0,
            retransmission: None,
            probe: None,
            probed: None,
            measured: false,
            doubt: Doubt::default(),
            reordering_window: ReorderingWindow::new(),
            echoed: setup.start,
            more: false,
            undone: 0,
            reordering: None,
            limited_by_window: false,
            last_sent: now,
            retransmissions: 0,
            delivery: Delivery::new(now),
        }
    }

    /// What the handshake agreed on. The window begins anew with the size of segments that is known now, smaller when
    /// the handshake itself was lost (RFC 5681 section 3.1).
    pub fn negotiated(&mut self, max_segment_size: u32, sack: bool, algorithm: Algorithm) {
        self.segment = max_segment_size.max(1);
        self.sack = sack;
        let lost = self.retransmissions > 0;
        self.doubt = Doubt::default();
        self.controller = algorithm.controller(self.segment);
        if lost {
            self.controller.on_timeout(self.last_sent, 0, false);
            self.trip.lost_handshake();
        }
        self.phase = Phase::Open;
    }

    /// Segments have at most `bytes` of payload from now on.
    pub fn set_max_segment_size(&mut self, bytes: u32) {
        self.segment = bytes.max(1);
        self.controller.set_segment(self.segment);
    }

    /// Payload of a full segment, in bytes.
    pub fn max_segment_size(&self) -> u32 {
        self.segment
    }

    /// How many bytes that were never sent may leave now. None while something is to be sent again.
    pub fn allowance(&self) -> u32 {
        if let Some(bytes) = self.doubt.new_data(self.segment) {
            return bytes;
        }
        if self.flight.has_lost() || self.flight.is_full() {
            return 0;
        }
        self.room()
    }

    /// What is to be sent again now, at most `longest` bytes, and why. `None` when there is nothing, or no room for it.
    pub fn lost(&self, longest: u32) -> Option<(Range, Why)> {
        // F-RTO sends new data first, when there is any.
        if self.doubt.new_data(self.segment).is_some() {
            return None;
        }
        let range = self.flight.first_lost(longest)?;
        // The first of the flight always goes: else nothing would ever move.
        let first = range.start == self.flight.unacknowledged();
        // After a timeout only the earliest goes (RFC 6298 section 5.4): who sends several small ones along with it, and
        // loses them again on a path that is still dead, has nothing to send when the first acknowledgment comes.
        let timed_out = self.phase == Phase::Loss && self.backoffs > 0;
        if !first && (timed_out || self.room() < range.len().min(self.segment)) {
            return None;
        }
        if first && self.phase == Phase::Recovery && !self.reduction.is_first() && self.room() == 0 {
            return None;
        }
        let why = if self.phase == Phase::Loss { Why::Timeout } else { Why::Lost };
        Some((range, why))
    }

    /// What a probe of the tail sends when there is nothing new: the last segment.
    pub fn probe(&self, longest: u32) -> Option<Range> {
        self.flight.last(longest)
    }

    /// `range` has left, SYN and FIN counted. `why` tells whether for the first time; `limited`, that the application
    /// had no more to send.
    pub fn on_sent(&mut self, now: Instant, range: Range, why: Why, limited: bool) {
        if range.is_empty() {
            return;
        }
        let was_empty = self.flight.is_empty();
        let again = range.start.is_before(self.flight.next());
        self.flight.sent(now, range);
        if again {
            self.retransmissions += 1;
            self.doubt.sent_again(now, range);
        } else {
            self.doubt.sent_new(range.len());
        }
        self.reduction.sent(range.len());
        self.more = !limited;
        self.limited_by_window = self.more || self.flight.in_flight() >= self.controller.window();
        self.last_sent = now;
        let probe = matches!(why, Why::TailProbe);
        if was_empty || self.retransmission.is_none() || probe || matches!(why, Why::Timeout) {
            self.retransmission = Some(now + self.trip.timeout(self.doublings));
        }
        if probe {
            self.probed = Some(Probed { end: self.flight.next(), again });
            self.measured = false;
            self.probe = None;
        } else {
            self.arm_probe(now);
        }
    }

    /// An acknowledgment came.
    pub fn on_ack(&mut self, now: Instant, ack: Acknowledgment<'_>) -> Acked {
        let Acknowledgment { number, sack, echo, bare } = ack;
        let before = self.flight.unacknowledged();
        let outstanding = !self.flight.is_empty();
        let in_flight = self.flight.in_flight();
        let mut delivered = self.flight.acknowledge(now, number);
        let progress = number.is_after(before);
        if self.sack {
            delivered += self.flight.select(now, sack);
        }
        let copied = self.flight.take_copied();
        // What was sent again and echoes the time of an earlier copy may have waited long for its acknowledgment, since
        // an earlier one was lost: that is no round trip.
        let of_latest = |echo: &Duration| copied.is_none_or(|at| now - *echo + TICK >= at);
        let timed = self.flight.take_sample().filter(|_| copied.is_none());
        if let Some(sample) = timed.or(echo.filter(of_latest).filter(|_| progress)) {
            self.trip.measured(sample);
            (self.measured, self.doublings) = (true, 0);
        }
        let mut acked = Acked { delivered, progress, ..Acked::default() };
        self.delivery.measure(now, delivered, self.trip.smoothed());
        if progress {
            self.backoffs = 0;
            self.duplicates = 0;
        } else if bare && outstanding && number == before {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        let current = self.sack && !number.is_before(before);
        let twice = if current { spurious::duplicate(number, sack) } else { None };
        let highest = self.flight.highest();
        let seen = Seen { number, highest, echo, progress, delivered, bare };
        let proven = twice.is_some_and(|range| self.doubt.arrived_twice(range));
        if self.doubt.acknowledged(now, &seen, self.more) || proven {
            self.undo();
            acked.undone = true;
        }
        self.reordering_window.adapt(twice.is_some(), self.flight.unacknowledged(), self.flight.next());
        self.probe_answered(now, &seen, twice, sack.is_empty());
        if self.phase != Phase::Open && !number.is_before(self.point) {
            self.leave(&mut acked);
        }
        let found = self.find_losses(now, progress);
        if found > 0 && self.phase == Phase::Open {
            self.enter(now, in_flight);
            acked.began = true;
        }
        match self.phase {
            Phase::Open => {
                // Not for selections alone: they may tell of a loss.
                if progress && delivered > 0 && self.limited_by_window {
                    let trip = self.trip.smoothed().unwrap_or_default();
                    self.controller.on_acknowledged(now, delivered, trip);
                }
            }
            Phase::Recovery => self.reduce(delivered, progress),
            Phase::Loss => {
                if progress {
                    let trip = self.trip.smoothed().unwrap_or_default();
                    self.controller.on_acknowledged(now, delivered, trip);
                }
            }
        }
        if self.flight.is_empty() {
            (self.retransmission, self.probe, self.reordering) = (None, None, None);
        } else if progress || delivered > 0 {
            self.retransmission = Some(now + self.trip.timeout(self.doublings));
            self.arm_probe(now);
        }
        acked
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.retransmission, self.probe, self.reordering, self.doubt.deadline()].into_iter().flatten().min()
    }

    /// Looks at what has become due.
    pub fn handle_timeout(&mut self, now: Instant) -> Expired {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.flight.is_empty() {
            (self.retransmission, self.probe, self.reordering) = (None, None, None);
            return Expired::Nothing;
        }
        if self.doubt.give_up(now) {
            return Expired::Retransmit;
        }
        if due(self.reordering) {
            self.reordering = None;
            let in_flight = self.flight.in_flight();
            if self.find_losses(now, false) > 0 {
                if self.phase == Phase::Open {
                    self.enter(now, in_flight);
                    self.reduce(0, true);
                }
                return Expired::Retransmit;
            }
        }
        if due(self.retransmission) {
            self.time_out(now);
            return Expired::Retransmit;
        }
        if due(self.probe) {
            self.probe = None;
            return Expired::Probe;
        }
        Expired::Nothing
    }

    /// The application sends again after a pause: a window that was found long ago may be too large.
    pub fn on_restart(&mut self, now: Instant) {
        if self.flight.is_empty() && now.since(self.last_sent) > self.trip.timeout(0) {
            self.controller.on_idle();
        }
    }

    /// The receiver echoes that a router marked a packet in place of dropping it (RFC 3168 section 6.1.2). Answers
    /// whether the window was reduced, once for each window of data; then the next new segment is to say so (CWR).
    pub fn on_congestion_echo(&mut self, now: Instant) -> bool {
        if self.phase != Phase::Open || self.flight.unacknowledged().is_before(self.echoed) {
            return false;
        }
        self.echoed = self.flight.next();
        self.controller.on_loss(now, self.flight.in_flight());
        true
    }

    /// Bytes of memory held beyond what every connection has.
    pub fn memory(&self) -> usize {
        self.flight.memory()
    }

    /// Takes at most `room` bytes of memory more from now on: what was sent is told apart less finely, and nothing new
    /// is sent until something is acknowledged, before more is taken.
    pub fn set_room(&mut self, room: usize) {
        self.flight.set_room(room);
    }

    /// Retransmission timeouts in a row.
    pub fn backoffs(&self) -> u32 {
        self.backoffs
    }

    /// The oldest number that is not acknowledged.
    pub fn snd_una(&self) -> SeqNumber {
        self.flight.unacknowledged()
    }

    /// The first number that was never sent.
    pub fn snd_nxt(&self) -> SeqNumber {
        self.flight.next()
    }

    /// Whether everything that was sent is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.flight.is_empty()
    }

    /// What is known of the time to the peer and back.
    pub fn round_trip(&self) -> &RoundTrip {
        &self.trip
    }

    /// What the sender knows of its path.
    pub fn info(&self) -> Info {
        Info {
            phase: self.phase,
            congestion_window: self.controller.window(),
            threshold: self.controller.threshold(),
            round_trip: self.trip.smoothed(),
            variation: self.trip.variation(),
            timeout: self.trip.timeout(self.doublings),
            in_flight: self.flight.in_flight(),
            retransmissions: self.retransmissions,
            undone: self.undone,
            delivery_rate: self.delivery.rate(),
        }
    }

    /// Bytes that may leave now, sent before or not.
    fn room(&self) -> u32 {
        let in_flight = self.flight.in_flight();
        match self.phase {
            Phase::Recovery => self.reduction.credit(),
            // Limited transmit (RFC 3042): each of the first duplicates shows that a segment has left the network.
            Phase::Open if !self.sack => {
                let more = self.duplicates.min(2).saturating_mul(self.segment);
                self.controller.window().saturating_add(more).saturating_sub(in_flight)
            }
            Phase::Open | Phase::Loss => self.controller.window().saturating_sub(in_flight),
        }
    }

    /// Marks what must be lost, and answers how many bytes that are.
    fn find_losses(&mut self, now: Instant, progress: bool) -> u32 {
        if !self.sack {
            let partial = progress && self.phase == Phase::Recovery;
            let told = self.duplicates == DUPLICATES && self.phase == Phase::Open;
            return if partial || told { self.flight.lose_first() } else { 0 };
        }
        let window = if self.flight.selected_segments() >= DUPLICATES as usize || self.phase != Phase::Open {
            // RFC 8985 section 6.2 step 4: as long as no reordering was seen, the classic threshold decides.
            if self.flight.saw_reordering() {
                self.reordering_window.duration(&self.trip)
            } else {
                Duration::ZERO
            }
        } else {
            self.reordering_window.duration(&self.trip)
        };
        let (lost, next) = self.flight.lose_overtaken(now, window);
        self.reordering = next;
        lost
    }

    fn enter(&mut self, now: Instant, in_flight: u32) {
        self.phase = Phase::Recovery;
        self.point = self.flight.next();
        self.controller.on_loss(now, in_flight);
        self.reduction = Reduction::begin(in_flight);
        self.doubt.begin(self.flight.unacknowledged(), self.point, false);
        (self.probe, self.probed) = (None, None);
    }

    fn leave(&mut self, acked: &mut Acked) {
        acked.ended = self.phase == Phase::Recovery;
        self.phase = Phase::Open;
        self.duplicates = 0;
        self.reordering_window.recovered();
    }

    fn reduce(&mut self, delivered: u32, progress: bool) {
        // Without selective acknowledgments, a duplicate stands for a segment.
        let delivered = if self.sack || progress { delivered } else { self.segment };
        let (pipe, threshold) = (self.flight.in_flight(), self.controller.threshold());
        self.reduction.arrived(delivered, pipe, threshold, self.segment);
    }

    /// The last loss was none (RFC 4015, with the window as it was).
    fn undo(&mut self) {
        self.controller.undo();
        self.flight.lose_nothing();
        self.phase = Phase::Open;
        self.duplicates = 0;
        self.undone += 1;
    }

    /// RFC 8985 section 7.4.2: a loss that the probe has repaired is a loss.
    fn probe_answered(&mut self, now: Instant, seen: &Seen, twice: Option<Range>, no_blocks: bool) {
        let Some(probed) = self.probed.filter(|probed| !seen.number.is_before(probed.end)) else { return };
        let arrived_twice = twice.is_some_and(|range| range.end == probed.end);
        if !probed.again || arrived_twice {
            self.probed = None;
        } else if seen.number.is_after(probed.end) {
            self.probed = None;
            self.controller.on_loss(now, self.controller.window());
        } else if seen.bare && !seen.progress && no_blocks {
            self.probed = None;
        }
    }

    fn time_out(&mut self, now: Instant) {
        let first = self.backoffs == 0;
        let forward = self.phase == Phase::Open || self.doubt.is_forward();
        self.controller.on_timeout(now, self.flight.in_flight(), first && self.phase != Phase::Loss);
        self.flight.lose_all();
        self.phase = Phase::Loss;
        self.point = self.flight.next();
        self.doubt.begin(self.flight.unacknowledged(), self.point, forward);
        self.duplicates = 0;
        self.backoffs = self.backoffs.saturating_add(1);
        self.doublings = self.doublings.saturating_add(1);
        self.retransmission = Some(now + self.trip.timeout(self.doublings));
        (self.probe, self.probed, self.reordering) = (None, None, None);
    }

    /// RFC 8985 section 7.2: after two round trips of silence, but not later than the retransmission timeout.
    fn arm_probe(&mut self, now: Instant) {
        let may = self.sack
            && self.phase == Phase::Open
            && self.probed.is_none()
            && self.measured
            && self.flight.selected_segments() == 0
            && !self.flight.is_empty();
        self.probe = self.trip.smoothed().filter(|_| may).and_then(|smoothed| {
            let single = if self.flight.in_flight() <= self.segment { DELAYED } else { Duration::ZERO };
            let at = now + (smoothed * 2 + single).max(Duration::from_millis(10));
            self.retransmission.is_none_or(|timeout| at < timeout).then_some(at)
        });
    }
}
