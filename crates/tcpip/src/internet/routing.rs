//! Where a packet goes next, and from which address.

use std::net::IpAddr;

use super::{Layer, SendError, common_bits};
use crate::InterfaceId;
use crate::link::{Address, AddressState};

/// The next step of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) interface: InterfaceId,
    /// The neighbour to hand it to, or the group or broadcast address.
    pub(super) next: IpAddr,
    /// It stays in this host.
    pub(super) looped: bool,
}

impl Layer {
    /// The next step to `destination`, by `only` where that is given.
    pub(super) fn hop(&self, destination: IpAddr, only: Option<InterfaceId>) -> Result<Hop, SendError> {
        if let Some(interface) = self.owner(destination) {
            return Ok(Hop { interface, next: destination, looped: true });
        }
        if destination.is_loopback() && !self.interfaces.is_empty() {
            return Ok(Hop { interface: InterfaceId(0), next: destination, looped: true });
        }
        if destination.is_unspecified() {
            return Err(SendError::NoRoute);
        }
        let is_allowed = |id: InterfaceId| only.is_none_or(|only| only == id);
        // Networks on the link, by the addresses there, and routes: the longest prefix of both.
        let mut best: Option<(u8, InterfaceId, Option<IpAddr>)> = None;
        if !destination.is_multicast() {
            for (id, interface) in self.ids().filter(|(id, _)| is_allowed(*id)) {
                for own in interface.usable().filter(|own| own.cidr.contains(destination)) {
                    if best.is_none_or(|(prefix, ..)| own.cidr.prefix > prefix) {
                        best = Some((own.cidr.prefix, id, None));
                    }
                }
            }
        }
        let route = self
            .routes
            .iter()
            .find(|route| is_allowed(route.interface) && route.network.contains(destination));
        if let Some(route) = route
            && best.is_none_or(|(prefix, ..)| route.network.prefix > prefix)
        {
            best = Some((route.network.prefix, route.interface, route.gateway));
        }
        let to_link = destination.is_multicast() || destination == IpAddr::from([255; 4]);
        match best {
            Some((_, interface, _)) if to_link => Ok(Hop { interface, next: destination, looped: false }),
            Some((_, interface, gateway)) => {
                Ok(Hop { interface, next: gateway.unwrap_or(destination), looped: false })
            }
            None if to_link || is_link_local(destination) => {
                let first = || (!self.interfaces.is_empty()).then_some(InterfaceId(0));
                let interface = only.or_else(first).ok_or(SendError::NoRoute)?;
                Ok(Hop { interface, next: destination, looped: false })
            }
            None => Err(SendError::NoRoute),
        }
    }

    /// The interface that has `address`.
    pub(super) fn owner(&self, address: IpAddr) -> Option<InterfaceId> {
        self.ids().find(|(_, interface)| interface.owns(address)).map(|(id, _)| id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = (InterfaceId, &crate::link::Interface)> {
        self.interfaces.iter().enumerate().map(|(at, interface)| (InterfaceId(at as u16), interface))
    }

    /// The address to send from (RFC 6724 section 5): of the interface that leads there.
    pub(super) fn source_for(&self, hop: &Hop, destination: IpAddr) -> Option<IpAddr> {
        if hop.looped {
            return Some(destination);
        }
        let on_way = self.interface(hop.interface)?.usable();
        let elsewhere = self.interfaces.iter().flat_map(crate::link::Interface::usable);
        let best = |addresses: &mut dyn Iterator<Item = &crate::link::Address>, may_be_local: bool| {
            addresses
                .filter(|own| own.cidr.address.is_ipv4() == destination.is_ipv4())
                .filter(|own| may_be_local || scope(own.cidr.address) > LINK)
                // The first of those that are alike.
                .fold(None::<(_, IpAddr)>, |best, own| {
                    let rank = rank(own, hop.next, destination);
                    match best {
                        Some((other, _)) if other >= rank => best,
                        _ => Some((rank, own.cidr.address)),
                    }
                })
                .map(|(_, address)| address)
        };
        best(&mut { on_way }, true).or_else(|| best(&mut { elsewhere }, false))
    }
}

/// How well an address suits as a source; the greater the better. Rules 2, 3, 5.5, 6 and 8 of RFC 6724 section 5; rule 1
/// and rule 5 are the caller's, and mobile or temporary addresses (rules 4 and 7) there are none.
fn rank(own: &Address, next: IpAddr, destination: IpAddr) -> (bool, i16, bool, bool, bool, u32) {
    let Address { cidr, state, router, .. } = own;
    let (own_scope, scope) = (scope(cidr.address), scope(destination));
    // Rule 2: the smallest scope that is not smaller than the destination's, else the greatest.
    let suits = own_scope >= scope;
    let closeness = if suits { -i16::from(own_scope) } else { i16::from(own_scope) };
    let preferred = *state == AddressState::Preferred;
    let of_next_hop = router.is_some_and(|router| IpAddr::V6(router) == next);
    let label = label(cidr.address) == label(destination);
    let common = common_bits(cidr.address, destination).unwrap_or(0).min(u32::from(cidr.prefix));
    (suits, closeness, preferred, of_next_hop, label, common)
}

const LINK: u8 = 2;
const GLOBAL: u8 = 14;

/// The scope of RFC 6724 section 3.1.
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 0xf,
        IpAddr::V4(v4) if v4.is_multicast() => {
            if v4.octets()[..3] == [224, 0, 0] {
                LINK
            } else {
                GLOBAL
            }
        }
        _ if is_link_local(address) || address.is_loopback() => LINK,
        _ => GLOBAL,
    }
}

/// The labels of the default policy table (RFC 6724 section 2.1).
fn label(address: IpAddr) -> u8 {
    let IpAddr::V6(v6) = address else { return 4 };
    match v6.segments() {
        _ if v6.is_loopback() => 0,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 5,
        [0x3ffe, ..] => 12,
        [first, ..] if first & 0xfe00 == 0xfc00 => 13,
        [first, ..] if first & 0xffc0 == 0xfec0 => 11,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        _ => 1,
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
