//! One end of a connection: the face to the application and to the clock.

use std::io::IoSlice;
use std::time::Duration;

use host::Instant;
use trace::{Direction, Endpoints, Event, Message};
use wire::tcp::{Flags, Header, SeqNumber};

use super::ecn::Notification;
use super::face::{Changes, End, Info, Negotiated, Opening, ReadError, Shortage, State, WriteError};
use super::receiving::{self, Ack, Receiving};
use super::sending::Sending;
use super::state::{Closed, Established, Flow, Phase, SynReceived, SynSent};
use super::time_wait::TimeWait;
use crate::internet::Problem;
use crate::transport::budget::{MEAL, Share};

/// The time to the peer and back while it is unknown.
const UNKNOWN_TRIP: Duration = Duration::from_millis(100);

/// One end of a connection, as a value.
///
/// After each call that takes `now`, call [`transmit`](Self::transmit) until it has nothing more, then ask
/// [`poll_timeout`](Self::poll_timeout) when to come back.
#[derive(Debug)]
pub struct Connection {
    pub(super) opening: Opening,
    pub(super) phase: Phase,
    pub(super) end: Option<End>,
    pub(super) changes: Changes,
    /// The application let go.
    pub(super) released: bool,
    /// A reset waits to be sent: its number, and what it acknowledges.
    pub(super) reset: Option<(SeqNumber, Option<SeqNumber>)>,
    /// SYN-ACK is to be sent again, since the peer sent its SYN again.
    pub(super) syn_ack_again: bool,
    /// What the network said while opening; a timeout then tells.
    pub(super) soft: Option<Problem>,
    /// When an acceptable segment came last.
    pub(super) heard: Instant,
    pub(super) keepalives: u32,
    pub(super) keepalive_due: bool,
    pub(super) challenges: Challenges,
    pub(super) ecn: Notification,
    /// What of the host's memory it may hold.
    pub(super) share: Share,
    pub(super) written: u64,
    pub(super) read: u64,
}

/// How many answers a connection gives to segments that may be forged (RFC 5961 section 7): its own count, so that
/// nobody learns from it about other connections (CVE-2016-5696).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Challenges {
    since: Instant,
    spent: u32,
    pub(super) sent: u64,
}

impl Challenges {
    const PERIOD: Duration = Duration::from_secs(5);
    const LIMIT: u32 = 10;

    pub(super) fn allow(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Self::PERIOD {
            (self.since, self.spent) = (now, 0);
        }
        let allowed = self.spent < Self::LIMIT;
        self.spent += u32::from(allowed);
        self.sent += u64::from(allowed);
        allowed
    }
}

impl Connection {
    /// Opens a connection: SYN-SENT.
    pub fn connect(now: Instant, opening: Opening) -> Self {
        let sending = Box::new(Sending::new(now, &opening));
        Self::new(now, opening, Phase::SynSent(SynSent { sending }))
    }

    /// Answers the `syn` of a peer that a listener got: SYN-RECEIVED. Data in `syn` is not taken: the peer sends it
    /// again.
    pub fn accept(now: Instant, opening: Opening, syn: &Header) -> Self {
        let agreed = agreed(&opening, syn);
        let mut sending = Sending::new(now, &opening);
        sending.negotiate(&agreed, &opening);
        sending.set_window(u32::from(syn.window), syn.sequence, opening.initial_sequence);
        let receiving = Receiving::new(now, syn.sequence, &agreed, &opening);
        let flow = Box::new(Flow { sending, receiving });
        let mut ecn = Notification::default();
        ecn.meet(opening.settings.ecn, syn.flags);
        Self { ecn, ..Self::new(now, opening, Phase::SynReceived(SynReceived { flow, passive: true })) }
    }

