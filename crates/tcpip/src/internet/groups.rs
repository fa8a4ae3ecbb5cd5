//! Telling routers which groups are listened to: IGMP (RFC 3376) and MLD (RFC 3810), and their older versions where a
//! router of old asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use host::{Instant, Random};
use wire::{EtherType, MacAddress, Protocol, icmpv6, igmp, ipv4, ipv6, mld};

use super::Layer;
use super::deliver::Arrived;
use crate::link::Interface;
use crate::{Descending, InterfaceId, Transmit};

/// How often a change is told, for one report may be lost, and within which time again (RFC 3810 section 9.1 and 9.11).
const ROBUSTNESS: u8 = 2;
const AGAIN: Duration = Duration::from_secs(1);
/// For how long a router of an older version counts as there (RFC 3376 section 8.12, RFC 3810 section 9.12).
const OLD_ROUTER: Duration = Duration::from_secs(260);
/// Reports that are still to be sent on an interface. Groups are bounded, and of each there is one.
const MAX_PENDING: usize = 512;

/// What an interface has still to tell its routers.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pending: Vec<Pending>,
    /// Until when routers speak which older version.
    old_v4: Option<(Old, Instant)>,
    old_v6: Option<(Old, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    group: IpAddr,
    what: What,
    left: u8,
    at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Joined,
    Left,
    /// Nothing changed: a router has asked.
    Listening,
}

/// A version before the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    /// IGMPv1, which knows no leaving.
    First,
    /// IGMPv2, and MLDv1, which is made of it.
    Second,
}

impl Reports {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|report| report.at).min()
    }

    /// Tells of `group` at `at`, in place of what was to be told of it.
    fn put(&mut self, group: IpAddr, what: What, left: u8, at: Instant) {
        self.pending.retain(|report| report.group != group);
        if self.pending.len() < MAX_PENDING {
            self.pending.push(Pending { group, what, left, at });
        }
    }

    /// A router has asked for `group`: answered by `at`, unless that is told sooner anyway.
    fn asked(&mut self, group: IpAddr, at: Instant) {
        if !self.pending.iter().any(|report| report.group == group && report.at <= at) {
            self.put(group, What::Listening, 1, at);
        }
    }

    /// Somebody else has told of `group`: with the old versions that is enough.
    fn heard(&mut self, now: Instant, group: IpAddr) {
        if self.old(now, group.is_ipv4()).is_some() {
            self.pending.retain(|report| report.group != group || report.what != What::Listening);
        }
    }

    fn due(&mut self, now: Instant, random: &mut Random) -> Option<Pending> {
        let at = self.pending.iter().position(|report| report.at <= now)?;
        let due = self.pending[at];
        match due.left {
            0 | 1 => drop(self.pending.swap_remove(at)),
            _ => {
                let pending = &mut self.pending[at];
                pending.left -= 1;
                pending.at = now + within(AGAIN, random);
            }
        }
        Some(due)
    }

    fn old(&self, now: Instant, v4: bool) -> Option<Old> {
        let old = if v4 { self.old_v4 } else { self.old_v6 };
        old.filter(|(_, until)| *until > now).map(|(version, _)| version)
    }
}

/// A random part of a time.
fn within(time: Duration, random: &mut Random) -> Duration {
    Duration::from_nanos(random.below(time.as_nanos().clamp(1, u64::MAX.into()) as u64))
}

impl Layer {
    /// Tells the routers that a group is joined or left: now, and once more.
    pub(super) fn report(
        &mut self,
        now: Instant,
        on: InterfaceId,
        group: IpAddr,
        joined: bool,
        out: &mut dyn Transmit,
    ) {
        let what = if joined { What::Joined } else { What::Left };
        self.tell_group(now, on, group, what, out);
        let at = now + within(AGAIN, &mut self.random);
        self.interfaces[usize::from(on.0)].reports.put(group, what, ROBUSTNESS - 1, at);
    }

