//! Status codes of a close frame (RFC 6455, section 7.4).

use std::fmt;

/// Why one side closes, as a number (RFC 6455, section 7.4, and IANA's registry of close codes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a kind of data that we do not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Never on the wire: stands for a close frame without a code.
    pub const NO_STATUS: Self = Self(1005);
    /// Never on the wire: stands for a connection that ended without a close frame.
    pub const ABNORMAL: Self = Self(1006);
    /// Text that is not UTF-8, or compressed data that does not inflate.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of ours that has no code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message or frame is longer than we take.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The client misses an extension that the server did not agree to.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// The server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The service restarts: connect again.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded: connect again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A gateway got no good answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Whether a close frame may carry this code: those that RFC 6455 and IANA define for the wire, and 3000 to 4999,
    /// which belong to libraries and applications.
    pub const fn is_allowed_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The code's name, where it has one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status",
            1006 => "abnormal closure",
            1007 => "invalid payload",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "mandatory extension",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS handshake failed",
            _ => return None,
        })
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(formatter, "{} ({name})", self.0),
            None => write!(formatter, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn the_table_of_codes_on_the_wire() {
        let allowed: Vec<u16> = (0..=u16::MAX).filter(|&code| CloseCode(code).is_allowed_on_wire()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(allowed, expected);
    }

    #[test]
    fn codes_print_with_their_names() {
        assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 (going away)");
        assert_eq!(CloseCode(4123).to_string(), "4123");
    }
}