    /// Brings back the connection that a SYN cookie stood for: ESTABLISHED. `ack` acknowledges the cookie, which is
    /// `opening.initial_sequence`; hand it to [`receive`](Self::receive) afterwards, since it may have data.
    pub fn from_cookie(now: Instant, opening: Opening, agreed: Negotiated, ack: &Header) -> Self {
        let mut sending = Sending::new(now, &opening);
        sending.negotiate(&agreed, &opening);
        sending.assume_open(now);
        let scale = agreed.window_scale.unwrap_or(0).min(14);
        sending.set_window(u32::from(ack.window) << scale, ack.sequence, ack.acknowledgment);
        let receiving = Receiving::new(now, ack.sequence - 1, &agreed, &opening);
        let flow = Box::new(Flow { sending, receiving });
        let mut connection = Self::new(now, opening, Phase::Established(Established { flow }));
        connection.changes = Changes { connected: true, writable: true, ..Changes::default() };
        connection
    }

    fn new(now: Instant, opening: Opening, phase: Phase) -> Self {
        Self {
            opening,
            phase,
            end: None,
            changes: Changes::default(),
            released: false,
            reset: None,
            syn_ack_again: false,
            soft: None,
            heard: now,
            keepalives: 0,
            keepalive_due: false,
            challenges: Challenges::default(),
            ecn: Notification::default(),
            share: Share::ALL,
            written: 0,
            read: 0,
        }
    }

