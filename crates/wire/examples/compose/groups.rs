//! Who listens to which groups: IGMP and MLD, with the router alerts that they need.

use std::net::{Ipv4Addr, Ipv6Addr};

use fourwire_wire::{EtherType, MacAddress, Protocol, icmpv6, igmp, ipv4, ipv6, mld};

use crate::capture::{Capture, V6_A, icmpv6_bytes, v4_header, v4_packet, v6_header, v6_packet};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x1234);

pub(crate) fn write(capture: &mut Capture) {
    igmp(capture);
    mld(capture);
}

fn igmp(capture: &mut Capture) {
    let everybody = Ipv4Addr::new(224, 0, 0, 1);
    let addresses = [[10, 1, 1, 1], [10, 1, 1, 2]].concat();
    let sources = igmp::Sources::new(&addresses).expect("two addresses");
    let v3 = igmp::QueryExtension { suppress: true, robustness: 2, interval_code: 125, sources };
    let general = igmp::QueryExtension { suppress: false, sources: igmp::Sources::NONE, ..v3 };
    let any = Ipv4Addr::UNSPECIFIED;
    let mut records = Vec::new();
    for (kind, sources) in [
        (igmp::RecordKind::ToExclude, igmp::Sources::NONE),
        (igmp::RecordKind::Allow, sources),
        (igmp::RecordKind::ToInclude, igmp::Sources::NONE),
    ] {
        let record = igmp::Record { kind, group: GROUP, sources };
        let at = records.len();
        records.resize(at + record.len(), 0);
        record.emit(&mut records[at..]);
    }
    let records = igmp::Records::new(&records).expect("they were written here");
    let query =
        |max_response_code, group, v3| igmp::Message::Query(igmp::Query { max_response_code, group, v3 });
    let messages = [
        (everybody, query(100, any, None)),
        (GROUP, query(10, GROUP, None)),
        (everybody, query(100, any, Some(general))),
        (GROUP, query(10, GROUP, Some(v3))),
        (GROUP, igmp::Message::ReportV1(GROUP)),
        (GROUP, igmp::Message::ReportV2(GROUP)),
        (Ipv4Addr::new(224, 0, 0, 2), igmp::Message::Leave(GROUP)),
        (igmp::V3_ROUTERS, igmp::Message::ReportV3(records)),
    ];
    for (destination, message) in messages {
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes);
        let options = ipv4::Options::new(&[ipv4::RawOption::ROUTER_ALERT, 4, 0, 0]).expect("four bytes");
        let header = ipv4::Header { ttl: 1, destination, options, ..v4_header(Protocol::IGMP) };
        let group = MacAddress::of_group(destination.into()).expect("a group");
        capture.frame(EtherType::IPV4, group, &v4_packet(&header, &bytes), "IGMP");
    }
}

fn mld(capture: &mut Capture) {
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets();
    let sources = mld::Sources::new(&address).expect("one address");
    let v2 = mld::QueryExtension { suppress: false, robustness: 2, interval_code: 125, sources };
    let general = mld::QueryExtension { sources: mld::Sources::NONE, ..v2 };
    let mut records = Vec::new();
    for (kind, group, sources) in [
        (mld::RecordKind::ToExclude, ipv6::solicited_node(V6_A), mld::Sources::NONE),
        (mld::RecordKind::IsInclude, GROUP_V6, sources),
        (mld::RecordKind::Block, GROUP_V6, sources),
    ] {
        let record = mld::Record { kind, group, sources };
        let at = records.len();
        records.resize(at + record.len(), 0);
        record.emit(&mut records[at..]);
    }
    let records = mld::Records::new(&records).expect("they were written here");
    let query =
        |max_response_code, group, v2| mld::Message::Query(mld::Query { max_response_code, group, v2 });
    let messages = [
        (everybody, query(10_000, Ipv6Addr::UNSPECIFIED, None)),
        (everybody, query(10_000, Ipv6Addr::UNSPECIFIED, Some(general))),
        (GROUP_V6, query(1000, GROUP_V6, Some(v2))),
        (GROUP_V6, mld::Message::ReportV1(GROUP_V6)),
        (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2), mld::Message::DoneV1(GROUP_V6)),
        (mld::V2_ROUTERS, mld::Message::ReportV2(records)),
    ];
    for (destination, message) in messages {
        let header = ipv6::Header { hop_limit: 1, destination, ..v6_header(Protocol::HOP_BY_HOP) };
        let mut bytes = vec![0; 8];
        ipv6::emit_router_alert(&mut bytes, Protocol::ICMPV6, 0);
        bytes.extend(icmpv6_bytes(&header, &icmpv6::Message::Multicast(message)));
        let group = MacAddress::of_group(destination.into()).expect("a group");
        capture.frame(EtherType::IPV6, group, &v6_packet(&header, &bytes), "MLD");
    }
}