    /// The group of those that are asked for `address` (RFC 4291 section 2.7.1) is listened to with the first such address,
    /// and no longer after the last (RFC 4861 section 7.2.1). Switches that forward a group only to its members drop the
    /// questions for our address else.
    pub(super) fn solicited_node(&mut self, now: Instant, on: InterfaceId, address: IpAddr, joined: bool) {
        let interface = &mut self.interfaces[usize::from(on.0)];
        let IpAddr::V6(address) = address else { return };
        let group = ipv6::solicited_node(address);
        let members = interface.addresses.iter().filter(|own| match own.cidr.address {
            IpAddr::V6(own) => ipv6::solicited_node(own) == group,
            IpAddr::V4(_) => false,
        });
        if interface.mac().is_some() && members.count() == usize::from(joined) {
            let what = if joined { What::Joined } else { What::Left };
            interface.reports.put(group.into(), what, ROBUSTNESS, now);
        }
    }

    pub(super) fn report_due(&mut self, now: Instant, on: InterfaceId, out: &mut dyn Transmit) {
        while let Some(Pending { group, what, .. }) =
            self.interfaces[usize::from(on.0)].reports.due(now, &mut self.random)
        {
            let listens = self.interfaces[usize::from(on.0)].is_member(group);
            // What has changed since is told by its own report.
            if listens != (what == What::Left) {
                self.tell_group(now, on, group, what, out);
            }
        }
    }

    fn tell_group(
        &mut self,
        now: Instant,
        on: InterfaceId,
        group: IpAddr,
        what: What,
        out: &mut dyn Transmit,
    ) {
        let Some(own) = self.mac(on) else { return };
        let old = self.interfaces[usize::from(on.0)].reports.old(now, group.is_ipv4());
        match group {
            IpAddr::V4(group) => self.tell_v4(now, on, own, group, what, old, out),
            // What stays on the interface or the machine is nobody's business (RFC 3810 section 6).
            IpAddr::V6(group) if group.octets()[1] & 0xf < 2 => {}
            IpAddr::V6(group) => self.tell_v6(now, on, group, what, old, out),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn tell_v4(
        &mut self,
        now: Instant,
        on: InterfaceId,
        own: MacAddress,
        group: Ipv4Addr,
        what: What,
        old: Option<Old>,
        out: &mut dyn Transmit,
    ) {
        const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
        let kind = match what {
            What::Joined => igmp::RecordKind::ToExclude,
            What::Left => igmp::RecordKind::ToInclude,
            What::Listening => igmp::RecordKind::IsExclude,
        };
        let record = igmp::Record { kind, group, sources: igmp::Sources::NONE };
        let mut records = vec![0; record.len()];
        record.emit(&mut records);
        let Ok(records) = igmp::Records::new(&records) else { return };
        let (message, destination) = match (old, what) {
            (None, _) => (igmp::Message::ReportV3(records), igmp::V3_ROUTERS),
            (Some(Old::First), What::Left) => return,
            (Some(Old::Second), What::Left) => (igmp::Message::Leave(group), ALL_ROUTERS),
            (Some(Old::First), _) => (igmp::Message::ReportV1(group), group),
            (Some(Old::Second), _) => (igmp::Message::ReportV2(group), group),
        };
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes);
        let mut packet = Descending::new([&bytes, &[]]);
        let source = self.interfaces[usize::from(on.0)].usable().find_map(|own| match own.cidr.address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        });
        let header = ipv4::Header {
            traffic_class: 0xc0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 1,
            protocol: Protocol::IGMP,
            source: source.unwrap_or(Ipv4Addr::UNSPECIFIED),
            destination,
            options: ipv4::Options::new(&[148, 4, 0, 0]).unwrap_or_default(),
        };
        header.emit(packet.push(header.len()), bytes.len());
        self.counters.packets_sent += 1;
        let Some(mac) = MacAddress::of_group(destination.into()) else { return };
        self.frame(now, on, own, mac, EtherType::IPV4, &mut packet, out);
    }

