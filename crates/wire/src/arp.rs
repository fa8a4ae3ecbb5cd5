//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::bytes::{array, put, u16_at};
use crate::{Error, MacAddress};

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Question or answer.
    pub operation: Operation,
    /// Who speaks, on the link.
    pub sender_mac: MacAddress,
    /// Who speaks.
    pub sender: Ipv4Addr,
    /// Who is asked or answered, on the link; of no meaning in a request.
    pub target_mac: MacAddress,
    /// Who is asked or answered.
    pub target: Ipv4Addr,
}

/// What an ARP packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender does.
    Reply,
}

/// Hardware type Ethernet, protocol type IPv4, their address lengths.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

impl Packet {
    /// Length in bytes.
    pub const LEN: usize = 28;

    /// The packet at the start of `bytes`; what follows is padding.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than 28 bytes, [`Error::Malformed`] for other hardware, another protocol, or an
    /// operation that is neither request nor reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.get(..Self::LEN).ok_or(Error::Truncated)?;
        if bytes[..6] != ETHERNET_IPV4 {
            return Err(Error::Malformed);
        }
        let operation = match u16_at(bytes, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Error::Malformed),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddress(array(bytes, 8)),
            sender: Ipv4Addr::from(array(bytes, 14)),
            target_mac: MacAddress(array(bytes, 18)),
            target: Ipv4Addr::from(array(bytes, 24)),
        })
    }

    /// Writes the packet to the first [`LEN`](Self::LEN) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { operation, sender_mac, sender, target_mac, target } = self;
        put(bytes, 0, &ETHERNET_IPV4);
        put(bytes, 6, &[0, if *operation == Operation::Request { 1 } else { 2 }]);
        put(bytes, 8, &sender_mac.0);
        put(bytes, 14, &sender.octets());
        put(bytes, 18, &target_mac.0);
        put(bytes, 24, &target.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_hardware_and_protocols_are_malformed() {
        let mut bytes = [0; Packet::LEN];
        bytes[..6].copy_from_slice(&ETHERNET_IPV4);
        bytes[7] = 1;
        assert!(Packet::parse(&bytes).is_ok());
        for at in 0..6 {
            let mut bytes = bytes;
            bytes[at] ^= 2;
            assert_eq!(Packet::parse(&bytes), Err(Error::Malformed), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(tail in proptest::collection::vec(any::<u8>(), 0..30), operation in 0u8..4) {
            let mut bytes = ETHERNET_IPV4.to_vec();
            bytes.extend([0, operation]);
            bytes.extend(tail);
            match Packet::parse(&bytes) {
                Ok(packet) => {
                    let mut again = bytes.clone();
                    packet.emit(&mut again);
                    prop_assert_eq!(again, bytes);
                }
                Err(Error::Truncated) => prop_assert!(bytes.len() < Packet::LEN),
                Err(_) => prop_assert!(operation == 0 || operation == 3),
            }
        }
    }
}
