//! Our direction of a connection: what the application wrote, and how much of it may leave.

use std::time::Duration;

use host::Instant;
use trace::Why;
use wire::tcp::{Header, SeqNumber};

use super::buffer::Ring;
use super::face::{Negotiated, Opening};
use super::recovery::{Acknowledgment, Range, Recovery, Setup};

/// Payload of a segment, at least, whatever the peer says: the smallest MTU in use is 256 bytes (AX.25), so nobody
/// honest asks for less, and a peer who does could make us send a header for every few bytes (CVE-2019-11479).
const SMALLEST_SEGMENT: u32 = 216;

/// Bytes that timestamps take of each segment.
const TIMESTAMPS_LEN: u32 = 12;

/// The time between two questions about a closed window grows up to this.
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) buffer: Ring,
    pub(super) recovery: Recovery,
    /// Of our SYN.
    pub(super) initial: SeqNumber,
    /// Of the first byte in `buffer`.
    front: SeqNumber,
    /// SND.WND, in bytes.
    pub(super) window: u32,
    largest_window: u32,
    /// SND.WL1 and SND.WL2.
    updated_at: (SeqNumber, SeqNumber),
    scale: u8,
    peer_segment: u32,
    path_mtu: u16,
    headers: u32,
    timestamps: bool,
    /// The application has no more to say: FIN follows the last byte.
    pub(super) finishing: bool,
    /// Short segments wait for more, but for those before `flushed`.
    corked: bool,
    flushed: SeqNumber,
    /// More is about to be written.
    more: bool,
    /// What is written up to here the application wants to be delivered (PSH).
    pushed: SeqNumber,
    probe_tail: bool,
    pub(super) stall: Stall,
    /// Questions about the window since the peer was heard last.
    pub(super) unanswered: u32,
    /// When bytes were acknowledged last, or began to wait.
    pub(super) progress: Instant,
}

/// Bytes wait, nothing is in flight, and the window lets nothing go (RFC 9293 section 3.8.6.1).
#[derive(Debug, Default)]
pub(super) struct Stall {
    pub(super) deadline: Option<Instant>,
    backoff: u32,
    /// A question is to be sent.
    due: bool,
}

/// What is to leave next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) range: Range,
    pub(super) syn: bool,
    pub(super) fin: bool,
    /// Where the payload lies in the buffer.
    pub(super) offset: usize,
    pub(super) len: usize,
    pub(super) why: Why,
    pub(super) limited: bool,
    /// It ends what the application wants to be delivered (RFC 9293 section 3.9.1.2).
    pub(super) push: bool,
}

impl Sending {
    pub(super) fn new(now: Instant, opening: &Opening) -> Self {
        let (ip, default) = if opening.remote.is_ipv4() { (20, 536) } else { (40, 1220) };
        let mut setup = Setup::new(opening.initial_sequence, default);
        setup.algorithm = opening.settings.algorithm;
        Self {
            buffer: Ring::default(),
            recovery: Recovery::new(now, setup),
            initial: opening.initial_sequence,
            front: opening.initial_sequence + 1,
            window: 0,
            largest_window: 0,
            updated_at: (SeqNumber(0), opening.initial_sequence),
            scale: 0,
            peer_segment: default,
            path_mtu: opening.path_mtu,
            headers: ip + 20,
            timestamps: false,
            finishing: false,
            corked: false,
            flushed: opening.initial_sequence,
            more: false,
            pushed: opening.initial_sequence,
            probe_tail: false,
            stall: Stall::default(),
            unanswered: 0,
            progress: now,
        }
    }

    /// Our SYN was acknowledged before this value was made.
    pub(super) fn assume_open(&mut self, now: Instant) {
        let range = Range { start: self.initial, end: self.initial + 1 };
        self.recovery.on_sent(now, range, Why::Handshake, true);
        let sack = &wire::tcp::SackBlocks::default();
        let number = range.end;
        self.recovery.on_ack(now, Acknowledgment { number, sack, echo: None, bare: false });
    }

    /// What the SYN of the peer said.
    pub(super) fn negotiate(&mut self, agreed: &Negotiated, opening: &Opening) {
        self.peer_segment = u32::from(agreed.max_segment_size);
        self.scale = agreed.window_scale.unwrap_or(0).min(14);
        self.timestamps = agreed.timestamps.is_some();
        self.recovery.negotiated(self.max_segment_size(), agreed.sack, opening.settings.algorithm);
    }

