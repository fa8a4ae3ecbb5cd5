//! Explicit congestion notification (RFC 3168 section 6.1).

use wire::tcp::Flags;

/// Whether a connection uses explicit congestion notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// Never.
    Off,
    /// When the other side asks for it.
    #[default]
    Passive,
    /// It is asked for, but not again when the SYN gets no answer: somebody on the way may drop it for that.
    On,
}

/// The ECN field of a packet that a router has marked.
const CONGESTION_EXPERIENCED: u8 = 3;

/// Of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notification {
    /// Our SYN asked for it.
    asked: bool,
    /// Both sides do it.
    agreed: bool,
    /// A marked packet came: each acknowledgment says so until the peer answers.
    echo: bool,
    /// The window was reduced: the next new data says so.
    reduced: bool,
}

impl Notification {
    /// What our SYN says; `first` is false when it is sent again.
    pub(super) fn ask(&mut self, setting: Ecn, first: bool) -> Flags {
        if setting == Ecn::On && first {
            self.asked = true;
            return Flags::ECE | Flags::CWR;
        }
        Flags::default()
    }

    /// The peer's SYN came.
    pub(super) fn meet(&mut self, setting: Ecn, syn: Flags) {
        self.agreed = setting != Ecn::Off && syn.contains(Flags::ECE | Flags::CWR);
    }

    /// The peer's SYN-ACK came.
    pub(super) fn answered(&mut self, syn_ack: Flags) {
        self.agreed = self.asked && syn_ack.contains(Flags::ECE) && !syn_ack.contains(Flags::CWR);
    }

    /// What our SYN-ACK says.
    pub(super) fn answer(&self) -> Flags {
        if self.agreed { Flags::ECE } else { Flags::default() }
    }

    /// A segment came in a packet with this ECN field, and is acceptable.
    pub(super) fn received(&mut self, flags: Flags, field: u8) {
        if flags.contains(Flags::CWR) {
            self.echo = false;
        }
        self.echo |= self.agreed && field == CONGESTION_EXPERIENCED;
    }

    /// What every segment that acknowledges says.
    pub(super) fn acknowledging(&self) -> Flags {
        if self.echo { Flags::ECE } else { Flags::default() }
    }

    /// Whether the flags of an acknowledgment ask for a smaller window.
    pub(super) fn is_echo(&self, flags: Flags) -> bool {
        self.agreed && flags.contains(Flags::ECE) && !flags.contains(Flags::SYN)
    }

    /// The window was reduced, for whatever reason.
    pub(super) fn reduce(&mut self) {
        self.reduced = self.agreed;
    }

    /// Data leaves for the first time: whether its packet may be marked, and what it says. Neither data sent again nor
    /// what carries no data may be marked (sections 6.1.4 to 6.1.6).
    pub(super) fn sending_new(&mut self) -> (bool, Flags) {
        let reduced = std::mem::take(&mut self.reduced);
        (self.agreed, if reduced { Flags::CWR } else { Flags::default() })
    }
}
