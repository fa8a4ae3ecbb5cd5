//! MLD and IGMP.

use fourwire_wire::{Error, igmp, mld};

use crate::line::Line;

pub(crate) fn mld(line: &mut Line, message: &mld::Message<'_>) -> Result<(), Error> {
    match message {
        mld::Message::Query(query) => {
            // Wireshark has another name for it in version 2.
            match query.v2 {
                Some(_) => line.add("icmpv6.mld.maximum_response_code", query.max_response_code),
                None => line.add("icmpv6.mld.maximum_response_delay", query.max_response_code),
            }
            line.add("icmpv6.mld.multicast_address", query.group);
            if let Some(v2) = query.v2 {
                line.flag("icmpv6.mld.flag.s", v2.suppress);
                line.add("icmpv6.mld.flag.qrv", v2.robustness);
                line.add("icmpv6.mld.qqi", v2.interval_code);
                line.add("icmpv6.mld.nb_sources", v2.sources.count());
                v2.sources.iter().for_each(|source| line.add("icmpv6.mld.source_address", source));
            }
        }
        mld::Message::ReportV1(group) | mld::Message::DoneV1(group) => {
            line.add("icmpv6.mld.maximum_response_delay", 0);
            line.add("icmpv6.mld.multicast_address", group);
        }
        mld::Message::ReportV2(records) => {
            line.add("icmpv6.mldr.nb_mcast_records", records.count());
            for record in records.iter() {
                line.add("icmpv6.mldr.mar.record_type", number(record.kind));
                line.add("icmpv6.mldr.mar.nb_sources", record.sources.count());
                line.add("icmpv6.mldr.mar.multicast_address", record.group);
                record.sources.iter().for_each(|source| line.add("icmpv6.mldr.mar.source_address", source));
            }
        }
    }
    Ok(())
}

pub(crate) fn igmp(line: &mut Line, message: &igmp::Message<'_>) -> Result<(), Error> {
    line.flag("igmp.checksum.status", true);
    let (kind, group) = match message {
        igmp::Message::Query(query) => {
            line.add("igmp.max_resp", query.max_response_code);
            if let Some(v3) = query.v3 {
                line.flag("igmp.s", v3.suppress);
                line.add("igmp.qrv", v3.robustness);
                line.add("igmp.qqic", v3.interval_code);
                line.add("igmp.num_src", v3.sources.count());
                v3.sources.iter().for_each(|source| line.add("igmp.saddr", source));
            }
            (0x11, query.group)
        }
        igmp::Message::ReportV1(group) => (0x12, *group),
        igmp::Message::ReportV2(group) => (0x16, *group),
        igmp::Message::Leave(group) => (0x17, *group),
        igmp::Message::ReportV3(records) => {
            line.add("igmp.type", 0x22);
            line.add("igmp.num_grp_recs", records.count());
            for record in records.iter() {
                line.add("igmp.record_type", number(record.kind));
                line.add("igmp.num_src", record.sources.count());
                line.add("igmp.maddr", record.group);
                record.sources.iter().for_each(|source| line.add("igmp.saddr", source));
            }
            return Ok(());
        }
    };
    if matches!(message, igmp::Message::ReportV2(_) | igmp::Message::Leave(_)) {
        line.add("igmp.max_resp", 0);
    }
    line.add("igmp.type", kind);
    line.add("igmp.maddr", group);
    Ok(())
}

fn number(kind: mld::RecordKind) -> u8 {
    match kind {
        mld::RecordKind::IsInclude => 1,
        mld::RecordKind::IsExclude => 2,
        mld::RecordKind::ToInclude => 3,
        mld::RecordKind::ToExclude => 4,
        mld::RecordKind::Allow => 5,
        mld::RecordKind::Block => 6,
        mld::RecordKind::Other(other) => other,
    }
}
