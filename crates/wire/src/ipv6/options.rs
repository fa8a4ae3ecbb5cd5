//! What hop-by-hop and destination options headers carry (RFC 8200 section 4.2).

use super::chain::{ParameterProblem, Problem};
use crate::bytes::{put, u16_at};
use crate::{Error, Protocol};

/// The options of one extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
    pointer: u32,
}

/// One option, padding among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Its type, which says in its upper bits what to do with it when it is unknown.
    pub kind: u8,
    /// What follows its length.
    pub data: &'a [u8],
    /// Where in its packet it begins.
    pub pointer: u32,
}

/// What is to be done with a packet whose option is unknown: the upper two bits of the option's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pass over the option.
    Skip,
    /// Discard the packet in silence.
    Discard,
    /// Discard the packet and tell its sender.
    DiscardAndAnswer,
    /// Discard the packet and tell its sender, unless it was for a group.
    DiscardAndAnswerUnlessMulticast,
}

/// Options other than padding in one header (RFC 8504 section 5.3).
const MAX_OPTIONS: usize = 8;
/// Bytes of padding in a row: more than any alignment needs (RFC 8504 section 5.3).
const MAX_PADDING: usize = 7;

impl<'a> Options<'a> {
    /// `pointer` is where in its packet the first option begins.
    pub(super) fn new(bytes: &'a [u8], pointer: u32) -> Self {
        Self { bytes, pointer }
    }

    /// The options as they are on the wire, with their padding.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The options one by one. [`Error::Truncated`] in place of one that ends beyond its header, and nothing after it.
    pub fn iter(&self) -> impl Iterator<Item = Result<RawOption<'a>, Error>> + use<'a> {
        let Self { mut bytes, mut pointer } = *self;
        core::iter::from_fn(move || {
            let (&kind, rest) = bytes.split_first()?;
            let option = match (kind, rest.split_first()) {
                (RawOption::PAD_1, _) => Some((&[][..], 1)),
                (_, Some((&len, rest))) => {
                    rest.get(..usize::from(len)).map(|data| (data, 2 + usize::from(len)))
                }
                (_, None) => None,
            };
            let Some((data, len)) = option else {
                bytes = &[];
                return Some(Err(Error::Truncated));
            };
            let option = RawOption { kind, data, pointer };
            bytes = &bytes[len..];
            pointer += len as u32;
            Some(Ok(option))
        })
    }

    /// What a node that understands padding and router alert does with the options: the router alert's value when there
    /// is one. `to_group`: the packet's destination is multicast.
    ///
    /// # Errors
    ///
    /// The problem that ends the packet's way: an unknown option that says so, a malformed one, or more options or
    /// padding than RFC 8504 section 5.3 advises to take.
    pub fn check(&self, to_group: bool) -> Result<Option<u16>, Problem> {
        let (mut count, mut padding, mut router_alert) = (0, 0, None);
        for option in self.iter() {
            let RawOption { kind, data, pointer } = option.map_err(|_| Problem::Discard)?;
            if matches!(kind, RawOption::PAD_1 | RawOption::PAD_N) {
                padding += if kind == RawOption::PAD_1 { 1 } else { 2 + data.len() };
                if padding > MAX_PADDING {
                    return Err(Problem::Discard);
                }
                continue;
            }
            padding = 0;
            count += 1;
            if count > MAX_OPTIONS {
                return Err(Problem::Discard);
            }
            match (kind, data.len()) {
                (RawOption::ROUTER_ALERT, 2) => router_alert = Some(u16_at(data, 0)),
                (RawOption::ROUTER_ALERT, _) => return Err(Problem::Discard),
                _ => Self::refuse(kind, pointer, to_group)?,
            }
        }
        Ok(router_alert)
    }

    fn refuse(kind: u8, pointer: u32, to_group: bool) -> Result<(), Problem> {
        let answer = Problem::Answer { code: ParameterProblem::UnrecognizedOption, pointer };
        match Action::of(kind) {
            Action::Skip => Ok(()),
            Action::DiscardAndAnswer => Err(answer),
            Action::DiscardAndAnswerUnlessMulticast if !to_group => Err(answer),
            Action::Discard | Action::DiscardAndAnswerUnlessMulticast => Err(Problem::Discard),
        }
    }
}