    /// Takes bytes that came, in order.
    ///
    /// # Errors
    ///
    /// As [`ReadError`] says. `Ok(0)` is the end of the stream.
    pub fn read(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, ReadError> {
        let (end, scarce) = (self.end, self.share.scarce);
        if let Some(flow) = self.phase.flow_mut() {
            let trip = flow.sending.recovery.round_trip().smoothed().unwrap_or(UNKNOWN_TRIP);
            let len = flow.receiving.read(now, out, trip, scarce);
            if len > 0 {
                let room = self.room_to_receive();
                if let Some(flow) = self.phase.flow_mut() {
                    flow.receiving.note_read(room);
                }
                self.trace_message(now, Direction::Up, self.read, len);
                self.read += len as u64;
                return Ok(len);
            }
            if flow.receiving.is_complete() || out.is_empty() {
                return Ok(0);
            }
        }
        match end {
            Some(End::Closed) => Ok(0),
            Some(end) => Err(ReadError::Ended(end)),
            None => Err(ReadError::WouldBlock),
        }
    }

    /// Hands over bytes to be sent, as many as there is room for.
    ///
    /// # Errors
    ///
    /// As [`WriteError`] says.
    pub fn write(&mut self, now: Instant, pieces: &[IoSlice<'_>]) -> Result<usize, WriteError> {
        let written = self.gather(now, pieces)?;
        if let Some(sending) = self.phase.sending_mut() {
            sending.push();
        }
        Ok(written)
    }

    /// As [`write`](Self::write), where more follows soon: a short segment waits for it, for a retransmission timeout at most
    /// or until what is on its way has been acknowledged.
    ///
    /// # Errors
    ///
    /// As [`WriteError`] says.
    pub fn write_more(&mut self, now: Instant, pieces: &[IoSlice<'_>]) -> Result<usize, WriteError> {
        let written = self.gather(now, pieces)?;
        if let Some(sending) = self.phase.sending_mut() {
            sending.hold();
        }
        Ok(written)
    }

    fn gather(&mut self, now: Instant, pieces: &[IoSlice<'_>]) -> Result<usize, WriteError> {
        if let Some(end) = self.end {
            return Err(if end == End::Closed { WriteError::ShutDown } else { WriteError::Ended(end) });
        }
        let (limit, room) = (self.send_limit(), self.room_to_send());
        let flow = match &mut self.phase {
            Phase::Established(state) => &mut state.flow,
            Phase::CloseWait(state) => &mut state.flow,
            Phase::SynSent(state) if !state.sending.finishing => return Err(WriteError::WouldBlock),
            Phase::SynReceived(state) if !state.flow.sending.finishing => return Err(WriteError::WouldBlock),
            _ => return Err(WriteError::ShutDown),
        };
        if !flow.sending.is_busy() {
            flow.sending.progress = now;
            if self.opening.settings.restart_after_idle {
                flow.sending.recovery.on_restart(now);
            }
        }
        let len = flow.sending.buffer.gather(pieces, limit, room);
        if len == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(WriteError::WouldBlock);
        }
        self.trace_message(now, Direction::Down, self.written, len);
        self.written += len as u64;
        Ok(len)
    }

    /// The application has no more to say: FIN follows what it wrote.
    pub fn shutdown(&mut self, now: Instant) {
        if let Some(sending) = self.phase.sending_mut() {
            if !sending.is_busy() {
                sending.progress = now;
            }
            sending.finishing = true;
        }
        self.phase = self.phase.take().shut_down();
    }

    /// Ends the connection with a reset; what was not sent is lost.
    pub fn abort(&mut self, _now: Instant) {
        self.fail(End::Aborted);
    }

    /// The application let go. What it wrote is still sent, then FIN; what it did not read makes it a reset, so that
    /// the peer knows (RFC 9293 section 3.6, RFC 2525 section 2.17).
    pub fn release(&mut self, now: Instant) {
        self.released = true;
        match &mut self.phase {
            Phase::SynSent(_) => self.close(End::Aborted),
            Phase::Closed(state) => state.flow = None,
            Phase::TimeWait(_) => {}
            Phase::FinWait2(state) => state.until = Some(now + self.opening.settings.fin_wait_2),
            _ => {}
        }
        if self.phase.receiving().is_some_and(|receiving| receiving.ready() > 0) {
            return self.abort(now);
        }
        if self.phase.sending().is_some_and(|sending| !sending.finishing) {
            self.shutdown(now);
        }
        if let Some(sending) = self.phase.sending_mut() {
            sending.progress = now;
        }
    }

    /// Whether a read gives bytes, the end of the stream or an error.
    pub fn is_readable(&self) -> bool {
        self.end.is_some()
            || self
                .phase
                .flow()
                .is_some_and(|flow| flow.receiving.ready() > 0 || flow.receiving.is_complete())
    }

    /// Whether a write takes bytes or gives an error.
    pub fn is_writable(&self) -> bool {
        match &self.phase {
            Phase::Established(Established { flow }) => self.has_room(flow),
            Phase::CloseWait(state) => self.has_room(&state.flow),
            Phase::SynSent(_) | Phase::SynReceived(_) => false,
            _ => true,
        }
    }

    fn has_room(&self, flow: &Flow) -> bool {
        let buffer = &flow.sending.buffer;
        buffer.len() < self.send_limit().min(buffer.holds(self.room_to_send()))
    }

    /// Bytes of memory that its buffers hold, and what is noted of segments beyond the first few: of what it sends, and
    /// of what it receives.
    pub(in crate::transport) fn held(&self) -> (usize, usize) {
        match &self.phase {
            Phase::SynSent(state) => (state.sending.memory(), 0),
            phase => phase.flow().map_or((0, 0), |flow| (flow.sending.memory(), flow.receiving.memory())),
        }
    }

    /// Bytes of memory that it may take more for what it sends.
    fn room_to_send(&self) -> usize {
        let (send, receive) = self.held();
        self.share.send.saturating_sub(send).min(self.share.both.saturating_sub(send + receive))
    }

    /// Bytes of memory that it may take more for what it receives.
    pub(super) fn room_to_receive(&self) -> usize {
        let (send, receive) = self.held();
        self.share.receive.saturating_sub(receive).min(self.share.both.saturating_sub(send + receive))
    }

    /// What of the host's memory it may hold from now on. What it holds already is not taken away.
    pub fn set_share(&mut self, share: Share) {
        self.share = share;
        let room = self.room_to_send();
        if let Some(sending) = self.phase.sending_mut() {
            sending.recovery.set_room(room);
        }
    }

    /// When memory alone keeps it from being written to, or its peer from sending: how much it holds for that.
    pub(in crate::transport) fn starved(&self) -> Option<usize> {
        let flow = self.phase.flow()?;
        let (send, receive) = self.held();
        let open = matches!(self.phase, Phase::Established(_) | Phase::CloseWait(_));
        let full = flow.sending.buffer.len() >= self.send_limit();
        let writes = open && self.room_to_send() < MEAL && !full && !self.has_room(flow);
        let hears = matches!(self.phase, Phase::Established(_) | Phase::FinWait1(_) | Phase::FinWait2(_));
        let room = self.room_to_receive();
        let reads = hears && room < MEAL && flow.receiving.is_starved(room);
        [writes.then_some(send), reads.then_some(receive)].into_iter().flatten().min()
    }

    /// There is memory for it again: whoever waits for that is told.
    pub(in crate::transport) fn feed(&mut self) {
        let (writable, room) = (self.is_writable(), self.room_to_receive());
        self.changes.writable |= writable;
        if let Some(flow) = self.phase.flow_mut() {
            flow.receiving.feed(room);
        }
    }

    /// What there was no memory for since it was asked last.
    pub(in crate::transport) fn take_shortage(&mut self) -> Shortage {
        self.phase.flow_mut().map(|flow| std::mem::take(&mut flow.receiving.shortage)).unwrap_or_default()
    }

    /// Bytes that wait to be acknowledged, at most: sequence numbers can be compared only within half their circle.
    pub(super) fn send_limit(&self) -> usize {
        self.opening.settings.send_buffer.clamp(1, 1 << 30)
    }

    /// Whether the handshake is done and the connection not over.
    pub fn is_established(&self) -> bool {
        !matches!(self.state(), State::SynSent | State::SynReceived | State::Closed)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Whether it is over and may be removed: CLOSED, and nothing to be sent.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Closed(_)) && self.reset.is_none()
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Between whom.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints { local: self.opening.local, remote: self.opening.remote }
    }

    /// What became true since it was asked last.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Small segments wait for acknowledgments of earlier ones, or do not.
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.opening.settings.nodelay = nodelay;
        if let Some(sending) = self.phase.sending_mut().filter(|_| nodelay) {
            sending.flush();
        }
    }

    /// Short segments wait until this is taken back, so that several writes leave together. The last of all does not wait.
    pub fn set_corked(&mut self, corked: bool) {
        if let Some(sending) = self.phase.sending_mut() {
            sending.set_corked(corked);
        }
    }

    /// How long bytes may go unacknowledged from now on before the connection is given up: [`Settings::user_timeout`].
    ///
    /// [`Settings::user_timeout`]: super::Settings::user_timeout
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.opening.settings.user_timeout = timeout;
    }

