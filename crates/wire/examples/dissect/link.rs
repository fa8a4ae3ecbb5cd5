//! Network access: frames and ARP.

use fourwire_wire::pcapng::LinkType;
use fourwire_wire::{Error, EtherType, arp, ethernet, fcs, llc, radiotap, wlan};

use crate::internet;
use crate::line::Line;

pub(crate) fn frame(line: &mut Line, link_type: LinkType, bytes: &[u8]) -> Result<(), Error> {
    match link_type {
        LinkType::ETHERNET => {
            let (header, payload) = ethernet::Header::parse(bytes)?;
            line.add("eth.dst", header.destination);
            line.add("eth.src", header.source);
            line.add("eth.type", header.ether_type.0);
            packet(line, header.ether_type, payload)
        }
        LinkType::RAW_IP => internet::packet(line, bytes),
        LinkType::WLAN_RADIOTAP => radio(line, bytes),
        _ => Err(Error::Unsupported),
    }
}

fn packet(line: &mut Line, ether_type: EtherType, payload: &[u8]) -> Result<(), Error> {
    match ether_type {
        EtherType::IPV4 | EtherType::IPV6 => internet::packet(line, payload),
        EtherType::ARP => {
            let packet = arp::Packet::parse(payload)?;
            line.add("arp.opcode", if packet.operation == arp::Operation::Request { 1 } else { 2 });
            line.add("arp.src.hw_mac", packet.sender_mac);
            line.add("arp.src.proto_ipv4", packet.sender);
            line.add("arp.dst.hw_mac", packet.target_mac);
            line.add("arp.dst.proto_ipv4", packet.target);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn radio(line: &mut Line, bytes: &[u8]) -> Result<(), Error> {
    let (radio, mut frame) = radiotap::Header::parse(bytes)?;
    line.add("radiotap.length", bytes.len() - frame.len());
    if let Some(timestamp) = radio.timestamp {
        line.add("radiotap.mactime", timestamp);
    }
    if radio.flags.is_some() {
        line.flag("radiotap.flags.fcs", radio.has_fcs());
    }
    if let Some(rate) = radio.rate {
        line.add("radiotap.datarate", f32::from(rate) / 2.0);
    }
    if let Some(channel) = radio.channel {
        line.add("radiotap.channel.freq", channel.frequency);
    }
    if let Some(signal) = radio.signal {
        line.add("radiotap.dbm_antsignal", signal);
    }
    if let Some(noise) = radio.noise {
        line.add("radiotap.dbm_antnoise", noise);
    }
    if radio.has_fcs() {
        let whole = fcs::check(frame);
        line.flag("wlan.fcs.status", whole.is_some());
        frame = whole.ok_or(Error::Checksum)?;
    }
    let (header, payload) = wlan::Header::parse(frame)?;
    station(line, &header);
    if header.is_null {
        return Ok(());
    }
    let (ether_type, payload) = llc::parse(payload)?;
    line.add("llc.type", ether_type.0);
    packet(line, ether_type, payload)
}

fn station(line: &mut Line, header: &wlan::Header) {
    let (receiver, transmitter, bssid, way) = match header.addresses {
        wlan::Addresses::Direct { destination, source, bssid } => (destination, source, Some(bssid), 0),
        wlan::Addresses::ToAccessPoint { bssid, source, .. } => (bssid, source, Some(bssid), 1),
        wlan::Addresses::FromAccessPoint { destination, bssid, .. } => (destination, bssid, Some(bssid), 2),
        wlan::Addresses::Relayed { receiver, transmitter, .. } => (receiver, transmitter, None, 3),
    };
    line.add("wlan.fc.ds", way);
    line.flag("wlan.fc.frag", header.more_fragments);
    line.flag("wlan.fc.retry", header.retry);
    line.flag("wlan.fc.pwrmgt", header.power_save);
    line.flag("wlan.fc.moredata", header.more_data);
    line.add("wlan.duration", header.duration);
    line.add("wlan.da", header.addresses.destination());
    line.add("wlan.sa", header.addresses.source());
    line.add("wlan.ra", receiver);
    line.add("wlan.ta", transmitter);
    if let Some(bssid) = bssid {
        line.add("wlan.bssid", bssid);
    }
    line.add("wlan.seq", header.sequence);
    line.add("wlan.frag", header.fragment);
    if let Some(qos) = header.qos {
        line.add("wlan.qos.tid", qos.tid);
    }
}
