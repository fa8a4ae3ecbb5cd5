//! A segment came (RFC 9293 section 3.10.7).

use std::time::Duration;

use host::Instant;
use trace::{Direction, Event, Why};
use wire::tcp::{Flags, Header, SeqNumber};

use super::connection::{Connection, agreed, is_control};
use super::face::End;
use super::receiving::Receiving;
use super::recovery::Acknowledgment;
use super::state::{Flow, Phase};

/// A longer time to the peer and back, told by an echo of our clock, is a lie or a leftover.
const LONGEST_TRIP: Duration = Duration::from_secs(600);

impl Connection {
    /// A segment with a right checksum came for this connection. `ecn` is the ECN field of its packet.
    pub fn receive(&mut self, now: Instant, segment: &Header, payload: &[u8], ecn: u8) {
        self.opening.tracer.emit(now.as_nanos(), || {
            Event::Segment(trace::Segment {
                endpoints: self.endpoints(),
                direction: Direction::Up,
                sequence: segment.sequence.0,
                acknowledgment: segment.acknowledgment.0,
                len: payload.len() as u32,
                flags: segment.flags.0,
                why: Why::Received,
                congestion_window: 0,
                in_flight: 0,
            })
        });
        match &self.phase {
            Phase::Closed(_) => {}
            Phase::SynSent(_) => self.receive_syn_sent(now, segment),
            _ => self.receive_synchronized(now, segment, payload, ecn),
        }
    }

    /// RFC 9293 section 3.10.7.3.
    fn receive_syn_sent(&mut self, now: Instant, segment: &Header) {
        let Phase::SynSent(state) = &mut self.phase else { return };
        let sending = &mut state.sending;
        let acknowledges = segment.flags.contains(Flags::ACK);
        let number = segment.acknowledgment;
        if acknowledges && (!number.is_after(sending.initial) || number.is_after(sending.nxt())) {
            if !segment.flags.contains(Flags::RST) && self.challenges.allow(now) {
                self.reset = Some((number, None));
            }
            return;
        }
        if segment.flags.contains(Flags::RST) {
            if acknowledges {
                self.close(End::Refused);
            }
            return;
        }
        if !segment.flags.contains(Flags::SYN) {
            return;
        }
        if acknowledges {
            self.ecn.answered(segment.flags);
        } else {
            self.ecn.meet(self.opening.settings.ecn, segment.flags);
        }
        let agreed = agreed(&self.opening, segment);
        let mut receiving = Receiving::new(now, segment.sequence, &agreed, &self.opening);
        if acknowledges {
            let echo = echo(self.clock(now), segment);
            let Phase::SynSent(state) = &mut self.phase else { return };
            state
                .sending
                .recovery
                .on_ack(now, Acknowledgment { number, sack: &Default::default(), echo, bare: false });
            state.sending.release(now);
        }
        let Phase::SynSent(mut state) = self.phase.take() else { return };
        state.sending.negotiate(&agreed, &self.opening);
        state.sending.set_window(u32::from(segment.window), segment.sequence, number);
        receiving.acknowledge_now(Why::Handshake);
        self.phase = Phase::SynReceived(state.met(receiving));
        self.heard = now;
        if acknowledges {
            self.open();
        } else {
            self.syn_ack_again = true;
        }
    }

    /// The handshake is done.
    fn open(&mut self) {
        self.phase = self.phase.take().opened();
        self.changes.connected = true;
        self.changes.writable = true;
    }

    /// RFC 9293 section 3.10.7.4, with RFC 5961 and RFC 7323.
    fn receive_synchronized(&mut self, now: Instant, segment: &Header, payload: &[u8], ecn: u8) {
        let mut segment = *segment;
        if matches!(self.phase, Phase::SynReceived(_)) && !self.meet_syn(now, &mut segment) {
            return;
        }
        if !self.is_acceptable(now, &segment, payload) || !self.passes_control(now, &segment) {
            return;
        }
        if !segment.flags.contains(Flags::ACK) || !self.acknowledge(now, &segment, payload) {
            return;
        }
        if !payload.is_empty() {
            self.ecn.received(segment.flags, ecn);
        }
        self.take_payload(now, &segment, payload);
    }

    /// In SYN-RECEIVED the peer's SYN may come again, with or without the acknowledgment of ours. Whether to go on.
    fn meet_syn(&mut self, now: Instant, segment: &mut Header) -> bool {
        let Some(flow) = self.phase.flow_mut() else { return false };
        let again = segment.flags.contains(Flags::SYN) && segment.sequence == flow.receiving.initial;
        if !again || segment.flags.contains(Flags::RST) {
            return true;
        }
        flow.receiving.note_clock(now, segment);
        if segment.flags.contains(Flags::ACK) {
            segment.flags = Flags(segment.flags.0 & !Flags::SYN.0);
            segment.sequence += 1;
            return true;
        }
        self.syn_ack_again |= self.challenges.allow(now);
        false
    }

