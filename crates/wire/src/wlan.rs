//! 802.11 data frames (IEEE 802.11 clause 9.3.2), without the frame check sequence ([`fcs`](crate::fcs)). Their payload
//! begins with [`llc`](crate::llc).

use crate::bytes::{array, put};
use crate::{Error, MacAddress};

/// The header of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From where to where.
    pub addresses: Addresses,
    /// The frame carries nothing: it only says whether its sender is about to sleep.
    pub is_null: bool,
    /// This is not the frame's last fragment.
    pub more_fragments: bool,
    /// The frame was sent before, with the same sequence number.
    pub retry: bool,
    /// Its sender sleeps from now on.
    pub power_save: bool,
    /// There is more for a station that sleeps.
    pub more_data: bool,
    /// For how long the medium is taken after this frame, in microseconds; with the uppermost bit, something else.
    pub duration: u16,
    /// Counts frames; 12 bits.
    pub sequence: u16,
    /// Counts fragments of a frame; four bits.
    pub fragment: u8,
    /// Quality of service, when the sender speaks of it.
    pub qos: Option<Qos>,
}

/// The addresses of a data frame, by its way (IEEE 802.11 table 9-60). The basic service set's address is its access
/// point's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Between two stations without an access point.
    Direct {
        /// To whom.
        destination: MacAddress,
        /// From whom.
        source: MacAddress,
        /// The stations' common name.
        bssid: MacAddress,
    },
    /// From a station to the access point.
    ToAccessPoint {
        /// The access point.
        bssid: MacAddress,
        /// From whom: the station.
        source: MacAddress,
        /// To whom in the end.
        destination: MacAddress,
    },
    /// From the access point to a station.
    FromAccessPoint {
        /// To whom: the station, or a group.
        destination: MacAddress,
        /// The access point.
        bssid: MacAddress,
        /// From whom at the beginning.
        source: MacAddress,
    },
    /// From one access point to another.
    Relayed {
        /// The access point that hears it.
        receiver: MacAddress,
        /// The access point that says it.
        transmitter: MacAddress,
        /// To whom in the end.
        destination: MacAddress,
        /// From whom at the beginning.
        source: MacAddress,
    },
}

/// The quality of service control field (IEEE 802.11 clause 9.2.4.5). A payload of several packets in one frame (A-MSDU)
/// is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// The traffic identifier, which is the user priority for 0 to 7; four bits.
    pub tid: u8,
    /// The end of service period, or that bit 4 says something else.
    pub end_of_service: bool,
    /// How the frame is acknowledged; two bits, zero for at once.
    pub ack_policy: u8,
    /// Queue size or time wanted.
    pub queue: u8,
    /// The HT control field, when it is there.
    pub ht_control: Option<[u8; 4]>,
}

const DATA: u8 = 2 << 2;
const NO_DATA: u8 = 0x40;
const QOS: u8 = 0x80;
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const MORE_FRAGMENTS: u8 = 0x04;
const RETRY: u8 = 0x08;
const POWER_SAVE: u8 = 0x10;
const MORE_DATA: u8 = 0x20;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
const AGGREGATE: u8 = 0x80;

impl Header {
    /// Length in bytes of the longest.
    pub const MAX_LEN: usize = 36;

