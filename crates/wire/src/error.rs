//! Why bytes are not what they should be.

use core::fmt;

/// Why bytes could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// They end before the header does, or before a length in it says.
    Truncated,
    /// A field contradicts another or the format: a wrong version, a length that is too small.
    Malformed,
    /// The checksum is wrong: they were damaged on their way.
    Checksum,
    /// They may be right, but are of a kind that is not offered: encrypted, or of another service.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "the bytes end before the packet does",
            Self::Malformed => "a field contradicts the format",
            Self::Checksum => "the checksum is wrong",
            Self::Unsupported => "the packet is of a kind that is not offered",
        })
    }
}

impl core::error::Error for Error {}
