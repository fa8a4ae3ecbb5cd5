//! What becomes due: retransmissions, probes, keepalive, and the end of patience.

use std::time::Duration;

use host::Instant;

use super::connection::Connection;
use super::face::{End, State};
use super::receiving::Ack;
use super::recovery::Expired;
use super::state::{Flow, Phase};

/// Retransmissions of SYN, and of SYN-ACK, before the peer is given up: about two minutes, and one.
const SYN_RETRIES: u32 = 6;
const SYN_ACK_RETRIES: u32 = 5;

/// Timeouts in a row, and silence, after which a peer is given up (R2 of RFC 9293 section 3.8.3).
const RETRIES: u32 = 15;
const SILENCE: Duration = Duration::from_secs(100);

/// Timeouts in a row after which full segments are taken to be too long for the path, in two steps: for what tunnels and
/// IPv6 carry (RFC 8200 section 5), then for what every IPv4 host takes (RFC 1122 section 3.3.2). In bytes with the IP
/// header.
const COMMON_AFTER: u32 = 2;
const COMMON_PATH: u16 = 1280;
const SMALLEST_AFTER: u32 = 4;
const SMALLEST_PATH: u16 = 576;

/// The end of all time, which no clock reaches.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// How long a connection that was let go may make no progress: nobody would end it otherwise.
const RELEASED: Duration = Duration::from_secs(100);

impl Connection {
    /// When to call [`handle_timeout`](Self::handle_timeout), if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sending = self.phase.sending();
        let deadlines = [
            sending.and_then(|sending| sending.recovery.poll_timeout()),
            sending.and_then(|sending| sending.stall.deadline),
            self.patience_ends(),
            self.phase.receiving().and_then(|receiving| match receiving.ack {
                Ack::Delayed(at) => Some(at),
                Ack::None | Ack::Now(_) => None,
            }),
            self.keepalive_at(),
            self.state_ends(),
        ];
        // Asked several times for each segment: the least of six numbers, without a branch for each.
        let next = deadlines.map(|at| at.unwrap_or(NEVER)).into_iter().fold(NEVER, Instant::min);
        (next < NEVER).then_some(next)
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.state_ends()) {
            return self.close(End::Closed);
        }
        if due(self.patience_ends()) {
            return self.give_up();
        }
        if due(self.keepalive_at()) {
            let settings = self.opening.settings.keepalive.unwrap_or_default();
            if self.keepalives >= settings.probes {
                return self.give_up();
            }
            self.keepalives += 1;
            self.keepalive_due = true;
        }
        let silent = now.since(self.heard) >= SILENCE;
        if silent && self.phase.sending().is_some_and(|sending| sending.unanswered > RETRIES) {
            return self.give_up();
        }
        if let Some(Flow { sending, receiving }) = self.phase.flow_mut() {
            if matches!(receiving.ack, Ack::Delayed(at) if at <= now) {
                receiving.acknowledge_now(trace::Why::Acknowledgment);
            }
            if due(sending.stall.deadline) {
                sending.on_stall();
            }
        }
        let (retries, needs_silence) = match &self.phase {
            Phase::SynSent(_) => (SYN_RETRIES, false),
            Phase::SynReceived(_) => (SYN_ACK_RETRIES, false),
            _ => (RETRIES, true),
        };
        if let Some(sending) = self.phase.sending_mut()
            && due(sending.recovery.poll_timeout())
        {
            match sending.recovery.handle_timeout(now) {
                Expired::Nothing => {}
                Expired::Probe => sending.ask_tail(),
                Expired::Retransmit => {
                    self.ecn.reduce();
                    let backoffs = sending.recovery.backoffs();
                    if backoffs > retries && (silent || !needs_silence) {
                        self.give_up();
                    } else {
                        self.suspect_black_hole(now, backoffs);
                    }
                }
            }
        }
    }

    /// After several timeouts in a row full segments may be too long for the path, and nobody says so (RFC 4821
    /// section 7.7). Should they have been lost for another reason, smaller ones cost little.
    fn suspect_black_hole(&mut self, now: Instant, backoffs: u32) {
        let smallest = if self.opening.remote.is_ipv4() { SMALLEST_PATH } else { COMMON_PATH };
        let mtu = match backoffs {
            0..COMMON_AFTER => return,
            COMMON_AFTER..SMALLEST_AFTER => COMMON_PATH,
            _ => smallest,
        };
        // The oldest shows it: small ones are not lost for their length.
        let oldest = self.phase.sending().and_then(|sending| {
            let segment = sending.max_segment_size();
            sending.recovery.lost(segment).filter(|(range, _)| range.len() >= segment)
        });
        if oldest.is_some() && mtu < self.opening.path_mtu {
            self.set_path_mtu(now, mtu);
        }
    }

    /// The end of FIN-WAIT-2 or TIME-WAIT.
    fn state_ends(&self) -> Option<Instant> {
        match &self.phase {
            Phase::TimeWait(state) => Some(state.until),
            Phase::FinWait2(state) => state.until,
            _ => None,
        }
    }

    /// When bytes have gone unacknowledged for too long (RFC 5482).
    fn patience_ends(&self) -> Option<Instant> {
        let sending = self.phase.sending().filter(|sending| sending.is_busy())?;
        let timeout = self.opening.settings.user_timeout.or(self.released.then_some(RELEASED))?;
        Some(sending.progress + timeout)
    }

    fn keepalive_at(&self) -> Option<Instant> {
        let settings = self.opening.settings.keepalive?;
        let open = matches!(self.state(), State::Established | State::CloseWait | State::FinWait2);
        let idle = self.phase.sending().is_some_and(|sending| !sending.is_busy());
        (open && idle).then(|| {
            // A question that is asked and not yet sent must not be asked again at once.
            self.heard + settings.idle + settings.interval.max(Duration::from_millis(1)) * self.keepalives
        })
    }

    /// The peer does not answer.
    fn give_up(&mut self) {
        match self.soft {
            Some(problem) => self.fail(End::Unreachable(problem)),
            None => self.fail(End::TimedOut),
        }
    }
}
