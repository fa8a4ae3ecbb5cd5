//! Multicast listener discovery (MLDv1, RFC 2710; MLDv2, RFC 3810): the messages as [`icmpv6`](crate::icmpv6) carries
//! them. They are sent with a hop limit of one, a link-local source, and a router alert.

use core::net::Ipv6Addr;

use crate::Error;
use crate::bytes::{array, put, u16_at};
pub use crate::multicast::{Address, QueryExtension, Record, RecordKind, Records, Sources};

/// A multicast listener discovery message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router asks who listens.
    Query(Query<'a>),
    /// Version 1: the host listens to the group.
    ReportV1(Ipv6Addr),
    /// Version 1: the host listens to the group no more.
    DoneV1(Ipv6Addr),
    /// Version 2: what the host listens to, or how that has changed. To ff02::16.
    ReportV2(Records<'a, Ipv6Addr>),
}

/// A router's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Until when to answer, as it stands: [`max_response_delay`](Self::max_response_delay).
    pub max_response_code: u16,
    /// Who listens to this group; the unspecified address: who listens to any?
    pub group: Ipv6Addr,
    /// What version 2 adds; `None` for a query of version 1.
    pub v2: Option<QueryExtension<'a, Ipv6Addr>>,
}

const QUERY: u8 = 130;
const REPORT_V1: u8 = 131;
const DONE_V1: u8 = 132;
const REPORT_V2: u8 = 143;

/// All routers that speak version 2 (RFC 3810 section 5.2.14).
pub const V2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

impl<'a> Message<'a> {
    /// Whether an ICMPv6 message of type `kind` is of multicast listener discovery.
    pub(crate) fn has_type(kind: u8) -> bool {
        matches!(kind, QUERY | REPORT_V1 | DONE_V1 | REPORT_V2)
    }

    /// The message of type `kind` with what follows the checksum. The code is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], and [`Error::Malformed`] for a query whose length is of no version (RFC 3810 section 8.1)
    /// or that asks for what is no group.
    pub(crate) fn parse(kind: u8, body: &'a [u8]) -> Result<Self, Error> {
        if kind == REPORT_V2 {
            return Records::parse(body).map(Self::ReportV2);
        }
        let (fixed, rest) = body.split_at_checked(20).ok_or(Error::Truncated)?;
        let group = Ipv6Addr::from(array::<16>(fixed, 4));
        let is_general = kind == QUERY && group.is_unspecified();
        if !group.is_multicast() && !is_general {
            return Err(Error::Malformed);
        }
        Ok(match kind {
            REPORT_V1 => Self::ReportV1(group),
            DONE_V1 => Self::DoneV1(group),
            _ => {
                let v2 = match rest.len() {
                    0 => None,
                    1..4 => return Err(Error::Malformed),
                    _ => Some(QueryExtension::parse(rest)?),
                };
                Self::Query(Query { max_response_code: u16_at(fixed, 0), group, v2 })
            }
        })
    }

    /// Length in bytes of what follows the checksum.
    pub(crate) fn body_len(&self) -> usize {
        match self {
            Self::Query(query) => 20 + query.v2.as_ref().map_or(0, QueryExtension::len),
            Self::ReportV1(_) | Self::DoneV1(_) => 20,
            Self::ReportV2(records) => records.len(),
        }
    }

    /// Writes what follows the checksum to `body`, which has that length, and says the message's type.
    pub(crate) fn emit(&self, body: &mut [u8]) -> u8 {
        let (kind, max_response_code, group) = match self {
            Self::Query(Query { max_response_code, group, v2 }) => {
                if let Some(extension) = v2 {
                    extension.emit(&mut body[20..]);
                }
                (QUERY, *max_response_code, group)
            }
            Self::ReportV1(group) => (REPORT_V1, 0, group),
            Self::DoneV1(group) => (DONE_V1, 0, group),
            Self::ReportV2(records) => {
                records.emit(body);
                return REPORT_V2;
            }
        };
        put(body, 0, &max_response_code.to_be_bytes());
        put(body, 2, &[0, 0]);
        put(body, 4, &group.octets());
        kind
    }
}

impl Query<'_> {
    /// Until when to answer, in milliseconds from now (RFC 3810 section 5.1.3).
    pub fn max_response_delay(&self) -> u32 {
        let code = self.max_response_code;
        match self.v2 {
            Some(_) if code >= 0x8000 => u32::from(code & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3),
            _ => u32::from(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;
    use crate::icmpv6;
    use proptest::prelude::*;
    use std::vec;

    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);

    #[test]
    fn a_host_joins_a_group() {
        let record = Record { kind: RecordKind::ToExclude, group: GROUP, sources: Sources::NONE };
        let mut records = [0xaa; 20];
        record.emit(&mut records);
        let report = icmpv6::Message::Multicast(Message::ReportV2(Records::new(&records).unwrap()));
        let mut bytes = vec![0xaa; report.len()];
        report.emit(&mut bytes, Sum::default());
        bytes[2..4].fill(0);
        let expected = [&[143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0][..], &GROUP.octets()].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_length_of_a_query_tells_its_version() {
        let mut body = vec![0; 24];
        body[0] = 0x80;
        let query = |len: usize| match Message::parse(QUERY, &body[..len]) {
            Ok(Message::Query(query)) => Ok((query.v2.is_some(), query.max_response_delay())),
            Ok(_) => unreachable!("a query is a query"),
            Err(error) => Err(error),
        };
        assert_eq!(query(20), Ok((false, 32_768)));
        assert_eq!(query(24), Ok((true, 32_768)), "the smallest number with an exponent");
        assert_eq!([query(21), query(22), query(23)], [Err(Error::Malformed); 3]);
        assert_eq!(query(19), Err(Error::Truncated));
        assert_eq!(Message::parse(REPORT_V1, &body[..20]), Err(Error::Malformed), "no group");
        body[23] = 1;
        assert_eq!(Message::parse(QUERY, &body), Err(Error::Truncated), "a source is missing");
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            kind in 0u8..4, max_response_code: u16, general: bool, suppress: bool, robustness in 0u8..8, interval_code: u8,
            sources in proptest::collection::vec(any::<[u8; 16]>(), 0..4), second: bool,
        ) {
            let sources = sources.concat();
            let sources = Sources::new(&sources).unwrap();
            let mut records = vec![0; 20];
            Record { kind: RecordKind::Block, group: GROUP, sources: Sources::NONE }.emit(&mut records);
            let v2 = second.then_some(QueryExtension { suppress, robustness, interval_code, sources });
            let message = match kind {
                0 => {
                    let group = if general { Ipv6Addr::UNSPECIFIED } else { GROUP };
                    Message::Query(Query { max_response_code, group, v2 })
                }
                1 => Message::ReportV1(GROUP),
                2 => Message::DoneV1(GROUP),
                _ => Message::ReportV2(Records::new(&records).unwrap()),
            };
            let message = icmpv6::Message::Multicast(message);
            let mut bytes = vec![0xaa; message.len()];
            message.emit(&mut bytes, Sum::default());
            prop_assert_eq!(icmpv6::Message::parse(&bytes, Sum::default()), Ok(message));
        }
    }
}
