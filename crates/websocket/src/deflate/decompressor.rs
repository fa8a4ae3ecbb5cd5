//! Decompressing what we receive (RFC 7692, section 7.2.2), within limits.

use std::cell::RefCell;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::budget::{Budget, Taken};
use super::{Agreed, Direction, Error};

/// Contexts that a thread keeps for connections without context takeover.
const SPARE_CONTEXTS: usize = 4;

/// What the sender left out at each message's end.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The smallest step, in bytes, in which the output grows.
const SMALLEST_STEP: usize = 1024;

/// How far a message may inflate. DEFLATE can reach 1032 : 1, which text and pictures never come near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatioLimit {
    /// Inflated bytes for each compressed byte of a message.
    pub ratio: u32,
    /// Inflated bytes of a message that are free of it: small messages may well be all of one byte.
    pub beyond: usize,
}

impl Default for RatioLimit {
    /// 200 : 1 beyond 256 KiB.
    fn default() -> Self {
        Self { ratio: 200, beyond: 256 * 1024 }
    }
}

/// Decompresses the messages of one direction of one connection, chunk by chunk.
///
/// After an error it is of no further use: the connection ends.
pub struct Decompressor {
    direction: Direction,
    ratio: RatioLimit,
    /// While a message is under way; between messages only with context takeover.
    context: Option<Decompress>,
    /// While the context is kept from one call to the next.
    taken: Option<Taken>,
    budget: Budget,
    /// Of the message that is under way, in bytes.
    consumed: usize,
    produced: usize,
    /// Whether the message's last byte so far ended a final block.
    at_stream_end: bool,
    /// The newest inflated bytes, up to a window: kept once the peer has been seen to use final blocks.
    history: Option<Vec<u8>>,
}

impl Decompressor {
    /// A decompressor for `direction`, which is [`Agreed::client`] at a server and [`Agreed::server`] at a client.
    pub fn new(direction: Direction, ratio: RatioLimit) -> Self {
        Self {
            direction,
            ratio,
            context: None,
            taken: None,
            budget: Budget::process(),
            consumed: 0,
            produced: 0,
            at_stream_end: false,
            history: None,
        }
    }

    /// The same, with a budget of its own.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The decompressor of a server that agreed on `agreed`.
    pub fn server(agreed: &Agreed, ratio: RatioLimit) -> Self {
        Self::new(agreed.client, ratio)
    }

    /// The decompressor of a client that agreed on `agreed`.
    pub fn client(agreed: &Agreed, ratio: RatioLimit) -> Self {
        Self::new(agreed.server, ratio)
    }

    /// Whether it holds a context just now: between messages only with context takeover.
    pub fn holds_context(&self) -> bool {
        self.context.is_some()
    }

    /// Inflates the next chunk of a message's payload, cut anywhere, and appends what comes of it to `output`, which
    /// still holds what the message's earlier chunks gave. `limit` is the largest inflated message, in bytes.
    ///
    /// # Errors
    ///
    /// See [`Error`]. `output` is never made to hold more than one byte beyond `limit`.
    pub fn decompress(&mut self, chunk: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        self.consumed = self.consumed.saturating_add(chunk.len());
        self.inflate(chunk, output, limit)?;
        self.keep()
    }

    /// The last chunk of a message, or all of it: [`decompress`](Self::decompress) and [`finish`](Self::finish) in one.
    ///
    /// # Errors
    ///
    /// As [`decompress`](Self::decompress).
    pub fn decompress_last(&mut self, chunk: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        self.consumed = self.consumed.saturating_add(chunk.len());
        self.inflate(chunk, output, limit)?;
        self.finish(output, limit)
    }

    /// The output is not kept from one call to the next: what a later message may refer to is remembered here.
    pub(crate) fn keep_history(&mut self) {
        self.history.get_or_insert_default();
    }

    /// Ends the message: inflates what was held back for it.
    ///
    /// # Errors
    ///
    /// As [`decompress`](Self::decompress).
    pub fn finish(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        // A sender that ended its message with a final block should have added an octet of zero (section 7.2.3.4). If
        // it did not, the tail would begin in the middle of a block.
        if !self.at_stream_end {
            self.inflate(&TAIL, output, limit)?;
        }
        self.consumed = 0;
        self.produced = 0;
        if !self.direction.context_takeover {
            self.at_stream_end = false;
            self.history = None;
            self.taken = None;
            if let Some(context) = self.context.take() {
                put_spare(self.direction.zlib_window_bits(), context);
            }
        }
        self.keep()
    }