    /// Payload of a full segment, in bytes (RFC 6691).
    pub(super) fn max_segment_size(&self) -> u32 {
        let path = u32::from(self.path_mtu).saturating_sub(self.headers);
        let options = if self.timestamps { TIMESTAMPS_LEN } else { 0 };
        self.peer_segment.min(path).max(SMALLEST_SEGMENT) - options
    }

    /// Payload of a segment whose options take `options` bytes, at most: they count against it (RFC 6691).
    pub(super) fn largest_payload(&self, options: u32) -> u32 {
        let timestamps = if self.timestamps { TIMESTAMPS_LEN } else { 0 };
        self.max_segment_size() + timestamps - options
    }

    pub(super) fn set_path_mtu(&mut self, mtu: u16) {
        self.path_mtu = mtu;
        self.recovery.set_max_segment_size(self.max_segment_size());
    }

    /// SND.UNA.
    pub(super) fn una(&self) -> SeqNumber {
        self.recovery.snd_una()
    }

    /// SND.NXT.
    pub(super) fn nxt(&self) -> SeqNumber {
        self.recovery.snd_nxt()
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.nxt().since(self.una())
    }

    /// After the last byte that the application wrote.
    fn end(&self) -> SeqNumber {
        self.front + self.buffer.len() as u32
    }

    /// Bytes that were never sent.
    pub(super) fn unsent(&self) -> u32 {
        let end = self.end();
        let nxt = self.nxt().later(self.front);
        if nxt.is_before(end) { end.since(nxt) } else { 0 }
    }

    /// FIN is still to be sent for the first time.
    fn fin_waits(&self) -> bool {
        self.finishing && !self.nxt().is_after(self.end())
    }

    /// Our FIN was acknowledged.
    pub(super) fn is_finished(&self) -> bool {
        self.finishing && self.una().is_after(self.end())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.buffer.memory() + self.recovery.memory()
    }

