//! Long TCP segments: found in what devices give, and cut for devices that do not do it themselves.
//!
//! A segment of up to 64 KiB goes through the layers once, in place of 44 that do so one by one. Devices with an offload
//! take it and give it as it is (`wire::virtio`); for all others it is cut here, at the last step.

use wire::checksum::Sum;
use wire::ip::{self, Packet};
use wire::{Protocol, tcp};

use crate::packet::HEADROOM;
use crate::{Descending, Segmentation};

/// Room that is left before the headers of a packet that goes on, in bytes: for an Ethernet header.
const LINK: usize = 14;

impl<'a> Descending<'a> {
    /// A whole IP packet that is to be cut into segments of `size` bytes of payload, to be sent on. `None` when it is no
    /// TCP segment, or when its headers are longer than the headroom.
    pub(crate) fn of_long(packet: &'a [u8], size: u16) -> Option<Self> {
        let seen = Packet::parse(packet).ok()?;
        let (_, payload) = tcp::Header::parse(seen.payload).ok()?;
        let headers = packet.len().checked_sub(payload.len())?;
        let header = (seen.payload.len() - payload.len()) as u16;
        if seen.protocol != Protocol::TCP || size == 0 || headers > HEADROOM - LINK {
            return None;
        }
        let (head, payload) = packet.split_at(headers);
        let mut long = Self::segmented([payload, &[]], Segmentation { size, header });
        long.push(headers).copy_from_slice(head);
        let pseudo_header =
            Sum::pseudo_header(seen.source, seen.destination, Protocol::TCP.0, seen.payload.len());
        tcp::prepare_checksum(&mut long.headers_mut()[headers - usize::from(header)..], pseudo_header);
        Some(long)
    }

    /// The longest of the packets that it is cut into, in bytes.
    pub(crate) fn longest_piece(&self) -> usize {
        match self.segmentation() {
            Some(Segmentation { size, .. }) => self.headers().len() + self.payload_len().min(size.into()),
            None => self.len(),
        }
    }

    /// Calls `send` with each of the IP packets that it is to be cut into, or with itself when it is not to be cut. No
    /// link's header is in front yet.
    pub(crate) fn cut(&mut self, mut send: impl FnMut(&mut Descending<'_>)) {
        let Some(Segmentation { size, header }) = self.segmentation() else { return send(self) };
        let (headers, len, size) = (self.headers().len(), self.payload_len(), usize::from(size).max(1));
        let transport = headers - usize::from(header);
        // A segment without payload is one, too.
        for (piece, start) in (0..len.max(1)).step_by(size).enumerate() {
            let end = len.min(start + size);
            let mut part = Descending::new(self.slice(start, end));
            part.push(headers).copy_from_slice(self.headers());
            let head = part.headers_mut();
            let numbered = ip::cut_header(&mut head[..transport], headers + end - start, piece as u16);
            let (Ok(()), Ok(seen)) = (numbered, Packet::parse_quoted(head)) else { return };
            let length = usize::from(header) + end - start;
            let pseudo_header = Sum::pseudo_header(seen.source, seen.destination, Protocol::TCP.0, length);
            let [first, second] = part.payload();
            let payload = Sum::of(first).and(second);
            let head = &mut part.headers_mut()[transport..];
            tcp::cut_header(head, start as u32, piece == 0, end == len);
            tcp::fill_checksum_over(head, pseudo_header, payload);
            send(&mut part);
        }
    }
}

#[cfg(test)]
mod tests;
