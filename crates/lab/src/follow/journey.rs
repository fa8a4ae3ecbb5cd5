//! The way of one message, put together from what was remembered.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use host::Instant;
use trace::Why;
use wire::ethernet::Header as Ethernet;
use wire::{Protocol, ip};

use super::log::{Fate, Log, Message, Sent};
use super::stream::{Frame, Kind};
use crate::state::State;

/// A message, and its way from the program that wrote it to the one that read it.
#[derive(Clone, Debug)]
pub struct Journey {
    /// The message.
    pub message: MessageInfo,
    /// Each segment or datagram that carried bytes of it, in the order in which they left, those sent again among them.
    pub carriers: Vec<Carrier>,
    /// What it had to wait for when it was whole: bytes before it in the stream, which came later.
    pub behind: Option<Gap>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct MessageInfo {
    /// Counted from one over the whole lab, in the order in which their first bytes left.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// Whose program wrote it.
    pub from: String,
    /// To whom it arrived, if it did.
    pub to: Option<String>,
    /// Its connection's two ends, as the sender sees them.
    pub ends: (SocketAddr, SocketAddr),
    /// Its place in the stream of its direction, frame headers too; of a datagram, its length from zero.
    pub bytes: Range<u64>,
    /// Its WebSocket frames, when it has any.
    pub frames: Vec<Frame>,
    /// Its first bytes, unmasked: 256 at most.
    pub shown: Vec<u8>,
    /// They are compressed.
    pub compressed: bool,
    /// When the program wrote its first byte.
    pub written: Option<Instant>,
    /// When all of it had come.
    pub complete: Option<Instant>,
    /// When the other program had read all of it.
    pub read: Option<Instant>,
}

/// Bytes of a stream for which others waited that had come before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which bytes.
    pub bytes: Range<u64>,
    /// How long the others had been there.
    pub waited: Duration,
}

/// A segment or datagram that carried bytes of a message.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// Which bytes of the stream; of a datagram, its length from zero.
    pub bytes: Range<u64>,
    /// Why it was sent, where the sender told.
    pub why: Option<Why>,
    /// The congestion window and what was in flight, in bytes, where the sender told.
    pub window: Option<(u32, u32)>,
    /// It carries nothing that had not been sent before.
    pub again: bool,
    /// The number of its packet, as in captures.
    pub packet: u64,
    /// Its way, link by link; of what a link carried twice, both.
    pub hops: Vec<Hop>,
}

/// The way over one link.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Who sent the frame.
    pub from: String,
    /// The link.
    pub link: String,
    /// When it set out.
    pub sent: Instant,
    /// When it had come to the other end, and whose that is.
    pub arrived: Option<(Instant, String)>,
    /// When, where and why it was lost.
    pub lost: Option<(Instant, String)>,
    /// The frame.
    pub frame: Bytes,
}

/// The headers of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'a> {
    pub(super) link: &'a [u8],
    pub(super) internet: &'a [u8],
    pub(super) transport: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) ethernet: Ethernet,
    pub(super) packet: ip::Packet<'a>,
}

impl<'a> Headers<'a> {
    pub(super) fn of(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, rest) = Ethernet::parse(frame).ok()?;
        let link = &frame[..frame.len() - rest.len()];
        let packet = ip::Packet::parse(rest).ok()?;
        let start = packet.payload.as_ptr() as usize - rest.as_ptr() as usize;
        let (internet, upper) = (&rest[..start], packet.payload);
        let len = match packet.protocol {
            Protocol::TCP => usize::from(upper.get(12)? >> 4) * 4,
            Protocol::UDP => 8,
            _ => 0,
        };
        let (transport, payload) = upper.split_at_checked(len)?;
        Some(Self { link, internet, transport, payload, ethernet, packet })
    }

    /// Sender and receiver, with their ports.
    pub(super) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (source, destination) = self.packet.ports()?;
        Some(((self.packet.source, source).into(), (self.packet.destination, destination).into()))
    }
}

/// Puts journeys together.
pub(super) struct Joiner<'a> {
    pub(super) log: &'a Log,
    pub(super) state: &'a State,
}

