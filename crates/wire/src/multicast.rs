//! What IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) have alike: the same messages for addresses of different length.

use core::fmt;
use core::marker::PhantomData;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::Error;
use crate::bytes::{array, put, u16_at};

/// An address of either family.
pub trait Address: Copy + Eq + fmt::Debug + sealed::Sealed {
    /// Length in bytes.
    const LEN: usize;

    /// The address that `bytes` begin with.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    fn read(bytes: &[u8]) -> Self;

    /// Writes the address to the first bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    fn write(self, bytes: &mut [u8]);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for core::net::Ipv4Addr {}
    impl Sealed for core::net::Ipv6Addr {}
}

impl Address for Ipv4Addr {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        Self::from(array::<4>(bytes, 0))
    }

    fn write(self, bytes: &mut [u8]) {
        put(bytes, 0, &self.octets());
    }
}

impl Address for Ipv6Addr {
    const LEN: usize = 16;

    fn read(bytes: &[u8]) -> Self {
        Self::from(array::<16>(bytes, 0))
    }

    fn write(self, bytes: &mut [u8]) {
        put(bytes, 0, &self.octets());
    }
}

/// Source addresses as they are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources<'a, A> {
    bytes: &'a [u8],
    family: PhantomData<A>,
}

impl<'a, A: Address> Sources<'a, A> {
    /// No sources.
    pub const NONE: Self = Self { bytes: &[], family: PhantomData };

    /// Addresses as they are on the wire, one behind the other; `None` when the last is not whole, or they are more than
    /// 65,535.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let count = bytes.len() / A::LEN;
        (bytes.len().is_multiple_of(A::LEN) && count <= usize::from(u16::MAX))
            .then_some(Self { bytes, family: PhantomData })
    }

    /// `count` addresses from `bytes`, and what follows.
    fn split(bytes: &'a [u8], count: u16) -> Result<(Self, &'a [u8]), Error> {
        let (bytes, rest) = bytes.split_at_checked(usize::from(count) * A::LEN).ok_or(Error::Truncated)?;
        Ok((Self { bytes, family: PhantomData }, rest))
    }

    /// How many.
    pub fn count(self) -> u16 {
        (self.bytes.len() / A::LEN) as u16
    }

    /// The addresses.
    pub fn iter(self) -> impl Iterator<Item = A> + use<'a, A> {
        self.bytes.chunks_exact(A::LEN).map(A::read)
    }
}

/// What a query of IGMPv3 and MLDv2 has beyond one of the versions before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryExtension<'a, A> {
    /// Other routers shall not change their timers.
    pub suppress: bool,
    /// How often the router expects messages to be sent so that none is lost (QRV); zero: not said. Up to seven.
    pub robustness: u8,
    /// How often the router asks, as it stands (QQIC): [`query_interval`](Self::query_interval).
    pub interval_code: u8,
    /// The sources that are asked for; none: all.
    pub sources: Sources<'a, A>,
}

impl<'a, A: Address> QueryExtension<'a, A> {
    /// What stands behind the queried group.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (fixed, rest) = bytes.split_at_checked(4).ok_or(Error::Truncated)?;
        let (sources, _) = Sources::split(rest, u16_at(fixed, 2))?;
        let (suppress, robustness) = (fixed[0] & 8 != 0, fixed[0] & 7);
        Ok(Self { suppress, robustness, interval_code: fixed[1], sources })
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        4 + self.sources.bytes.len()
    }

    /// Writes what stands behind the queried group.
    pub(crate) fn emit(&self, bytes: &mut [u8]) {
        let Self { suppress, robustness, interval_code, sources } = self;
        put(bytes, 0, &[u8::from(*suppress) << 3 | robustness & 7, *interval_code]);
        put(bytes, 2, &sources.count().to_be_bytes());
        put(bytes, 4, sources.bytes);
    }

    /// How often the router asks, in seconds; zero: not said.
    pub fn query_interval(&self) -> u32 {
        decode(self.interval_code)
    }
}

/// A number of eight bits, of which large ones are a mantissa of four and an exponent of three (RFC 3376 section 4.1.1).
pub(crate) fn decode(code: u8) -> u32 {
    match code {
        0..128 => u32::from(code),
        _ => (u32::from(code & 0x0f) | 0x10) << ((code >> 4 & 7) + 3),
    }
}

/// What a host listens to, or how that has changed, for one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a, A> {
    /// What is said.
    pub kind: RecordKind,
    /// Of which group.
    pub group: A,
    /// And which sources.
    pub sources: Sources<'a, A>,
}

/// RFC 3376 section 4.2.12, RFC 3810 section 5.2.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Now: from these sources only.
    IsInclude,
    /// Now: from all but these sources.
    IsExclude,
    /// From now on from these sources only. None of them: the host leaves the group.
    ToInclude,
    /// From now on from all but these sources. None of them: the host joins the group.
    ToExclude,
    /// From these sources too.
    Allow,
    /// From these sources no more.
    Block,
    /// A number that is none of these: to be passed over.
    Other(u8),
}

