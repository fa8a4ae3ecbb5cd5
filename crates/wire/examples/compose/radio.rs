//! Frames of the air: each form of addresses, with and without quality of service and check sequence.

use fourwire_wire::radiotap::{self, Channel, Flags};
use fourwire_wire::wlan::{Addresses, Header, Qos};
use fourwire_wire::{EtherType, MacAddress, fcs, llc};

use crate::capture::{Capture, MAC_A, MAC_B, V4_A, V4_B, udp_packet};

pub(crate) fn write(capture: &mut Capture) {
    let bssid = MacAddress([2, 0, 0, 0, 0, 0xff]);
    let other = MacAddress([2, 0, 0, 0, 0, 0xfe]);
    let packet = udp_packet(V4_A.into(), V4_B.into(), (50_001, 50_002), b"through the air");
    let (destination, source) = (MAC_B, MAC_A);
    let ways = [
        Addresses::Direct { destination, source, bssid },
        Addresses::ToAccessPoint { bssid, source, destination },
        Addresses::FromAccessPoint { destination, bssid, source },
        Addresses::Relayed { receiver: other, transmitter: bssid, destination, source },
    ];
    let bare = radiotap::Header::default();
    let full = radiotap::Header {
        timestamp: Some(0x1_2345_6789),
        flags: Some(Flags::HAS_FCS),
        rate: Some(108),
        channel: Some(Channel { frequency: 5180, flags: radiotap::BAND_5GHZ | radiotap::OFDM }),
        signal: Some(-42),
        noise: Some(-95),
    };
    let odd =
        radiotap::Header { timestamp: None, flags: Some(Flags(0)), rate: Some(2), signal: None, ..full };
    let voice = Qos { tid: 6, end_of_service: false, ack_policy: 0, queue: 0, ht_control: None };
    let mut sequence = 0xffe;
    for addresses in ways {
        for (radio, qos) in [(bare, None), (full, Some(voice)), (odd, None)] {
            let header = Header {
                addresses,
                is_null: false,
                more_fragments: false,
                retry: qos.is_some(),
                power_save: false,
                more_data: radio == odd,
                duration: 44,
                sequence,
                fragment: 0,
                qos,
            };
            sequence = (sequence + 1) & 0xfff;
            let mut frame = vec![0; header.len() + llc::LEN];
            header.emit(&mut frame);
            llc::emit(&mut frame[header.len()..], EtherType::IPV4);
            frame.extend(&packet);
            if radio.has_fcs() {
                let check = fcs::of(&frame);
                frame.extend(check.to_le_bytes());
            }
            let mut bytes = vec![0; radio.len()];
            radio.emit(&mut bytes);
            bytes.extend(frame);
            capture.radio(&bytes, "through the air");
        }
    }
    let asleep = Header {
        addresses: ways[1],
        is_null: true,
        more_fragments: false,
        retry: false,
        power_save: true,
        more_data: false,
        duration: 44,
        sequence,
        fragment: 0,
        qos: None,
    };
    let mut bytes = vec![0; bare.len() + asleep.len()];
    bare.emit(&mut bytes);
    asleep.emit(&mut bytes[bare.len()..]);
    capture.radio(&bytes, "a station goes to sleep");
}
