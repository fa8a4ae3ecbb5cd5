//! Telling routers which groups are listened to: IGMP (RFC 3376) and MLD (RFC 3810).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host::Instant;
use wire::{EtherType, MacAddress, Protocol, icmpv6, igmp, ipv4, mld};

use super::Layer;
use super::deliver::Arrived;
use crate::{Descending, InterfaceId, Transmit};

impl Layer {
    /// Tells the routers that a group is joined or left.
    pub(super) fn report(
        &mut self,
        now: Instant,
        on: InterfaceId,
        group: IpAddr,
        joined: bool,
        out: &mut dyn Transmit,
    ) {
        let Some(own) = self.mac(on) else { return };
        let interface = &self.interfaces[usize::from(on.0)];
        match group {
            IpAddr::V4(group) => {
                let address = interface.usable().find_map(|own| match own.cidr.address {
                    IpAddr::V4(v4) => Some(v4),
                    IpAddr::V6(_) => None,
                });
                let kind = if joined { igmp::RecordKind::ToExclude } else { igmp::RecordKind::ToInclude };
                let record = igmp::Record { kind, group, sources: igmp::Sources::NONE };
                let mut records = vec![0; record.len()];
                record.emit(&mut records);
                let Ok(records) = igmp::Records::new(&records) else { return };
                let message = igmp::Message::ReportV3(records);
                let mut bytes = vec![0; message.len()];
                message.emit(&mut bytes);
                let mut packet = Descending::new([&bytes, &[]]);
                let header = ipv4::Header {
                    traffic_class: 0xc0,
                    identification: 0,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: 1,
                    protocol: Protocol::IGMP,
                    source: address.unwrap_or(Ipv4Addr::UNSPECIFIED),
                    destination: igmp::V3_ROUTERS,
                    options: ipv4::Options::new(&[148, 4, 0, 0]).unwrap_or_default(),
                };
                header.emit(packet.push(header.len()), bytes.len());
                self.counters.packets_sent += 1;
                let Some(mac) = MacAddress::of_group(igmp::V3_ROUTERS.into()) else { return };
                self.frame(now, on, own, mac, EtherType::IPV4, &mut packet, out);
            }
            IpAddr::V6(group) => {
                let address = interface.usable().find_map(|own| match own.cidr.address {
                    IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
                    _ => None,
                });
                let kind = if joined { mld::RecordKind::ToExclude } else { mld::RecordKind::ToInclude };
                let record = mld::Record { kind, group, sources: mld::Sources::NONE };
                let mut records = vec![0; record.len()];
                record.emit(&mut records);
                let Ok(records) = mld::Records::new(&records) else { return };
                let message = icmpv6::Message::Multicast(mld::Message::ReportV2(records));
                let source = address.unwrap_or(Ipv6Addr::UNSPECIFIED);
                self.send_icmpv6(now, on, source, mld::V2_ROUTERS, None, &message, out);
            }
        }
    }

    /// A router asks who listens: answered at once, each group by its own report, at a bounded rate.
    fn report_all(&mut self, now: Instant, arrived: &Arrived<'_>, group: IpAddr, out: &mut dyn Transmit) {
        if !self.limit.allow(now, arrived.source) {
            return;
        }
        let groups = self.interfaces[usize::from(arrived.on.0)].groups.clone();
        for (joined, _) in groups {
            if joined.is_ipv4() == group.is_ipv4() && (group.is_unspecified() || joined == group) {
                self.report(now, arrived.on, joined, true, out);
            }
        }
    }

    pub(super) fn igmp(&mut self, now: Instant, arrived: &Arrived<'_>, out: &mut dyn Transmit) {
        match igmp::Message::parse(&arrived.packet[arrived.start..]) {
            Ok(igmp::Message::Query(query)) if arrived.ttl == 1 => {
                self.report_all(now, arrived, query.group.into(), out);
            }
            Ok(_) => {}
            Err(_) => self.counters.malformed += 1,
        }
    }

    pub(super) fn mld(
        &mut self,
        now: Instant,
        arrived: &Arrived<'_>,
        message: &mld::Message<'_>,
        out: &mut dyn Transmit,
    ) {
        let from_link = super::routing::is_link_local(arrived.source) && arrived.ttl == 1;
        if let mld::Message::Query(query) = message
            && from_link
        {
            self.report_all(now, arrived, query.group.into(), out);
        }
    }
}
