//! The permessage-deflate extension (RFC 7692): its negotiation, and the two transformations of a message's payload.
//!
//! [`Options`] is what one side wants, [`Agreed`] what both sides settled on in the handshake. Of an agreement each side
//! makes one [`Compressor`] for what it sends and one [`Decompressor`] for what it receives. A context is allocated when
//! its first compressed message comes. Where it is not taken over from message to message it is borrowed from the
//! thread for as long as one message takes, so that an idle connection holds none.
//!
//! **Window bits of 8.** zlib cannot make a raw stream with a window of 256 bytes, so we compress with 512 there. Its
//! matcher never reaches back further than window - 262 bytes (258, the longest match, + 3, the shortest, + 1): 250, so
//! what comes out keeps the promise of 256.

mod budget;
mod compressor;
mod decompressor;
mod negotiate;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use compressor::Compressor;
pub use decompressor::{Decompressor, RatioLimit};
pub use negotiate::{InvalidResponse, Offer};

/// The extension's registered name.
pub const NAME: &str = "permessage-deflate";

/// What one side wants of the extension. A server takes these as the most that it grants; a client asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the server may refer back to earlier messages when it compresses. It compresses better, but holds about
    /// 300 KiB for each connection, and makes it impossible to compress a publication once for all its receivers.
    pub server_context_takeover: bool,
    /// Whether the client may refer back to earlier messages when it compresses. The server then holds the window, up
    /// to 48 KiB for each connection.
    pub client_context_takeover: bool,
    /// Base-2 logarithm of the largest window that the server compresses with: 8 to 15.
    pub server_max_window_bits: u8,
    /// Base-2 logarithm of the largest window that the client compresses with: 8 to 15. A server can limit only clients
    /// that say that they understand it.
    pub client_max_window_bits: u8,
    /// How hard we try: 1 (fast) to 9 (small).
    pub level: u8,
    /// Messages shorter than this many bytes are sent as they are.
    pub threshold: usize,
}

impl Default for Options {
    /// No context takeover either way, full windows, level 3, from 128 bytes up.
    fn default() -> Self {
        Self {
            server_context_takeover: false,
            client_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            level: 3,
            threshold: 128,
        }
    }
}

/// What both sides agreed on, and beside it our own choices, which the peer need not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How the server compresses what it sends.
    pub server: Direction,
    /// How the client compresses what it sends.
    pub client: Direction,
    /// [`Options::level`].
    pub level: u8,
    /// [`Options::threshold`], in bytes.
    pub threshold: usize,
}

/// How messages of one direction are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether a message may refer back to the messages before it.
    pub context_takeover: bool,
    /// Base-2 logarithm of the window that the sender keeps to: 8 to 15.
    pub window_bits: u8,
}

impl Agreed {
    /// About what a server keeps for a connection, in bytes.
    pub(crate) fn server_bytes(&self) -> usize {
        let compressor = if self.server.context_takeover { self.server.compressor_bytes() } else { 0 };
        let decompressor = if self.client.context_takeover { self.client.decompressor_bytes() } else { 0 };
        compressor + decompressor
    }
}

impl Direction {
    /// The bits that we give to zlib: see the module's remark on 8.
    fn zlib_window_bits(self) -> u8 {
        self.window_bits.clamp(9, 15)
    }

    /// About what a context for compressing takes, in bytes: the window twice, the chains through it, and two tables.
    fn compressor_bytes(self) -> usize {
        (4 << self.zlib_window_bits()) + (192 << 10)
    }

    /// About what a context for decompressing takes, in bytes: the window, and two trees.
    fn decompressor_bytes(self) -> usize {
        (1 << self.zlib_window_bits()) + (12 << 10)
    }
}

/// Why a compressed message could not be decompressed. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Close with 1007: it is not a DEFLATE stream, or it refers back further than its window.
    #[error("the compressed message is not a valid DEFLATE stream")]
    Corrupt,
    /// Close with 1009.
    #[error("the compressed message inflates to more than {limit} bytes; raise the message limit to take it")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Close with 1009.
    #[error(
        "the compressed message inflates to more than {ratio} times its size; raise the ratio limit to take it"
    )]
    Ratio {
        /// The limit: inflated bytes for each compressed byte.
        ratio: u32,
    },
    /// Close with 1013: the message is not whole, and its context has to be kept.
    #[error("no memory is left for compression contexts; raise the budget")]
    Budget,
}
