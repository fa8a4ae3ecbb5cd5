//! What the codes of ICMP for IPv4 mean.

/// Why a packet cannot be delivered (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No way to the network.
    Network,
    /// No way to the host.
    Host,
    /// The host does not speak the protocol.
    Protocol,
    /// Nobody listens at the port.
    Port,
    /// The packet is too long for a link and must not be cut.
    FragmentationNeeded {
        /// What that link takes, in bytes (RFC 1191); zero from a router that does not say.
        next_hop_mtu: u16,
    },
    /// The source route fails.
    SourceRouteFailed,
    /// Nobody knows the network.
    NetworkUnknown,
    /// Nobody knows the host.
    HostUnknown,
    /// An administrator forbids the network.
    NetworkProhibited,
    /// An administrator forbids the host.
    HostProhibited,
    /// A filter forbids the packet.
    Prohibited,
    /// A code that is none of these.
    Other(u8),
}

impl Unreachable {
    pub(super) fn of(code: u8, next_hop_mtu: u16) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            4 => Self::FragmentationNeeded { next_hop_mtu },
            5 => Self::SourceRouteFailed,
            6 => Self::NetworkUnknown,
            7 => Self::HostUnknown,
            9 => Self::NetworkProhibited,
            10 => Self::HostProhibited,
            13 => Self::Prohibited,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Protocol => 2,
            Self::Port => 3,
            Self::FragmentationNeeded { .. } => 4,
            Self::SourceRouteFailed => 5,
            Self::NetworkUnknown => 6,
            Self::HostUnknown => 7,
            Self::NetworkProhibited => 9,
            Self::HostProhibited => 10,
            Self::Prohibited => 13,
            Self::Other(other) => other,
        }
    }

    pub(super) fn next_hop_mtu(self) -> u16 {
        match self {
            Self::FragmentationNeeded { next_hop_mtu } => next_hop_mtu,
            _ => 0,
        }
    }
}

/// Where time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeExceeded {
    /// No router may forward the packet any more.
    InTransit,
    /// Not all fragments came.
    Reassembly,
    /// A code that is none of these.
    Other(u8),
}

impl TimeExceeded {
    pub(super) fn of(code: u8) -> Self {
        match code {
            0 => Self::InTransit,
            1 => Self::Reassembly,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::InTransit => 0,
            Self::Reassembly => 1,
            Self::Other(other) => other,
        }
    }
}

/// For which packets there is a shorter way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// For those to the network; counts as to the host (RFC 1122 section 3.2.2.2).
    Network,
    /// For those to the host.
    Host,
    /// A code that is none of these, or looks at the type of service.
    Other(u8),
}

impl Redirect {
    pub(super) fn of(code: u8) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Host,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Other(other) => other,
        }
    }
}
