//! What is remembered of everything that went over the links.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use host::Instant;
use trace::{Direction, Event, Segment, Why};
use wire::ethernet::Header as Ethernet;
use wire::tcp::{self, Flags};
use wire::{Protocol, ip};

use super::stream::{Found, Frame, Kind, Stream};
use crate::link::{Lost, Way};
use crate::watch::Stamp;

/// Connections that are looked into at a time; beyond, the oldest are given up.
const STREAMS: usize = 8_192;
/// Bytes before a message for which it may have to wait.
const WINDOW: u64 = 1 << 20;
/// Messages that are remembered.
const MESSAGES: usize = 65_536;

/// Messages, frames and what became of them.
#[derive(Default)]
pub(crate) struct Log {
    /// Frames to remember; none unless somebody follows messages.
    keep: usize,
    /// The segment that each machine is about to send.
    said: BTreeMap<usize, Segment>,
    streams: BTreeMap<End, Stream>,
    order: VecDeque<End>,
    messages: BTreeMap<u64, Message>,
    /// Of each sender the messages that were not read yet.
    unread: BTreeMap<End, VecDeque<u64>>,
    /// Messages that have begun so far.
    numbered: u64,
    frames: VecDeque<Sent>,
    /// Where the frames of a packet are, counted from the first frame ever.
    packets: BTreeMap<u64, Vec<u64>>,
    first: u64,
    /// Of which sender's stream a receiver's is the other end.
    ends: BTreeMap<End, End>,
}

/// An end of a connection: a machine, its address and port, and the other's as this end sees them.
pub(super) type End = (usize, SocketAddr, SocketAddr);

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) sender: End,
    pub(super) kind: Kind,
    /// Its place in the stream; of a datagram, from zero.
    pub(super) bytes: Range<u64>,
    pub(super) frames: Vec<Frame>,
    pub(super) shown: Vec<u8>,
    pub(super) is_compressed: bool,
    /// The datagram's packet.
    pub(super) packet: Option<u64>,
    pub(super) written: Option<Instant>,
    /// By whom all of it was read, and when.
    pub(super) read: Option<(usize, Instant)>,
}

/// A frame that a machine sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) machine: usize,
    pub(super) segment: usize,
    pub(super) stamp: Stamp,
    pub(super) frame: Bytes,
    /// The bytes of its sender's stream that it carries.
    pub(super) carries: Option<(End, Range<u64>)>,
    pub(super) why: Option<Why>,
    /// The congestion window, and what was in flight, in bytes, where the sender told.
    pub(super) window: Option<(u32, u32)>,
    pub(super) fates: Vec<(Instant, Fate)>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A machine has it.
    Arrived(usize),
    /// It was lost on the cable of a machine.
    Lost(usize, Way, Lost),
}

/// The flow in a frame.
struct Flow<'a> {
    source: SocketAddr,
    destination: SocketAddr,
    /// Sequence number and control bits, of TCP.
    tcp: Option<(u32, Flags)>,
    payload: &'a [u8],
}

impl Log {
    /// Remembers so many frames from now on.
    pub(super) fn keep(&mut self, frames: usize) {
        self.keep = frames;
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    pub(super) fn message(&self, number: u64) -> Option<&Message> {
        self.messages.get(&number)
    }

    /// The frames that carry bytes of a message from its sender, first ones and repeated ones, in order.
    pub(super) fn carriers(&self, message: &Message) -> Vec<&Sent> {
        let carries = |sent: &&Sent| match &message.packet {
            Some(packet) => sent.stamp.packet == *packet && sent.stamp.hop == 0,
            None => sent.carries.as_ref().is_some_and(|(end, bytes)| {
                let overlaps = bytes.start < message.bytes.end && bytes.end > message.bytes.start;
                *end == message.sender && overlaps
            }),
        };
        self.frames.iter().filter(carries).collect()
    }

    /// The frames that carry bytes before a message of its stream, not longer before than a window's worth.
    pub(super) fn before(&self, message: &Message) -> Vec<&Sent> {
        let lowest = message.bytes.start.saturating_sub(WINDOW);
        let is_before = |sent: &&Sent| {
            let of_sender = sent.carries.as_ref().filter(|(end, _)| *end == message.sender);
            of_sender.is_some_and(|(_, bytes)| bytes.start < message.bytes.start && bytes.end > lowest)
        };
        self.frames.iter().filter(is_before).collect()
    }

    /// All frames of a packet, hop by hop.
    pub(super) fn hops(&self, packet: u64) -> Vec<&Sent> {
        let numbers = self.packets.get(&packet).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| self.frames.get((number - self.first) as usize)).collect()
    }

