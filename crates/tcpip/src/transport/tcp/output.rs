//! What leaves, in the order in which it must.

use host::Instant;
use trace::{Direction, Event, Why};
use wire::tcp::{Flags, Header, Options, SeqNumber, Timestamps};

use super::connection::{Connection, syn_options};
use super::face::Segment;
use super::receiving::{self, Ack};
use super::recovery::Range;
use super::sending::Chosen;
use super::state::{Flow, Phase};

impl Connection {
    /// The next segment to be sent. Its payload may be longer than one segment takes, up to `max_payload` bytes, where the
    /// device cuts it; pass zero where it does not. `None` when there is nothing more now.
    pub fn transmit(&mut self, now: Instant, max_payload: u32) -> Option<Segment<'_>> {
        if let Some((sequence, acknowledgment)) = self.reset.take() {
            return Some(self.reset_segment(now, sequence, acknowledgment));
        }
        if let Some(chosen) = self.choose_syn(now) {
            let header = self.syn_header(now);
            return Some(self.finish(now, header, &chosen));
        }
        let options = self.phase.flow().map_or(0, |flow| flow.receiving.sack_len());
        if let Some(sending) = self.phase.sending_mut()
            && let Some(chosen) = sending.choose(max_payload, options, self.opening.settings.nodelay)
        {
            if chosen.syn {
                let header = self.syn_header(now);
                self.sent(now, &chosen);
                return Some(self.finish(now, header, &chosen));
            }
            let mut flags = Flags::ACK;
            if chosen.fin {
                flags |= Flags::FIN;
            }
            if chosen.push {
                flags |= Flags::PSH;
            }
            let mut markable = false;
            if chosen.len > 0 && chosen.range.start == sending.nxt() {
                let says;
                (markable, says) = self.ecn.sending_new();
                flags |= says;
            }
            self.sent(now, &chosen);
            let header = self.header(now, chosen.range.start, flags);
            return Some(Segment { markable, ..self.finish(now, header, &chosen) });
        }
        let (sequence, why) = self.choose_empty(now)?;
        let header = self.header(now, sequence, Flags::ACK);
        let range = Range { start: sequence, end: sequence };
        Some(self.finish(now, header, &empty(range, false, why)))
    }

    /// SYN or SYN-ACK for the first time, or SYN-ACK once more.
    fn choose_syn(&mut self, now: Instant) -> Option<Chosen> {
        let again = std::mem::take(&mut self.syn_ack_again);
        if !matches!(self.phase, Phase::SynSent(_) | Phase::SynReceived(_)) {
            return None;
        }
        let sending = self.phase.sending_mut()?;
        let first = sending.nxt() == sending.initial;
        let range = Range { start: sending.initial, end: sending.initial + 1 };
        let chosen = empty(range, true, Why::Handshake);
        (first || again).then(|| {
            sending.on_sent(now, &chosen);
            chosen
        })
    }

    fn sent(&mut self, now: Instant, chosen: &Chosen) {
        if let Some(sending) = self.phase.sending_mut() {
            sending.on_sent(now, chosen);
        }
    }

    /// A segment without payload: a question, or an acknowledgment. Both have a number that takes no room.
    fn choose_empty(&mut self, now: Instant) -> Option<(SeqNumber, Why)> {
        let keepalive = std::mem::take(&mut self.keepalive_due);
        let running = self.phase.sending().is_some();
        let Flow { sending, receiving } = self.phase.flow_mut()?;
        if self.end.is_some() {
            return None;
        }
        if running && (sending.take_question() || keepalive) {
            let why = if keepalive { Why::Keepalive } else { Why::WindowProbe };
            sending.settle(now);
            return Some((sending.una() - 1, why));
        }
        if running {
            sending.settle(now);
        }
        match receiving.ack {
            Ack::Now(why) => Some((sending.nxt(), why)),
            Ack::None | Ack::Delayed(_) => None,
        }
    }

    /// The header of a segment of a synchronized connection: it acknowledges, as all of them do.
    fn header(&mut self, now: Instant, sequence: SeqNumber, flags: Flags) -> Header {
        let (value, room) = (self.clock(now), self.room_to_receive());
        let mut header = self.bare_header(sequence, flags | self.ecn.acknowledging());
        if let Some(Flow { receiving, .. }) = self.phase.flow_mut() {
            header.acknowledgment = receiving.next;
            header.window = receiving.offer(room);
            let timestamps = receiving.clock.map(|(echo, _)| Timestamps { value, echo });
            header.options = Options { timestamps, sack: receiving.sack_blocks(), ..Options::default() };
            receiving.on_acknowledged();
        }
        header
    }

    fn syn_header(&mut self, now: Instant) -> Header {
        let (value, offered) = (self.clock(now), receiving::first_window(&self.opening));
        let initial = self.opening.initial_sequence;
        let mut header = self.bare_header(initial, Flags::SYN);
        header.window = offered as u16;
        let mut agreed = None;
        let mut echo = 0;
        if let Some(Flow { receiving, .. }) = self.phase.flow_mut() {
            header.flags |= Flags::ACK | self.ecn.answer();
            header.acknowledgment = receiving.next;
            echo = receiving.clock.map_or(0, |(recent, _)| recent);
            agreed = Some((receiving.scales, receiving.sack, receiving.clock.is_some()));
            receiving.on_acknowledged();
        }
        if let Phase::SynSent(state) = &self.phase {
            let first = state.sending.recovery.backoffs() == 0;
            header.flags |= self.ecn.ask(self.opening.settings.ecn, first);
        }
        header.options = syn_options(&self.opening, agreed, Timestamps { value, echo });
        header
    }

    fn bare_header(&self, sequence: SeqNumber, flags: Flags) -> Header {
        Header {
            source_port: self.opening.local.port(),
            destination_port: self.opening.remote.port(),
            sequence,
            acknowledgment: SeqNumber(0),
            flags,
            window: 0,
            urgent: 0,
            options: Options::default(),
        }
    }

    fn reset_segment(
        &mut self,
        now: Instant,
        sequence: SeqNumber,
        acknowledgment: Option<SeqNumber>,
    ) -> Segment<'_> {
        let mut header = self.bare_header(sequence, Flags::RST);
        if let Some(number) = acknowledgment {
            header.flags |= Flags::ACK;
            header.acknowledgment = number;
        }
        self.finish(now, header, &empty(Range { start: sequence, end: sequence }, false, Why::Reset))
    }

    /// Puts the payload under its header.
    fn finish(&self, now: Instant, header: Header, chosen: &Chosen) -> Segment<'_> {
        let why = chosen.why;
        self.opening.tracer.emit(now.as_nanos(), || {
            let path = self.phase.sending().map(|sending| sending.recovery.info()).unwrap_or_default();
            Event::Segment(trace::Segment {
                endpoints: self.endpoints(),
                direction: Direction::Down,
                sequence: header.sequence.0,
                acknowledgment: header.acknowledgment.0,
                len: chosen.len as u32,
                flags: header.flags.0,
                why,
                congestion_window: path.congestion_window,
                in_flight: path.in_flight,
            })
        });
        let sending = self.phase.sending().filter(|_| chosen.len > 0);
        let payload =
            sending.map_or([&[][..]; 2], |sending| sending.buffer.slices(chosen.offset, chosen.len));
        let options = (header.len() - Header::MIN_LEN) as u32;
        let size = sending.map_or(u32::MAX, |sending| sending.largest_payload(options));
        let segment_size = (chosen.len as u64 > u64::from(size)).then_some(size as u16);
        Segment { header, payload, segment_size, markable: false, why }
    }
}

fn empty(range: Range, syn: bool, why: Why) -> Chosen {
    Chosen { range, syn, fin: false, offset: 0, len: 0, why, limited: true, push: false }
}