    /// Bytes that were written and are not acknowledged.
    pub fn unsent(&self) -> usize {
        self.phase.sending().map_or(0, |sending| sending.buffer.len())
    }

    /// An ICMP error that quotes `sequence` came. Whether that is in flight, so that the error may be true (RFC 5927
    /// section 4). A hard error ends only what is not established yet; all others are remembered (RFC 5461).
    pub fn icmp(&mut self, _now: Instant, problem: Problem, sequence: SeqNumber) -> bool {
        let Some(sending) = self.phase.sending() else { return false };
        if !sequence.is_within(sending.una(), sending.in_flight()) {
            return false;
        }
        let opening = matches!(self.phase, Phase::SynSent(_) | Phase::SynReceived(_));
        match problem {
            Problem::ProtocolUnreachable | Problem::PortUnreachable | Problem::Prohibited if opening => {
                self.close(End::Unreachable(problem));
            }
            Problem::TooBig(_) => {}
            soft => self.soft = Some(soft),
        }
        true
    }

    /// Packets to the peer have at most `mtu` bytes with the IP header from now on.
    pub fn set_path_mtu(&mut self, _now: Instant, mtu: u16) {
        self.opening.path_mtu = mtu;
        if let Some(sending) = self.phase.sending_mut() {
            sending.set_path_mtu(mtu);
        }
    }

    /// Numbers about it.
    pub fn info(&self) -> Info {
        let sending = self.phase.sending();
        let flow = self.phase.flow();
        Info {
            state: self.state(),
            max_segment_size: sending.map_or(0, Sending::max_segment_size),
            send_window: sending.map_or(0, |sending| sending.window),
            receive_window: flow.map_or(0, |flow| flow.receiving.limit()),
            unacknowledged: self.unsent(),
            unread: flow.map_or(0, |flow| flow.receiving.ready()),
            out_of_order: flow.map_or(0, |flow| flow.receiving.out_of_order()),
            memory: self.held().0 + self.held().1,
            challenges: self.challenges.sent,
            recovery: sending.map(|sending| sending.recovery.info()).unwrap_or_default(),
        }
    }