    fn tell_v6(
        &mut self,
        now: Instant,
        on: InterfaceId,
        group: Ipv6Addr,
        what: What,
        old: Option<Old>,
        out: &mut dyn Transmit,
    ) {
        const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let kind = match what {
            What::Joined => mld::RecordKind::ToExclude,
            What::Left => mld::RecordKind::ToInclude,
            What::Listening => mld::RecordKind::IsExclude,
        };
        let record = mld::Record { kind, group, sources: mld::Sources::NONE };
        let mut records = vec![0; record.len()];
        record.emit(&mut records);
        let Ok(records) = mld::Records::new(&records) else { return };
        let (message, destination) = match (old, what) {
            (None, _) => (mld::Message::ReportV2(records), mld::V2_ROUTERS),
            (Some(_), What::Left) => (mld::Message::DoneV1(group), ALL_ROUTERS),
            (Some(_), _) => (mld::Message::ReportV1(group), group),
        };
        // Unspecified before there is an address that may be used (RFC 3590).
        let source = self.interfaces[usize::from(on.0)].usable().find_map(|own| match own.cidr.address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
            _ => None,
        });
        let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.send_icmpv6(now, on, source, destination, None, &icmpv6::Message::Multicast(message), out);
    }

    /// A router asks who listens: answered at a random time within what it allows, at a bounded rate.
    fn query(&mut self, now: Instant, arrived: &Arrived<'_>, group: IpAddr, old: Option<Old>, delay: u32) {
        if !self.limit.allow(now, arrived.source) {
            return;
        }
        let interface = &mut self.interfaces[usize::from(arrived.on.0)];
        if let Some(version) = old {
            let known =
                if group.is_ipv4() { &mut interface.reports.old_v4 } else { &mut interface.reports.old_v6 };
            *known = Some((version, now + OLD_ROUTER));
        }
        let delay = Duration::from_millis(delay.into());
        for joined in listened(interface) {
            if joined.is_ipv4() == group.is_ipv4() && (group.is_unspecified() || joined == group) {
                interface.reports.asked(joined, now + within(delay, &mut self.random));
            }
        }
    }

    pub(super) fn igmp(&mut self, now: Instant, arrived: &Arrived<'_>) {
        match igmp::Message::parse(&arrived.packet[arrived.start..]) {
            Ok(igmp::Message::Query(query)) if arrived.ttl == 1 => {
                let old = match (query.v3, query.max_response_code) {
                    (Some(_), _) => None,
                    (None, 0) => Some(Old::First),
                    (None, _) => Some(Old::Second),
                };
                self.query(now, arrived, query.group.into(), old, query.max_response_time());
            }
            Ok(igmp::Message::ReportV1(group) | igmp::Message::ReportV2(group)) => {
                self.interfaces[usize::from(arrived.on.0)].reports.heard(now, group.into());
            }
            Ok(_) => {}
            Err(_) => self.counters.malformed += 1,
        }
    }

    pub(super) fn mld(&mut self, now: Instant, arrived: &Arrived<'_>, message: &mld::Message<'_>) {
        let from_link = super::routing::is_link_local(arrived.source) && arrived.ttl == 1;
        match message {
            mld::Message::Query(query) if from_link => {
                let old = query.v2.is_none().then_some(Old::Second);
                self.query(now, arrived, query.group.into(), old, query.max_response_delay());
            }
            mld::Message::ReportV1(group) if from_link => {
                self.interfaces[usize::from(arrived.on.0)].reports.heard(now, (*group).into());
            }
            _ => {}
        }
    }
}

/// The groups that routers are told of.
fn listened(interface: &Interface) -> Vec<IpAddr> {
    let mut groups: Vec<_> = interface.groups().collect();
    for own in &interface.addresses {
        if let IpAddr::V6(own) = own.cidr.address {
            let group = IpAddr::V6(ipv6::solicited_node(own));
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    groups
}