    /// Whether the segment is of this connection, by its timestamp and its number. If not, the peer is told.
    fn is_acceptable(&mut self, now: Instant, segment: &Header, payload: &[u8]) -> bool {
        let Some(Flow { receiving, .. }) = self.phase.flow_mut() else { return false };
        let reset = segment.flags.contains(Flags::RST);
        let old = match segment.options.timestamps {
            Some(timestamps) => !reset && receiving.is_old(now, timestamps),
            None if receiving.clock.is_some() && !reset => return false,
            None => false,
        };
        let control =
            u32::from(segment.flags.contains(Flags::SYN)) + u32::from(segment.flags.contains(Flags::FIN));
        let len = payload.len() as u32 + control;
        if old || !receiving.accepts(segment.sequence, len) {
            // A closed window does not keep acknowledgments out (RFC 9293 section 3.10.7.4, MUST-66).
            if !reset && !old && receiving.window() == 0 && segment.sequence == receiving.next {
                self.acknowledge_only(now, segment);
            }
            let answered = !reset && (len > 0 || self.challenges.allow(now));
            if let (true, Some(Flow { receiving, .. })) = (answered, self.phase.flow_mut()) {
                receiving.note_duplicate(segment.sequence, payload.len() as u32);
                receiving.acknowledge_now(Why::Acknowledgment);
            }
            let finished = segment.flags.contains(Flags::FIN);
            if let (true, Phase::TimeWait(state)) = (finished && !old, &mut self.phase) {
                state.until = now + self.opening.settings.time_wait;
            }
            return false;
        }
        receiving.note_clock(now, segment);
        true
    }

    fn acknowledge_only(&mut self, now: Instant, segment: &Header) {
        if segment.flags.contains(Flags::ACK) && !is_control(segment.flags) {
            self.acknowledge(now, segment, &[]);
        }
    }

    /// RST and SYN (RFC 5961 sections 3 and 4). Whether to go on.
    fn passes_control(&mut self, now: Instant, segment: &Header) -> bool {
        let Some(Flow { receiving, .. }) = self.phase.flow() else { return false };
        if segment.flags.contains(Flags::RST) {
            if segment.sequence != receiving.next {
                self.challenge(now);
            } else if matches!(self.phase, Phase::TimeWait(_)) {
                // RFC 1337: a reset does not end TIME-WAIT.
            } else if matches!(&self.phase, Phase::SynReceived(state) if !state.passive) {
                self.close(End::Refused);
            } else {
                self.close(End::Reset);
            }
            return false;
        }
        if segment.flags.contains(Flags::SYN) {
            self.challenge(now);
            return false;
        }
        true
    }

    fn challenge(&mut self, now: Instant) {
        if self.challenges.allow(now)
            && let Some(Flow { receiving, .. }) = self.phase.flow_mut()
        {
            receiving.acknowledge_now(Why::Challenge);
        }
    }

    /// The acknowledgment, the window and SACK. Whether to go on.
    fn acknowledge(&mut self, now: Instant, segment: &Header, payload: &[u8]) -> bool {
        let number = segment.acknowledgment;
        let echo = echo(self.clock(now), segment);
        let limit = self.send_limit();
        let opening = matches!(self.phase, Phase::SynReceived(_));
        let Some(Flow { sending, receiving }) = self.phase.flow_mut() else { return false };
        if opening && (!number.is_after(sending.una()) || number.is_after(sending.nxt())) {
            if self.challenges.allow(now) {
                self.reset = Some((number, None));
            }
            return false;
        }
        if !sending.accepts(number) {
            self.challenge(now);
            return false;
        }
        (self.heard, self.keepalives, self.keepalive_due) = (now, 0, false);
        sending.unanswered = 0;
        let changed = sending.update_window(segment);
        let bare = payload.is_empty() && !is_control(segment.flags) && !changed;
        let (before, waited) = (sending.is_finished(), sending.buffer.len());
        if !number.is_before(sending.una()) {
            let sack = if receiving.sack { segment.options.sack } else { Default::default() };
            let acked = sending.recovery.on_ack(now, Acknowledgment { number, sack: &sack, echo, bare });
            let echoed = self.ecn.is_echo(segment.flags) && sending.recovery.on_congestion_echo(now);
            if acked.began || echoed {
                self.ecn.reduce();
            }
            if acked.progress {
                sending.release(now);
                self.soft = None;
            }
        }
        let finished = sending.is_finished() && !before;
        // Who waits to write is woken for a third of the buffer, not for each byte.
        let enough = limit - limit / 3;
        self.changes.writable |= waited > enough && sending.buffer.len() <= enough;
        if opening {
            self.open();
        }
        if finished {
            self.fin_acknowledged(now);
        }
        !matches!(self.phase, Phase::Closed(_))
    }

    fn fin_acknowledged(&mut self, now: Instant) {
        let settings = self.opening.settings;
        let released = self.released.then(|| now + settings.fin_wait_2);
        self.phase = self.phase.take().fin_acknowledged(released, now + settings.time_wait);
        if matches!(self.phase, Phase::Closed(_)) {
            self.ended(End::Closed);
        }
    }

    /// Payload and FIN. The urgent pointer is not looked at: urgent bytes are bytes (RFC 6093).
    fn take_payload(&mut self, now: Instant, segment: &Header, payload: &[u8]) {
        let until = now + self.opening.settings.time_wait;
        let fin = segment.flags.contains(Flags::FIN);
        let room = self.room_to_receive();
        let Some(Flow { receiving, .. }) = self.phase.flow_mut() else { return };
        if payload.is_empty() && !fin {
            return;
        }
        let stop = segment.sequence + payload.len() as u32;
        if self.released && !payload.is_empty() && stop.is_after(receiving.next) {
            // Nobody will read it: the peer must not believe that somebody did.
            return self.fail(End::Aborted);
        }
        let received = receiving.take(now, segment.sequence, payload, fin, room);
        self.changes.readable |= received.readable || received.finished;
        if received.finished {
            self.phase = self.phase.take().fin_received(until);
        }
    }
}

/// How long ago the segment left that `header` echoes the clock of.
fn echo(clock: u32, header: &Header) -> Option<Duration> {
    let timestamps = header.options.timestamps.filter(|timestamps| timestamps.echo != 0)?;
    let trip = Duration::from_millis(u64::from(SeqNumber(clock).since(SeqNumber(timestamps.echo))));
    (trip <= LONGEST_TRIP).then_some(trip)
}