    /// Counts the context, if there still is one, against the budget.
    fn keep(&mut self) -> Result<(), Error> {
        if self.context.is_some() && self.taken.is_none() {
            let bytes = self.direction.decompressor_bytes();
            self.taken = Some(self.budget.take(bytes).ok_or(Error::Budget)?);
        }
        Ok(())
    }

    fn inflate(&mut self, chunk: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        let bits = self.direction.zlib_window_bits();
        let mut rest = chunk;
        loop {
            if self.at_stream_end {
                if rest.is_empty() {
                    return Ok(());
                }
                self.begin_next_stream()?;
            }
            let context = self.context.get_or_insert_with(|| take_spare(bits));
            grow(output, limit.saturating_sub(self.produced), rest.len());
            let start = output.len();
            let consumed_before = context.total_in();
            let status =
                context.decompress_vec(rest, output, FlushDecompress::None).map_err(|_| Error::Corrupt)?;
            let consumed = (context.total_in() - consumed_before) as usize;
            rest = &rest[consumed..];

            self.produced += output.len() - start;
            if self.produced > limit {
                return Err(Error::TooLarge { limit });
            }
            if self.exceeds_ratio() {
                return Err(Error::Ratio { ratio: self.ratio.ratio });
            }
            if let Some(history) = &mut self.history {
                remember(history, &output[start..], 1 << bits);
            }
            match status {
                Status::StreamEnd => {
                    self.at_stream_end = true;
                    if self.history.is_none() {
                        let message = &output[output.len().saturating_sub(self.produced)..];
                        let mut history = Vec::new();
                        remember(&mut history, message, 1 << bits);
                        self.history = Some(history);
                    }
                }
                Status::Ok | Status::BufError => {
                    let full = output.len() == output.capacity();
                    if rest.is_empty() && !full {
                        return Ok(());
                    }
                    if consumed == 0 && output.len() == start && !full {
                        return Err(Error::Corrupt);
                    }
                }
            }
        }
    }

    /// After a final block the next one begins a new stream, but still with the window of the last: RFC 7692 knows only
    /// one window for a direction.
    fn begin_next_stream(&mut self) -> Result<(), Error> {
        self.at_stream_end = false;
        let bits = self.direction.zlib_window_bits();
        let context = self.context.get_or_insert_with(|| take_spare(bits));
        context.reset(false);
        match &self.history {
            Some(history) if !history.is_empty() => {
                context.set_dictionary(history).map(|_| ()).map_err(|_| Error::Corrupt)
            }
            _ => Ok(()),
        }
    }

    fn exceeds_ratio(&self) -> bool {
        self.produced > self.ratio.beyond
            && self.produced > self.consumed.saturating_mul(self.ratio.ratio as usize)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decompressor")
            .field("direction", &self.direction)
            .field("ratio", &self.ratio)
            .field("consumed", &self.consumed)
            .field("produced", &self.produced)
            .finish_non_exhaustive()
    }
}

/// Makes room for at least one byte, doubling what is there, but for no more than one byte past `allowed`.
fn grow(output: &mut Vec<u8>, allowed: usize, input: usize) {
    let spare = output.capacity() - output.len();
    if spare < 64 {
        let step = output.len().max(input.saturating_mul(4)).max(SMALLEST_STEP);
        output.reserve_exact(step.min(allowed.saturating_add(1)));
    }
}

/// Keeps the last `window` bytes of `history` and `newer`, one after the other.
fn remember(history: &mut Vec<u8>, newer: &[u8], window: usize) {
    let newer = &newer[newer.len().saturating_sub(window)..];
    let excess = (history.len() + newer.len()).saturating_sub(window);
    history.drain(..excess.min(history.len()));
    history.extend_from_slice(newer);
}

thread_local! {
    static SPARE: RefCell<Vec<(u8, Decompress)>> = const { RefCell::new(Vec::new()) };
}

fn take_spare(window_bits: u8) -> Decompress {
    SPARE.with_borrow_mut(|spare| match spare.iter().position(|(kept, _)| *kept == window_bits) {
        Some(index) => {
            let (_, mut context) = spare.swap_remove(index);
            context.reset(false);
            context
        }
        None => Decompress::new_with_window_bits(false, window_bits),
    })
}

fn put_spare(window_bits: u8, context: Decompress) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() == SPARE_CONTEXTS {
            spare.remove(0);
        }
        spare.push((window_bits, context));
    });
}