    /// A layer of a machine tells something.
    pub(crate) fn heard(&mut self, now: Instant, machine: usize, event: Event) {
        match event {
            Event::Segment(segment) if segment.direction == Direction::Down => {
                self.said.insert(machine, segment);
            }
            Event::Message(message) => {
                let end = (machine, message.endpoints.local, message.endpoints.remote);
                let to = message.offset + u64::from(message.len);
                match message.direction {
                    Direction::Down => self.stream(end).wrote(to, now),
                    Direction::Up => self.read(now, end, to),
                }
            }
            _ => {}
        }
    }

    /// A machine sent a frame: what is to be said of it.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        machine: usize,
        segment: usize,
        frame: &Bytes,
        stamp: Stamp,
    ) -> Option<String> {
        let said = self.said.remove(&machine);
        let flow = Flow::of(frame).filter(|_| stamp.hop == 0);
        let mut comment = None;
        let (mut carries, mut why, mut window) = (None, None, None);
        if let Some(flow) = flow {
            let end = (machine, flow.source, flow.destination);
            match flow.tcp {
                Some((sequence, flags)) => {
                    let fits =
                        |said: &Segment| said.sequence == sequence && said.len as usize == flow.payload.len();
                    let said = said.filter(fits);
                    why = said.map(|said| said.why);
                    window = said.map(|said| (said.congestion_window, said.in_flight));
                    if flags.contains(Flags::SYN) {
                        self.stream(end).open(sequence);
                    }
                    let place = self.stream(end).place(sequence, flow.payload.len());
                    if let Some(place) = place.filter(|place| !place.is_empty()) {
                        let mut numbered = self.numbered;
                        let found = self.stream(end).take(&place, flow.payload, &mut numbered);
                        self.numbered = numbered;
                        self.note(end, found, None);
                        comment = Some(self.tell(end, &place, why));
                        carries = Some((end, place));
                    } else {
                        comment = why.map(|why| reason(why).to_owned());
                    }
                }
                None => {
                    self.numbered += 1;
                    let found = Found {
                        number: self.numbered,
                        kind: Kind::Datagram,
                        bytes: 0..flow.payload.len() as u64,
                        frames: Vec::new(),
                        shown: flow.payload[..flow.payload.len().min(super::stream::SHOWN)].to_vec(),
                        is_compressed: false,
                        written: Some(now),
                    };
                    comment = Some(format!("message {}", found.number));
                    self.note(end, vec![found], Some(stamp.packet));
                }
            }
        }
        self.remember(Sent {
            at: now,
            machine,
            segment,
            stamp,
            frame: frame.clone(),
            carries,
            why,
            window,
            fates: Vec::new(),
        });
        comment
    }

    /// A frame arrived at a machine.
    pub(crate) fn arrived(&mut self, now: Instant, machine: usize, stamp: Stamp, frame: &Bytes) {
        self.fate(now, stamp, Fate::Arrived(machine));
        if self.keep == 0 {
            return;
        }
        let origin = self.hops(stamp.packet).first().and_then(|sent| sent.carries.clone());
        if let (Some((sender, _)), Some(flow)) = (origin, Flow::of(frame)) {
            self.ends.insert((machine, flow.destination, flow.source), sender);
            if self.ends.len() > 4 * STREAMS {
                self.ends.pop_first();
            }
        }
    }

    /// A frame was lost on the cable of a machine.
    pub(crate) fn lost(&mut self, now: Instant, machine: usize, way: Way, stamp: Stamp, why: Lost) {
        self.fate(now, stamp, Fate::Lost(machine, way, why));
    }

    fn fate(&mut self, now: Instant, stamp: Stamp, fate: Fate) {
        let Some(numbers) = self.packets.get(&stamp.packet) else { return };
        for number in numbers.iter().rev() {
            let sent = &mut self.frames[(number - self.first) as usize];
            if sent.stamp.frame == stamp.frame {
                sent.fates.push((now, fate));
                return;
            }
        }
    }

    /// A program has read so far.
    fn read(&mut self, now: Instant, reader: End, to: u64) {
        let Some(sender) = self.ends.get(&reader) else { return };
        let Some(unread) = self.unread.get_mut(sender) else { return };
        while let Some(&number) = unread.front() {
            if let Some(message) = self.messages.get_mut(&number) {
                if message.bytes.end > to {
                    return;
                }
                message.read = Some((reader.0, now));
            }
            unread.pop_front();
        }
    }

    fn stream(&mut self, end: End) -> &mut Stream {
        if !self.streams.contains_key(&end) {
            if self.order.len() == STREAMS
                && let Some(oldest) = self.order.pop_front()
            {
                self.streams.remove(&oldest);
            }
            self.order.push_back(end);
        }
        self.streams.entry(end).or_default()
    }

    fn note(&mut self, sender: End, found: Vec<Found>, packet: Option<u64>) {
        for Found { number, kind, bytes, frames, shown, is_compressed, written } in found {
            if self.messages.len() == MESSAGES
                && let Some((oldest, Message { sender, .. })) = self.messages.pop_first()
                && let Some(unread) = self.unread.get_mut(&sender)
            {
                while unread.front().is_some_and(|number| *number <= oldest) {
                    unread.pop_front();
                }
                if unread.is_empty() {
                    self.unread.remove(&sender);
                }
            }
            if self.keep > 0 && packet.is_none() {
                self.unread.entry(sender).or_default().push_back(number);
            }
            let message = Message {
                number,
                sender,
                kind,
                bytes,
                frames,
                shown,
                is_compressed,
                packet,
                written,
                read: None,
            };
            self.messages.insert(number, message);
        }
    }

    /// What is said of a segment: why it was sent, and which messages it carries.
    fn tell(&mut self, end: End, place: &Range<u64>, why: Option<Why>) -> String {
        let why = why.map_or("sent", reason);
        let messages = match self.stream(end).messages(place) {
            None => String::new(),
            Some((first, last)) if first == last => format!(", message {first}"),
            Some((first, last)) => format!(", messages {first} to {last}"),
        };
        format!("{why}{messages}, bytes {}..{} of the stream", place.start, place.end)
    }

    fn remember(&mut self, sent: Sent) {
        if self.keep == 0 {
            return;
        }
        if self.frames.len() == self.keep
            && let Some(gone) = self.frames.pop_front()
        {
            if let Some(numbers) = self.packets.get_mut(&gone.stamp.packet) {
                numbers.retain(|number| *number != self.first);
                if numbers.is_empty() {
                    self.packets.remove(&gone.stamp.packet);
                }
            }
            self.first += 1;
        }
        let number = self.first + self.frames.len() as u64;
        self.packets.entry(sent.stamp.packet).or_default().push(number);
        self.frames.push_back(sent);
    }
}

/// Why a segment was sent, in words.
pub(super) fn reason(why: Why) -> &'static str {
    match why {
        Why::Received => "received",
        Why::Handshake => "handshake",
        Why::New => "new",
        Why::Lost => "sent again: acknowledgments show a loss",
        Why::Timeout => "sent again: the retransmission timer ran out",
        Why::TailProbe => "sent again: a probe for the tail",
        Why::WindowProbe => "window probe",
        Why::Keepalive => "keepalive",
        Why::Acknowledgment => "acknowledgment",
        Why::Challenge => "challenge",
        Why::Reset => "reset",
    }
}

impl<'a> Flow<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let (_, packet) = Ethernet::parse(frame).ok()?;
        let packet = ip::Packet::parse(packet).ok()?;
        let (source, destination) = packet.ports()?;
        let (tcp, payload) = match packet.protocol {
            Protocol::TCP => {
                let (header, payload) = tcp::Header::parse(packet.payload).ok()?;
                (Some((header.sequence.0, header.flags)), payload)
            }
            _ => (None, packet.payload.get(8..)?),
        };
        Some(Self {
            source: (packet.source, source).into(),
            destination: (packet.destination, destination).into(),
            tcp,
            payload,
        })
    }
}
