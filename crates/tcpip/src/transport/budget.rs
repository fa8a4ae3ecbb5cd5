//! How much memory the buffers of all sockets together may hold.

/// What each may hold whatever the others do: a segment. A connection has two buffers, and each has its own: else one
/// whose program writes much could not hear that its peer got it.
pub(super) const FLOOR: usize = 2048;

/// Who can take less than this waits for more.
pub(super) const MEAL: usize = FLOOR / 4;

/// What a handshake under way costs, which anybody can begin who can forge an address.
pub(super) const HALF_OPEN: usize = 2048;

/// Counts the bytes of all buffers.
///
/// A quarter is for what each holds up to [`FLOOR`]. Of the rest, one may hold as much as is left for all others
/// (dynamic thresholds, Choudhury and Hahne 1998): whoever takes much leaves as much, and as bytes come and go, those who
/// take all they get come to equal shares. Nothing is taken away that was given: where those who hold it never let go,
/// who comes later has its floor.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    held: usize,
    /// Of `held`, what is held beyond the floors.
    large: usize,
}

/// What a connection may hold, in bytes, with what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of what it sends, and of what it receives.
    pub(super) send: usize,
    pub(super) receive: usize,
    /// Of both together.
    pub(super) both: usize,
    /// There is little memory left: windows are not to grow.
    pub(super) scarce: bool,
}

impl Share {
    /// As much as it wants.
    pub const ALL: Self = Self { send: usize::MAX, receive: usize::MAX, both: usize::MAX, scarce: false };
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: 0, large: 0 }
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Half of it is taken: what is only for speed grows no more.
    pub(super) fn is_scarce(&self) -> bool {
        self.held > self.limit / 2
    }

    /// By how many bytes who holds `held` may grow.
    pub(super) fn room(&self, held: usize) -> usize {
        let shared = (self.limit - self.limit / 4).saturating_sub(self.large);
        let more = shared.saturating_sub(held.saturating_sub(FLOOR)) / 2;
        (FLOOR.saturating_sub(held) + more).min(self.limit.saturating_sub(self.held))
    }

    /// What a connection may hold that holds so much of what it sends and of what it receives.
    pub(super) fn share(&self, send: usize, receive: usize) -> Share {
        let left = self.limit.saturating_sub(self.held);
        Share {
            send: send + self.room(send),
            receive: receive + self.room(receive),
            both: send + receive + left,
            scarce: self.is_scarce(),
        }
    }

    /// Somebody held `before` bytes and holds `after` now.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.held = self.held - before + after;
        self.large = self.large - before.saturating_sub(FLOOR) + after.saturating_sub(FLOOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    proptest! {
        #[test]
        fn nobody_gets_what_is_not_there_and_each_gets_its_floor(
            steps in proptest::collection::vec((0usize..50, 0usize..LIMIT, any::<bool>()), 1..400),
        ) {
            let (mut budget, mut held) = (Budget::new(LIMIT), [0usize; 50]);
            for (who, bytes, gives_back) in steps {
                let before = held[who];
                held[who] = if gives_back { before - before.min(bytes) } else { before + bytes.min(budget.room(before)) };
                budget.change(before, held[who]);
                prop_assert_eq!(budget.held(), held.iter().sum::<usize>());
                prop_assert!(budget.held() <= LIMIT);
                for &held in &held {
                    prop_assert!(held >= FLOOR || budget.room(held) >= FLOOR - held, "50 floors are a quarter at most");
                }
            }
        }
    }

    #[test]
    fn who_takes_all_they_get_come_to_equal_shares() {
        let (mut budget, mut held) = (Budget::new(LIMIT), [0usize; 10]);
        for _ in 0..200 {
            for held in &mut held {
                let before = *held;
                *held -= before / 2;
                budget.change(before, *held);
                let before = *held;
                *held += budget.room(before);
                budget.change(before, *held);
            }
        }
        let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
        assert!(most - least < LIMIT / 40, "{held:?}");
        assert!(budget.is_scarce() && budget.room(0) > LIMIT / 40, "{}", budget.room(0));
    }
}