impl RecordKind {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::IsInclude,
            2 => Self::IsExclude,
            3 => Self::ToInclude,
            4 => Self::ToExclude,
            5 => Self::Allow,
            6 => Self::Block,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::IsInclude => 1,
            Self::IsExclude => 2,
            Self::ToInclude => 3,
            Self::ToExclude => 4,
            Self::Allow => 5,
            Self::Block => 6,
            Self::Other(other) => other,
        }
    }
}

impl<'a, A: Address> Record<'a, A> {
    /// The record at the start of `bytes`, whose auxiliary data are passed over, and what follows.
    fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let (fixed, rest) = bytes.split_at_checked(4 + A::LEN).ok_or(Error::Truncated)?;
        let (sources, rest) = Sources::split(rest, u16_at(fixed, 2))?;
        let rest = rest.get(usize::from(fixed[1]) * 4..).ok_or(Error::Truncated)?;
        Ok((Self { kind: RecordKind::of(fixed[0]), group: A::read(&fixed[4..]), sources }, rest))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        4 + A::LEN + self.sources.bytes.len()
    }

    /// Never: a record has at least the group's address.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the record to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let Self { kind, group, sources } = self;
        put(bytes, 0, &[kind.number(), 0]);
        put(bytes, 2, &sources.count().to_be_bytes());
        group.write(&mut bytes[4..]);
        put(bytes, 4 + A::LEN, sources.bytes);
    }
}

/// The records of a report as they are on the wire, each of them whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a, A> {
    bytes: &'a [u8],
    count: u16,
    family: PhantomData<A>,
}

impl<'a, A: Address> Records<'a, A> {
    /// Records that were written one behind the other by [`Record::emit`].
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the last is not whole, [`Error::Malformed`] when they are more than 65,535.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let (mut rest, mut count) = (bytes, 0u16);
        while !rest.is_empty() {
            rest = Record::<A>::parse(rest)?.1;
            count = count.checked_add(1).ok_or(Error::Malformed)?;
        }
        Ok(Self { bytes, count, family: PhantomData })
    }

    /// What a report has behind its checksum: their number, and so many. What follows is passed over.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (fixed, bytes) = bytes.split_at_checked(4).ok_or(Error::Truncated)?;
        let (mut rest, count) = (bytes, u16_at(fixed, 2));
        for _ in 0..count {
            rest = Record::<A>::parse(rest)?.1;
        }
        Ok(Self { bytes: &bytes[..bytes.len() - rest.len()], count, family: PhantomData })
    }

    /// Length in bytes with their number.
    pub(crate) fn len(self) -> usize {
        4 + self.bytes.len()
    }

    pub(crate) fn emit(self, bytes: &mut [u8]) {
        put(bytes, 0, &[0, 0]);
        put(bytes, 2, &self.count.to_be_bytes());
        put(bytes, 4, self.bytes);
    }

    /// How many.
    pub fn count(self) -> u16 {
        self.count
    }

    /// The records one by one.
    pub fn iter(self) -> impl Iterator<Item = Record<'a, A>> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (record, tail) = Record::parse(rest).ok()?;
            rest = tail;
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn large_numbers_have_an_exponent() {
        assert_eq!([decode(0), decode(127), decode(128), decode(0xff)], [0, 127, 128, 31_744]);
    }

    #[test]
    fn auxiliary_data_are_passed_over() {
        let bytes =
            [4, 1, 0, 1, 224, 0, 0, 9, 10, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 3, 0, 0, 0, 224, 0, 0, 10];
        let records: Vec<_> = Records::<Ipv4Addr>::new(&bytes).unwrap().iter().collect();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].kind, records[0].group), (RecordKind::ToExclude, Ipv4Addr::new(224, 0, 0, 9)));
        assert_eq!(records[0].sources.iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 0, 1)]);
        assert_eq!((records[1].kind, records[1].sources), (RecordKind::ToInclude, Sources::NONE));
        assert_eq!(Records::<Ipv4Addr>::new(&bytes[..14]), Err(Error::Truncated));
    }

    fn round_trip<A: Address>(kind: u8, address: &[u8; 16], sources: &[u8]) {
        let sources = Sources::<A>::new(&sources[..sources.len() / A::LEN * A::LEN]).unwrap();
        let record = Record { kind: RecordKind::of(kind), group: A::read(address), sources };
        let mut bytes = vec![0xaa; record.len()];
        record.emit(&mut bytes);
        let records = Records::new(&bytes).unwrap();
        assert_eq!((records.count(), records.iter().next()), (1, Some(record)));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(kind: u8, address: [u8; 16], sources in proptest::collection::vec(any::<u8>(), 0..80)) {
            round_trip::<Ipv4Addr>(kind, &address, &sources);
            round_trip::<Ipv6Addr>(kind, &address, &sources);
        }

        #[test]
        fn any_bytes_are_records_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(records) = Records::<Ipv4Addr>::new(&bytes) {
                prop_assert_eq!(records.iter().count(), usize::from(records.count()));
            }
            if bytes.len() > 8 {
                bytes[..4].copy_from_slice(&[0, 0, 0, 2]);
                bytes[5..8].copy_from_slice(&[0, 0, 0]);
            }
            if let Ok(records) = Records::<Ipv4Addr>::parse(&bytes) {
                prop_assert_eq!(records.iter().count(), usize::from(records.count()));
                prop_assert!(records.len() <= bytes.len());
            }
        }
    }
}