    /// The header of `frame` and its payload. Acknowledgments and polls of contention-free periods, which nobody has built,
    /// are not distinguished.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `frame` ends before its header, [`Error::Malformed`] for another protocol version,
    /// [`Error::Unsupported`] for management and control frames, and for a payload that is encrypted or holds several
    /// packets.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Error> {
        let &[control, flags, ..] = frame else { return Err(Error::Truncated) };
        if control & 3 != 0 {
            return Err(Error::Malformed);
        }
        if control & 0x0c != DATA || flags & PROTECTED != 0 {
            return Err(Error::Unsupported);
        }
        let is_relayed = flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS;
        let addresses_end = if is_relayed { 30 } else { 24 };
        let (fixed, rest) = frame.split_at_checked(addresses_end).ok_or(Error::Truncated)?;
        let (qos, payload) = match control & QOS {
            0 => (None, rest),
            _ => Qos::parse(rest, flags & ORDER != 0).map(|(qos, rest)| (Some(qos), rest))?,
        };
        let u16_le = |at| u16::from_le_bytes(array(fixed, at));
        let sequence = u16_le(22);
        let parsed = Self {
            addresses: Addresses::parse(fixed, flags),
            is_null: control & NO_DATA != 0,
            more_fragments: flags & MORE_FRAGMENTS != 0,
            retry: flags & RETRY != 0,
            power_save: flags & POWER_SAVE != 0,
            more_data: flags & MORE_DATA != 0,
            duration: u16_le(2),
            sequence: sequence >> 4,
            fragment: (sequence & 0x0f) as u8,
            qos,
        };
        Ok((parsed, payload))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        let qos = match self.qos {
            None => 0,
            Some(Qos { ht_control: None, .. }) => 2,
            Some(Qos { ht_control: Some(_), .. }) => 6,
        };
        qos + if matches!(self.addresses, Addresses::Relayed { .. }) { 30 } else { 24 }
    }

    /// Never: a header has at least 24 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `frame`.
    ///
    /// # Panics
    ///
    /// When `frame` is shorter.
    pub fn emit(&self, frame: &mut [u8]) {
        let Self {
            addresses,
            is_null,
            more_fragments,
            retry,
            power_save,
            more_data,
            duration,
            sequence,
            fragment,
            qos,
        } = self;
        let header = &mut frame[..self.len()];
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let control = DATA | flag(*is_null, NO_DATA) | flag(qos.is_some(), QOS);
        let order = qos.is_some_and(|qos| qos.ht_control.is_some());
        let flags = flag(*more_fragments, MORE_FRAGMENTS)
            | flag(*retry, RETRY)
            | flag(*power_save, POWER_SAVE)
            | flag(*more_data, MORE_DATA)
            | flag(order, ORDER);
        let way = addresses.emit(header);
        put(header, 0, &[control, flags | way]);
        put(header, 2, &duration.to_le_bytes());
        put(header, 22, &(sequence << 4 | u16::from(fragment & 0x0f)).to_le_bytes());
        if let Some(qos) = qos {
            let at = if matches!(addresses, Addresses::Relayed { .. }) { 30 } else { 24 };
            qos.emit(&mut header[at..]);
        }
    }
}

impl Addresses {
    fn parse(fixed: &[u8], flags: u8) -> Self {
        let address = |at| MacAddress(array(fixed, at));
        let (first, second, third) = (address(4), address(10), address(16));
        match (flags & TO_DS != 0, flags & FROM_DS != 0) {
            (false, false) => Self::Direct { destination: first, source: second, bssid: third },
            (true, false) => Self::ToAccessPoint { bssid: first, source: second, destination: third },
            (false, true) => Self::FromAccessPoint { destination: first, bssid: second, source: third },
            (true, true) => {
                let source = address(24);
                Self::Relayed { receiver: first, transmitter: second, destination: third, source }
            }
        }
    }

    /// Writes the addresses, and says the flags that tell which they are.
    fn emit(&self, header: &mut [u8]) -> u8 {
        let ([first, second, third], flags) = match *self {
            Self::Direct { destination, source, bssid } => ([destination, source, bssid], 0),
            Self::ToAccessPoint { bssid, source, destination } => ([bssid, source, destination], TO_DS),
            Self::FromAccessPoint { destination, bssid, source } => ([destination, bssid, source], FROM_DS),
            Self::Relayed { receiver, transmitter, destination, source } => {
                put(header, 24, &source.0);
                ([receiver, transmitter, destination], TO_DS | FROM_DS)
            }
        };
        put(header, 4, &first.0);
        put(header, 10, &second.0);
        put(header, 16, &third.0);
        flags
    }

    /// From whom, at the beginning of the way.
    pub fn source(&self) -> MacAddress {
        match *self {
            Self::Direct { source, .. }
            | Self::ToAccessPoint { source, .. }
            | Self::FromAccessPoint { source, .. }
            | Self::Relayed { source, .. } => source,
        }
    }

    /// To whom, at the end of the way.
    pub fn destination(&self) -> MacAddress {
        match *self {
            Self::Direct { destination, .. }
            | Self::ToAccessPoint { destination, .. }
            | Self::FromAccessPoint { destination, .. }
            | Self::Relayed { destination, .. } => destination,
        }
    }
}

