//! What both ICMPs have alike.

/// An echo message, question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Who asks, as it tells itself from others.
    pub identifier: u16,
    /// Which question.
    pub sequence: u16,
    /// What the answer brings back.
    pub data: &'a [u8],
}

/// The packet that an error quotes. RFC 4884 lets other things follow it: `len` bytes are the packet, at least 128,
/// when it is not zero.
pub(crate) fn quoted(body: &[u8], len: usize) -> &[u8] {
    if len < 128 { body } else { body.get(..len).unwrap_or(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_quoted_packet_is_not_of_it() {
        let body = [0; 140];
        assert_eq!(quoted(&body, 0).len(), 140);
        assert_eq!(quoted(&body, 128).len(), 128);
        assert_eq!(quoted(&body, 144).len(), 140, "a length that is not true");
        assert_eq!(quoted(&body, 8).len(), 140, "no quoted packet is that short");
    }
}
