//! Compressing what we send (RFC 7692, section 7.2.1).

use std::cell::RefCell;
use std::fmt;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::budget::{Budget, Taken};
use super::{Agreed, Direction};

/// Contexts that a thread keeps for connections without context takeover.
const SPARE_CONTEXTS: usize = 4;

/// The end of every flushed stream, which the extension leaves out.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses the messages of one direction of one connection.
pub struct Compressor {
    settings: Settings,
    context_takeover: bool,
    /// Only with context takeover, and only once there was a message.
    context: Option<(Compress, Taken)>,
    /// What the context counts against, and for how much.
    budget: Budget,
    context_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Settings {
    window_bits: u8,
    level: u8,
}

impl Compressor {
    /// A compressor for `direction`, which is [`Agreed::server`] at a server and [`Agreed::client`] at a client, with
    /// [`Agreed::level`].
    pub fn new(direction: Direction, level: u8) -> Self {
        Self {
            settings: Settings { window_bits: direction.zlib_window_bits(), level: level.clamp(1, 9) },
            context_takeover: direction.context_takeover,
            context: None,
            budget: Budget::process(),
            context_bytes: direction.compressor_bytes(),
        }
    }

    /// The same, with a budget of its own.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The compressor of a server that agreed on `agreed`.
    pub fn server(agreed: &Agreed) -> Self {
        Self::new(agreed.server, agreed.level)
    }

    /// The compressor of a client that agreed on `agreed`.
    pub fn client(agreed: &Agreed) -> Self {
        Self::new(agreed.client, agreed.level)
    }

    /// Compresses a whole message and appends what belongs into its frames to `output`. False, and nothing is done, when
    /// it would need a context that the budget does not have: the message is to be sent as it is.
    ///
    /// What was compressed must be sent, in this order, for with context takeover the next message may refer to it.
    #[must_use = "when it is false, the message was not compressed"]
    pub fn compress(&mut self, message: &[u8], output: &mut Vec<u8>) -> bool {
        if self.context_takeover {
            if self.context.is_none() {
                let Some(taken) = self.budget.take(self.context_bytes) else { return false };
                self.context = Some((self.settings.context(), taken));
            }
            if let Some((context, _)) = &mut self.context {
                deflate(context, message, output);
            }
        } else {
            let mut context = take_spare(self.settings);
            deflate(&mut context, message, output);
            put_spare(self.settings, context);
        }
        true
    }

    /// Forgets what earlier messages said: the next one refers to none of them.
    pub(crate) fn forget(&mut self) {
        self.context = None;
    }

    /// Whether the next message may refer back to earlier ones: if not, the same payload always gives the same bytes.
    pub fn has_context_takeover(&self) -> bool {
        self.context_takeover
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Compressor")
            .field("window_bits", &self.settings.window_bits)
            .field("level", &self.settings.level)
            .field("context_takeover", &self.context_takeover)
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn context(self) -> Compress {
        Compress::new_with_window_bits(Compression::new(u32::from(self.level)), false, self.window_bits)
    }
}

thread_local! {
    static SPARE: RefCell<Vec<(Settings, Compress)>> = const { RefCell::new(Vec::new()) };
}

fn take_spare(settings: Settings) -> Compress {
    SPARE.with_borrow_mut(|spare| match spare.iter().position(|(kept, _)| *kept == settings) {
        Some(index) => {
            let (_, mut context) = spare.swap_remove(index);
            context.reset();
            context
        }
        None => settings.context(),
    })
}

fn put_spare(settings: Settings, context: Compress) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() == SPARE_CONTEXTS {
            spare.remove(0);
        }
        spare.push((settings, context));
    });
}

fn deflate(context: &mut Compress, message: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    let consumed_before = context.total_in();
    loop {
        let consumed = (context.total_in() - consumed_before) as usize;
        let rest = &message[consumed..];
        output.reserve((rest.len() / 2).clamp(64, 64 * 1024));
        let status = context
            .compress_vec(rest, output, FlushCompress::Sync)
            .expect("a context is never used after its stream's end, the one fault there is");
        let finished = context.total_in() - consumed_before == message.len() as u64;
        // Room that was left means that the flush is complete, and so does having nothing more to say.
        if finished && (output.len() < output.capacity() || status == Status::BufError) {
            break;
        }
    }
    if output.len() == start {
        // Nothing to compress, and the stream was flushed already: an empty stored block without its length.
        output.push(0x00);
    } else {
        debug_assert!(output.ends_with(&TAIL), "a flushed stream ends with an empty stored block");
        output.truncate(output.len() - TAIL.len());
    }
}