impl RawOption<'_> {
    /// One byte of padding, the only option without a length.
    pub const PAD_1: u8 = 0;
    /// Two or more bytes of padding.
    pub const PAD_N: u8 = 1;
    /// Routers shall look at the packet (RFC 2711).
    pub const ROUTER_ALERT: u8 = 5;
    /// A payload of more than 65,535 bytes (RFC 2675): not taken.
    pub const JUMBO_PAYLOAD: u8 = 0xc2;

    /// Whether routers may change the data.
    pub fn may_change(&self) -> bool {
        self.kind & 0x20 != 0
    }
}

impl Action {
    /// That of an option of type `kind`.
    pub fn of(kind: u8) -> Self {
        match kind >> 6 {
            0 => Self::Skip,
            1 => Self::Discard,
            2 => Self::DiscardAndAnswer,
            _ => Self::DiscardAndAnswerUnlessMulticast,
        }
    }
}

/// Writes a hop-by-hop options header with a router alert (RFC 2711), as multicast listener discovery needs it, to the
/// first eight bytes of `bytes`. `value` is zero for multicast listener discovery.
///
/// # Panics
///
/// When `bytes` is shorter.
pub fn emit_router_alert(bytes: &mut [u8], next_header: Protocol, value: u16) {
    let [high, low] = value.to_be_bytes();
    put(bytes, 0, &[next_header.0, 0, RawOption::ROUTER_ALERT, 2, high, low, RawOption::PAD_N, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn check(bytes: &[u8], to_group: bool) -> Result<Option<u16>, Problem> {
        Options::new(bytes, 42).check(to_group)
    }

    #[test]
    fn an_unknown_option_says_itself_what_happens() {
        let answer = |at| Err(Problem::Answer { code: ParameterProblem::UnrecognizedOption, pointer: at });
        for (kind, alone, group) in [
            (0x1e, Ok(None), Ok(None)),
            (0x5e, Err(Problem::Discard), Err(Problem::Discard)),
            (0x9e, answer(43), answer(43)),
            (RawOption::JUMBO_PAYLOAD, answer(43), Err(Problem::Discard)),
        ] {
            let bytes = [RawOption::PAD_1, kind, 1, 7];
            assert_eq!(check(&bytes, false), alone, "{kind:#x}");
            assert_eq!(check(&bytes, true), group, "{kind:#x} to a group");
        }
    }

    #[test]
    fn padding_and_options_are_limited() {
        assert_eq!(check(&[0; 7], false), Ok(None));
        assert_eq!(check(&[0; 8], false), Err(Problem::Discard));
        assert_eq!(check(&[1, 6, 0, 0, 0, 0, 0, 0], false), Err(Problem::Discard));
        assert_eq!(check(&[1, 5, 0, 0, 0, 0, 0, 0x1e, 0, 0], false), Ok(None));
        assert_eq!(check(&[0x1e, 0].repeat(8), false), Ok(None));
        assert_eq!(check(&[0x1e, 0].repeat(9), false), Err(Problem::Discard));
    }

    #[test]
    fn a_router_alert_is_written_and_read() {
        let mut header = [0xaa; 8];
        emit_router_alert(&mut header, Protocol::ICMPV6, 0);
        assert_eq!(header, [58, 0, 5, 2, 0, 0, 1, 0]);
        assert_eq!(check(&header[2..], true), Ok(Some(0)));
        assert_eq!(check(&[5, 1, 0], true), Err(Problem::Discard));
    }

    proptest! {
        #[test]
        fn any_bytes_are_options_that_end(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let options: Vec<_> = Options::new(&bytes, 0).iter().collect();
            let mut at = 0;
            for option in options.iter().flatten() {
                prop_assert_eq!(option.pointer, at);
                at += if option.kind == RawOption::PAD_1 { 1 } else { 2 + option.data.len() as u32 };
            }
            prop_assert_eq!(options.iter().any(Result::is_err), at < bytes.len() as u32);
            let _ = check(&bytes, false);
        }
    }
}