    /// What is left of a connection in TIME-WAIT whose bytes were all read, to be kept in its place. `None` for others.
    pub fn time_wait(&self) -> Option<TimeWait> {
        let Phase::TimeWait(state) = &self.phase else { return None };
        let Flow { sending, receiving } = &*state.flow;
        let pending = matches!(receiving.ack, Ack::Now(_)) || self.reset.is_some();
        let clock = receiving.clock.map(|(recent, _)| (recent, self.opening.timestamp_offset));
        (receiving.ready() == 0 && !pending).then(|| {
            let (sent, window) = (sending.nxt(), receiving.window().min(65_535) as u16);
            let lasts = self.opening.settings.time_wait;
            TimeWait::new(state.until, lasts, sent, receiving.next, window, clock)
        })
    }

    /// What [`time_wait`](Self::time_wait) gave is kept elsewhere: for the application, it is over.
    pub(in crate::transport) fn retire(&mut self) {
        self.close(End::Closed);
        self.phase = Phase::Closed(Closed { flow: None });
    }

    /// Ends the connection, and tells the peer.
    pub(super) fn fail(&mut self, end: End) {
        if let Some(Flow { sending, receiving }) = self.phase.flow_mut()
            && self.end.is_none()
        {
            self.reset = Some((sending.nxt(), Some(receiving.next)));
        }
        self.close(end);
    }

    /// Ends the connection without a word.
    pub(super) fn close(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.phase = self.phase.take().closed();
        self.ended(end);
    }

    /// CLOSED was reached.
    pub(super) fn ended(&mut self, end: End) {
        if let Phase::Closed(state) = &mut self.phase {
            if self.released || end == End::Aborted {
                state.flow = None;
            } else if let Some(flow) = &mut state.flow {
                flow.sending.buffer = Default::default();
            }
        }
        self.end = Some(end);
        self.changes.readable = true;
        self.changes.writable = true;
        self.changes.closed = true;
    }

    /// Our clock in timestamps: milliseconds.
    pub(super) fn clock(&self, now: Instant) -> u32 {
        ((now.as_nanos() / 1_000_000) as u32).wrapping_add(self.opening.timestamp_offset)
    }

    fn trace_message(&self, now: Instant, direction: Direction, offset: u64, len: usize) {
        self.opening.tracer.emit(now.as_nanos(), || {
            Event::Message(Message { endpoints: self.endpoints(), direction, offset, len: len as u32 })
        });
    }
}

/// What our SYN and the peer's agree on.
pub(super) fn agreed(opening: &Opening, syn: &Header) -> Negotiated {
    let default = if opening.remote.is_ipv4() { 536 } else { 1220 };
    Negotiated {
        max_segment_size: syn.options.max_segment_size.unwrap_or(default),
        window_scale: syn.options.window_scale,
        sack: syn.options.sack_permitted,
        timestamps: syn
            .options
            .timestamps
            .filter(|_| opening.settings.timestamps)
            .map(|timestamps| timestamps.value),
    }
}

/// The options of our SYN or SYN-ACK; `agreed` is what the peer's SYN said, if it came.
pub(super) fn syn_options(
    opening: &Opening,
    agreed: Option<(bool, bool, bool)>,
    timestamps: wire::tcp::Timestamps,
) -> wire::tcp::Options {
    let (scale, sack, clock) = agreed.unwrap_or((true, true, opening.settings.timestamps));
    wire::tcp::Options {
        max_segment_size: Some(opening.max_segment_size),
        window_scale: scale.then(|| receiving::scale(&opening.settings)),
        sack_permitted: sack,
        timestamps: clock.then_some(timestamps),
        ..wire::tcp::Options::default()
    }
}

/// Whether `flags` has any of SYN, FIN and RST.
pub(super) fn is_control(flags: Flags) -> bool {
    flags.intersects(Flags::SYN | Flags::FIN | Flags::RST)
}
