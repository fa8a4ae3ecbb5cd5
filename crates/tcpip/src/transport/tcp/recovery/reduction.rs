//! Proportional rate reduction (RFC 6937): what leaves in recovery follows what arrives, so that the window has come
//! down when recovery ends.

/// Of one recovery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reduction {
    /// Bytes in flight when recovery began (`RecoverFS`).
    flight: u32,
    /// Bytes delivered since (`prr_delivered`).
    delivered: u32,
    /// Bytes sent since (`prr_out`).
    out: u32,
    /// Bytes that may leave now.
    credit: u32,
}

impl Reduction {
    /// Recovery begins with `flight` bytes in flight.
    pub(super) fn begin(flight: u32) -> Self {
        Self { flight: flight.max(1), ..Self::default() }
    }

    /// Bytes that may leave now.
    pub(super) fn credit(&self) -> u32 {
        self.credit
    }

    /// Whether nothing has left since recovery began.
    pub(super) fn is_first(&self) -> bool {
        self.out == 0
    }

    /// `bytes` left, new or again.
    pub(super) fn sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
        self.credit = self.credit.saturating_sub(bytes);
    }

    /// `delivered` bytes more have arrived, and `pipe` are in flight now (section 3, with the slow start reduction
    /// bound).
    pub(super) fn arrived(&mut self, delivered: u32, pipe: u32, threshold: u32, segment: u32) {
        self.delivered = self.delivered.saturating_add(delivered);
        let threshold = u64::from(threshold);
        let pipe = u64::from(pipe);
        let sent = if pipe > threshold {
            let due = (u64::from(self.delivered) * threshold).div_ceil(u64::from(self.flight.max(1)));
            due.saturating_sub(u64::from(self.out))
        } else {
            let banked = self.delivered.saturating_sub(self.out).max(delivered);
            (threshold - pipe).min(u64::from(banked) + u64::from(segment))
        };
        // The first segment that is sent again need not wait for credit.
        let least = if self.out == 0 { u64::from(segment) } else { 0 };
        self.credit = u32::try_from(sent.max(least)).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6937 section 3.1, first example: twenty in flight, one lost, the threshold is ten.
    #[test]
    fn one_loss_of_twenty_sends_every_other_time() {
        let mut reduction = Reduction::begin(20);
        let mut pipe = 18;
        let mut sent = 0;
        for _ in 0..17 {
            pipe -= 1;
            reduction.arrived(1, pipe, 10, 1);
            let now = reduction.credit();
            reduction.sent(now);
            (pipe, sent) = (pipe + now, sent + now);
        }
        assert!((9..=11).contains(&pipe), "the pipe has come down to the threshold: {pipe}");
        assert!((8..=11).contains(&sent), "{sent}");
    }

    /// The second: fifteen lost in a row, the pipe is below the threshold, and grows by one with each that arrives.
    #[test]
    fn a_burst_of_losses_is_repaired_as_in_slow_start() {
        let mut reduction = Reduction::begin(20);
        for pipe in 4..7 {
            reduction.arrived(1, pipe, 10, 1);
            assert_eq!(reduction.credit(), 2);
            reduction.sent(2);
        }
    }
}