    /// Something is unacknowledged or unsent.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight() > 0 || self.unsent() > 0 || self.fin_waits()
    }

    /// Whether `number` acknowledges what was sent, or is as old as one that the window lets be (RFC 5961 section 5.2).
    pub(super) fn accepts(&self, number: SeqNumber) -> bool {
        let oldest = self.una() - self.largest_window.max(1);
        !number.is_before(oldest) && !number.is_after(self.nxt())
    }

    /// Takes the window of an acceptable acknowledgment (RFC 9293 section 3.10.7.4). Whether it changed.
    pub(super) fn update_window(&mut self, header: &Header) -> bool {
        let (sequence, number) = (header.sequence, header.acknowledgment);
        if number.is_before(self.una()) {
            return false;
        }
        let (wl1, wl2) = self.updated_at;
        if !(wl1.is_before(sequence) || wl1 == sequence && !number.is_before(wl2)) {
            return false;
        }
        let scale = if header.flags.contains(wire::tcp::Flags::SYN) { 0 } else { self.scale };
        self.set_window(u32::from(header.window) << scale, sequence, number)
    }

    /// As [`update_window`](Self::update_window) for the first segment of the peer.
    pub(super) fn set_window(&mut self, window: u32, sequence: SeqNumber, number: SeqNumber) -> bool {
        self.updated_at = (sequence, number);
        let changed = self.window != window;
        let opened = window > self.window;
        self.window = window;
        self.largest_window = self.largest_window.max(window);
        if opened && self.usable() > 0 {
            self.stall = Stall::default();
        }
        changed
    }

    /// Lets go what is acknowledged.
    pub(super) fn release(&mut self, now: Instant) {
        self.progress = now;
        self.more = false;
        let una = self.una();
        if una.is_after(self.front) {
            let len = (una.since(self.front) as usize).min(self.buffer.len());
            self.buffer.consume(len);
            self.front += len as u32;
        }
    }

    /// Bytes that the peer's window has room for beyond what was sent. A window that shrank has none.
    fn usable(&self) -> u32 {
        let edge = self.una() + self.window;
        if self.nxt().is_before(edge) { edge.since(self.nxt()) } else { 0 }
    }

    /// Short segments wait for more, or do no longer.
    pub(super) fn set_corked(&mut self, corked: bool) {
        if self.corked && !corked {
            self.flush();
        }
        self.corked = corked;
    }

    /// What was written up to now waits for nothing more.
    pub(super) fn flush(&mut self) {
        self.flushed = self.end();
    }

    /// What was written up to now is all for the moment.
    pub(super) fn push(&mut self) {
        (self.more, self.pushed) = (false, self.end());
    }

    /// More is about to be written.
    pub(super) fn hold(&mut self) {
        self.more = true;
    }

    /// A tail probe is due (RFC 8985 section 7.3).
    pub(super) fn ask_tail(&mut self) {
        self.probe_tail = true;
    }

    /// What is to leave now, at most `longest` bytes of payload in segments that have `options` bytes of options beside
    /// the timestamps; `nodelay` as the application chose.
    pub(super) fn choose(&mut self, longest: u32, options: u32, nodelay: bool) -> Option<Chosen> {
        let segment = self.max_segment_size() - options;
        if let Some((range, why)) = self.recovery.lost(segment) {
            return Some(self.cut(range, why, false));
        }
        if self.una() == self.initial {
            return None;
        }
        if std::mem::take(&mut self.probe_tail) {
            let len = self.unsent().min(self.usable()).min(segment);
            if len > 0 {
                let range = Range { start: self.nxt(), end: self.nxt() + len };
                return Some(self.cut(range, Why::TailProbe, len == self.unsent()));
            }
            let last = self.recovery.probe(segment)?;
            return Some(self.cut(last, Why::TailProbe, true));
        }
        let unsent = self.unsent();
        let usable = self.usable();
        let idle = self.recovery.is_idle();
        let allowed = match self.recovery.allowance() {
            0 if idle => segment,
            allowed => allowed,
        };
        let waits = self.corked || self.more || !(nodelay || idle);
        let at_once = self.finishing || self.end() == self.flushed || !waits;
        let mut len = unsent.min(usable).min(allowed).min(longest.max(segment));
        if len > segment {
            let rest = len % segment;
            if rest > 0 && (len < unsent || !at_once) {
                len -= rest;
            }
        } else if len < segment {
            let all = len == unsent && at_once;
            let large = len > 0 && len >= self.largest_window / 2;
            let forced = self.stall.due && len > 0;
            if !(all || large || forced) {
                len = 0;
            }
        }
        let fin = self.fin_waits() && len == unsent && usable > len && allowed > len;
        if len == 0 && !fin {
            return None;
        }
        let range = Range { start: self.nxt(), end: self.nxt() + len + u32::from(fin) };
        Some(self.cut(range, Why::New, len == unsent))
    }

    /// Whether to ask now if the window has opened.
    pub(super) fn take_question(&mut self) -> bool {
        std::mem::take(&mut self.stall.due)
    }

    /// Says how `range` looks as a segment.
    fn cut(&self, range: Range, why: Why, limited: bool) -> Chosen {
        let syn = range.start == self.initial;
        let start = range.start.later(self.front);
        let stop = range.end.earlier(self.end());
        let len = if start.is_before(stop) { stop.since(start) } else { 0 };
        // A long segment has it as well: receivers that join segments then hand up what they have.
        let asked = stop == self.pushed || self.finishing || self.stall.due;
        Chosen {
            range,
            syn,
            fin: self.finishing && range.end.is_after(self.end()),
            offset: start.since(self.front) as usize,
            len: len as usize,
            why,
            limited,
            push: len > self.max_segment_size() || len > 0 && stop == self.end() && asked,
        }
    }

    pub(super) fn on_sent(&mut self, now: Instant, chosen: &Chosen) {
        self.recovery.on_sent(now, chosen.range, chosen.why, chosen.limited);
        self.stall = Stall { backoff: self.stall.backoff, ..Stall::default() };
    }

    /// Nothing more leaves now: whether that is because of the peer's window, so that somebody must ask.
    pub(super) fn settle(&mut self, now: Instant) {
        let stalled =
            self.una() != self.initial && self.recovery.is_idle() && (self.unsent() > 0 || self.fin_waits());
        if !stalled {
            self.stall = Stall::default();
        } else if self.stall.deadline.is_none() && !self.stall.due {
            self.stall.deadline = Some(now + self.probe_interval());
        }
    }

    /// The time to ask has come.
    pub(super) fn on_stall(&mut self) {
        self.stall.due = true;
        self.unanswered = self.unanswered.saturating_add(1);
        self.stall.deadline = None;
        self.stall.backoff = (self.stall.backoff + 1).min(16);
    }

    fn probe_interval(&self) -> Duration {
        self.recovery.round_trip().timeout(self.stall.backoff).min(LONGEST_PROBE_INTERVAL)
    }
}