impl Joiner<'_> {
    pub(super) fn info(&self, message: &Message) -> MessageInfo {
        let (machine, local, remote) = message.sender;
        MessageInfo {
            number: message.number,
            kind: message.kind,
            from: self.name(machine),
            to: message.read.map(|(machine, _)| self.name(machine)),
            ends: (local, remote),
            bytes: message.bytes.clone(),
            frames: message.frames.clone(),
            shown: message.shown.clone(),
            compressed: message.is_compressed,
            written: message.written,
            complete: None,
            read: message.read.map(|(_, at)| at),
        }
    }

    pub(super) fn journey(&self, message: &Message) -> Journey {
        let mut info = self.info(message);
        let mut carriers = Vec::new();
        let mut sent_up_to = message.bytes.start;
        for sent in self.log.carriers(message) {
            let bytes = sent.carries.as_ref().map_or(message.bytes.clone(), |(_, bytes)| bytes.clone());
            let again = message.packet.is_none() && bytes.end.min(message.bytes.end) <= sent_up_to;
            sent_up_to = sent_up_to.max(bytes.end);
            let hops = self.hops(sent);
            carriers.push(Carrier {
                bytes,
                why: sent.why,
                window: sent.window,
                again,
                packet: sent.stamp.packet,
                hops,
            });
        }
        if info.to.is_none() {
            let last = carriers.iter().rev().filter_map(|carrier: &Carrier| carrier.hops.last());
            info.to = last.filter_map(|hop| hop.arrived.as_ref()).map(|(_, to)| to.clone()).next();
        }
        info.complete = complete(&info.bytes, &carriers);
        let behind = self.behind(message, &info);
        Journey { message: info, carriers, behind }
    }

    /// The last bytes before a message that came after it, and before it could be read.
    fn behind(&self, message: &Message, info: &MessageInfo) -> Option<Gap> {
        let (complete, read) = (info.complete?, info.read?);
        let before = self.log.before(message);
        let late = before.into_iter().filter_map(|sent| {
            let (at, _) = self.hops(sent).pop()?.arrived?;
            let (_, bytes) = sent.carries.as_ref()?;
            (at > complete && at <= read).then(|| (at, bytes.clone()))
        });
        late.max_by_key(|(at, _)| *at).map(|(at, bytes)| Gap { bytes, waited: at.since(complete) })
    }

    fn hops(&self, first: &Sent) -> Vec<Hop> {
        let frames = self.log.hops(first.stamp.packet);
        let hop = |sent: &&Sent| {
            let arrivals = || {
                sent.fates.iter().filter_map(|(at, fate)| match fate {
                    Fate::Arrived(machine) => Some((*at, *machine)),
                    Fate::Lost(..) => None,
                })
            };
            // A switch that does not know yet who is where sends to all: whom it concerned is who went on with it.
            let went_on = |machine: usize| {
                frames.iter().any(|next| next.machine == machine && next.stamp.hop == sent.stamp.hop + 1)
            };
            let arrived =
                arrivals().find(|(_, machine)| went_on(*machine)).or_else(|| arrivals().next_back());
            let lost = sent.fates.iter().find_map(|(at, fate)| match fate {
                Fate::Lost(machine, crate::link::Way::In, why) => {
                    Some((*at, format!("{why}, before {}", self.name(*machine))))
                }
                Fate::Lost(_, crate::link::Way::Out, why) => Some((*at, why.to_string())),
                Fate::Arrived(_) => None,
            });
            Hop {
                from: self.name(sent.machine),
                link: self.state.segments.name(sent.segment).to_string(),
                sent: sent.at,
                arrived: arrived.map(|(at, machine)| (at, self.name(machine))),
                lost: lost.filter(|_| arrived.is_none()),
                frame: sent.frame.clone(),
            }
        };
        frames.iter().map(hop).collect()
    }

    fn name(&self, machine: usize) -> String {
        self.state.net.machines[machine].name.to_string()
    }
}

/// When the last of `bytes` had come that was missing.
fn complete(bytes: &Range<u64>, carriers: &[Carrier]) -> Option<Instant> {
    let mut arrivals: Vec<_> = carriers
        .iter()
        .filter_map(|carrier| {
            let (at, _) = carrier.hops.last()?.arrived.as_ref()?;
            Some((*at, carrier.bytes.clone()))
        })
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let mut have: Vec<Range<u64>> = Vec::new();
    for (at, came) in arrivals {
        have.push(came);
        have.sort_by_key(|range| range.start);
        let mut reached = bytes.start;
        for range in &have {
            if range.start <= reached {
                reached = reached.max(range.end);
            }
        }
        if reached >= bytes.end {
            return Some(at);
        }
    }
    None
}