impl Qos {
    fn parse(bytes: &[u8], has_ht_control: bool) -> Result<(Self, &[u8]), Error> {
        let (&[low, queue], mut rest) = bytes.split_first_chunk().ok_or(Error::Truncated)?;
        if low & AGGREGATE != 0 {
            return Err(Error::Unsupported);
        }
        let mut ht_control = None;
        if has_ht_control {
            let (field, payload) = rest.split_first_chunk().ok_or(Error::Truncated)?;
            (ht_control, rest) = (Some(*field), payload);
        }
        let (tid, ack_policy) = (low & 0x0f, low >> 5 & 3);
        Ok((Self { tid, end_of_service: low & 0x10 != 0, ack_policy, queue, ht_control }, rest))
    }

    fn emit(&self, bytes: &mut [u8]) {
        let Self { tid, end_of_service, ack_policy, queue, ht_control } = self;
        let low = tid & 0x0f | u8::from(*end_of_service) << 4 | (ack_policy & 3) << 5;
        put(bytes, 0, &[low, *queue]);
        if let Some(field) = ht_control {
            put(bytes, 2, field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// A frame whose addresses are 1, 2, 3 and 4.
    fn frame(control: u8, flags: u8) -> Vec<u8> {
        let mut frame = vec![control, flags, 0x2c, 0];
        for address in 1..=3 {
            frame.extend([address; 6]);
        }
        frame.extend([0x53, 0x01]);
        frame.extend([4; 6]);
        frame.extend([0; 10]);
        frame
    }

    #[test]
    fn the_way_tells_which_address_is_whose() {
        for (flags, source, destination, payload) in
            [(0, 2, 1, 16), (1, 2, 3, 16), (2, 3, 1, 16), (3, 4, 3, 10)]
        {
            let frame = frame(DATA, flags);
            let (header, rest) = Header::parse(&frame).unwrap();
            assert_eq!(header.addresses.source(), MacAddress([source; 6]), "{flags}");
            assert_eq!(header.addresses.destination(), MacAddress([destination; 6]), "{flags}");
            assert_eq!((header.sequence, header.fragment, header.duration), (0x15, 3, 44));
            assert_eq!(rest.len(), payload);
        }
    }

    #[test]
    fn what_is_not_plain_data_is_refused() {
        assert_eq!(Header::parse(&frame(DATA, PROTECTED)), Err(Error::Unsupported));
        assert_eq!(Header::parse(&frame(0x80, 0)), Err(Error::Unsupported), "a beacon");
        assert_eq!(Header::parse(&frame(0xd4, 0)), Err(Error::Unsupported), "an acknowledgment");
        assert_eq!(Header::parse(&frame(DATA | 1, 0)), Err(Error::Malformed));
        let mut aggregate = frame(DATA | QOS, 3);
        aggregate[30] = AGGREGATE;
        assert_eq!(Header::parse(&aggregate), Err(Error::Unsupported));
        assert_eq!(Header::parse(&frame(DATA, 0)[..23]), Err(Error::Truncated));
        assert_eq!(Header::parse(&frame(DATA | QOS, 0)[..25]), Err(Error::Truncated));
        assert_eq!(Header::parse(&frame(DATA | QOS, ORDER)[..29]), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(mut frame in proptest::collection::vec(any::<u8>(), 0..60), control in 0u8..16) {
            if let Some(first) = frame.first_mut() {
                *first = control << 4 & (NO_DATA | QOS) | DATA;
            }
            match Header::parse(&frame) {
                Ok((header, payload)) => {
                    let mut again = vec![0xaa; header.len()];
                    header.emit(&mut again);
                    prop_assert_eq!(payload.len(), frame.len() - header.len());
                    // Without quality of service the order bit asks for a service that is gone.
                    if header.qos.is_none() {
                        frame[1] &= !ORDER;
                    }
                    prop_assert_eq!(&again, &frame[..header.len()]);
                }
                Err(Error::Truncated) => prop_assert!(frame.len() < Header::MAX_LEN),
                Err(error) => prop_assert_eq!(error, Error::Unsupported),
            }
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Header::parse(&bytes);
        }
    }
}
