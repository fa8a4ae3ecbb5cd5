//! IGMP (RFC 1112, RFC 2236, RFC 3376): which groups the hosts of an IPv4 link listen to. Sent with a time to live of one
//! and, from version 2 on, a router alert.

use core::net::Ipv4Addr;

use crate::Error;
use crate::bytes::{array, put};
use crate::checksum::Sum;
use crate::multicast::decode;
pub use crate::multicast::{Address, QueryExtension, Record, RecordKind, Records, Sources};

/// An IGMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router asks who listens.
    Query(Query<'a>),
    /// Version 1: the host listens to the group.
    ReportV1(Ipv4Addr),
    /// Version 2: the host listens to the group.
    ReportV2(Ipv4Addr),
    /// Version 2: the host listens to the group no more.
    Leave(Ipv4Addr),
    /// Version 3: what the host listens to, or how that has changed. To 224.0.0.22.
    ReportV3(Records<'a, Ipv4Addr>),
}

/// A router's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Until when to answer, as it stands: [`max_response_time`](Self::max_response_time). Zero in version 1.
    pub max_response_code: u8,
    /// Who listens to this group; the unspecified address: who listens to any?
    pub group: Ipv4Addr,
    /// What version 3 adds; `None` for a query of version 1 or 2.
    pub v3: Option<QueryExtension<'a, Ipv4Addr>>,
}

const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;

/// All routers that speak version 3 (RFC 3376 section 4.2.14).
pub const V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

impl<'a> Message<'a> {
    /// Length in bytes of a message of version 1 or 2.
    pub const MIN_LEN: usize = 8;

    /// The message that `bytes`, the whole payload of a packet, are.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::Checksum`], and [`Error::Malformed`] for a type that is none of these, a query whose
    /// length is of no version (RFC 3376 section 7.1), or what is no group.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (fixed, rest) = bytes.split_at_checked(Self::MIN_LEN).ok_or(Error::Truncated)?;
        if !Sum::of(bytes).is_whole() {
            return Err(Error::Checksum);
        }
        let kind = fixed[0];
        if kind == REPORT_V3 {
            return Records::parse(&bytes[4..]).map(Self::ReportV3);
        }
        let group = Ipv4Addr::from(array::<4>(fixed, 4));
        let is_general = kind == QUERY && group.is_unspecified();
        if !group.is_multicast() && !is_general {
            return Err(Error::Malformed);
        }
        Ok(match kind {
            QUERY => {
                let v3 = match rest.len() {
                    0 => None,
                    1..4 => return Err(Error::Malformed),
                    _ => Some(QueryExtension::parse(rest)?),
                };
                Self::Query(Query { max_response_code: fixed[1], group, v3 })
            }
            REPORT_V1 => Self::ReportV1(group),
            REPORT_V2 => Self::ReportV2(group),
            LEAVE => Self::Leave(group),
            _ => return Err(Error::Malformed),
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Query(query) => Self::MIN_LEN + query.v3.as_ref().map_or(0, QueryExtension::len),
            Self::ReportV1(_) | Self::ReportV2(_) | Self::Leave(_) => Self::MIN_LEN,
            Self::ReportV3(records) => 4 + records.len(),
        }
    }

    /// Never: a message has at least eight bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message, with its checksum, to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..self.len()];
        let (kind, max_response_code, group) = match self {
            Self::Query(Query { max_response_code, group, v3 }) => {
                if let Some(extension) = v3 {
                    extension.emit(&mut bytes[8..]);
                }
                (QUERY, *max_response_code, Some(group))
            }
            Self::ReportV1(group) => (REPORT_V1, 0, Some(group)),
            Self::ReportV2(group) => (REPORT_V2, 0, Some(group)),
            Self::Leave(group) => (LEAVE, 0, Some(group)),
            Self::ReportV3(records) => {
                records.emit(&mut bytes[4..]);
                (REPORT_V3, 0, None)
            }
        };
        if let Some(group) = group {
            put(bytes, 4, &group.octets());
        }
        put(bytes, 0, &[kind, max_response_code, 0, 0]);
        let checksum = Sum::of(bytes).checksum();
        put(bytes, 2, &checksum.to_be_bytes());
    }
}

impl Query<'_> {
    /// Until when to answer, in milliseconds from now (RFC 3376 section 4.1.1). A router of version 1 does not say: ten
    /// seconds (RFC 2236 section 4).
    pub fn max_response_time(&self) -> u32 {
        100 * match (self.v3, self.max_response_code) {
            (None, 0) => 100,
            (None, code) => u32::from(code),
            (Some(_), code) => decode(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

    fn written(message: Message<'_>) -> vec::Vec<u8> {
        let mut bytes = vec![0xaa; message.len()];
        message.emit(&mut bytes);
        bytes
    }

    #[test]
    fn a_report_of_version_2_is_known() {
        assert_eq!(written(Message::ReportV2(GROUP)), [0x16, 0, 0xf8, 0xfa, 239, 1, 2, 3]);
    }

    #[test]
    fn a_query_says_when_to_answer() {
        let delay = |max_response_code, v3: bool| {
            let sources = Sources::NONE;
            let extension = QueryExtension { suppress: false, robustness: 2, interval_code: 125, sources };
            Query { max_response_code, group: GROUP, v3: v3.then_some(extension) }.max_response_time()
        };
        assert_eq!(delay(100, false), 10_000);
        assert_eq!(delay(0, false), 10_000, "version 1");
        assert_eq!(delay(200, false), 20_000);
        assert_eq!(delay(200, true), (8 | 16) * 128 * 100);
    }

    #[test]
    fn what_is_no_group_is_malformed() {
        for kind in [REPORT_V1, REPORT_V2, LEAVE, 0x99] {
            let mut bytes = [kind, 0, 0, 0, 10, 0, 0, 1];
            let checksum = Sum::of(&bytes).checksum().to_be_bytes();
            bytes[2..4].copy_from_slice(&checksum);
            assert_eq!(Message::parse(&bytes), Err(Error::Malformed));
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            kind in 0u8..5, max_response_code: u8, general: bool, suppress: bool, robustness in 0u8..8, interval_code: u8,
            sources in proptest::collection::vec(any::<[u8; 4]>(), 0..4), third: bool,
        ) {
            let sources = sources.concat();
            let sources = Sources::new(&sources).unwrap();
            let record = Record { kind: RecordKind::Allow, group: GROUP, sources };
            let mut records = vec![0; record.len()];
            record.emit(&mut records);
            let v3 = third.then_some(QueryExtension { suppress, robustness, interval_code, sources });
            let message = match kind {
                0 => {
                    let group = if general { Ipv4Addr::UNSPECIFIED } else { GROUP };
                    Message::Query(Query { max_response_code, group, v3 })
                }
                1 => Message::ReportV1(GROUP),
                2 => Message::ReportV2(GROUP),
                3 => Message::Leave(GROUP),
                _ => Message::ReportV3(Records::new(&records).unwrap()),
            };
            let mut bytes = written(message);
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
            bytes[1] ^= 1;
            prop_assert_eq!(Message::parse(&bytes), Err(Error::Checksum));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(kind in 0x10u8..0x24, mut bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if bytes.len() >= 8 {
                bytes[0] = kind;
                bytes[2..4].fill(0);
                bytes[4] = 224;
                let checksum = Sum::of(&bytes).checksum().to_be_bytes();
                bytes[2..4].copy_from_slice(&checksum);
            }
            if let Ok(message) = Message::parse(&bytes) {
                let again = written(message);
                prop_assert_eq!(Message::parse(&again), Ok(message));
            }
        }
    }
}
