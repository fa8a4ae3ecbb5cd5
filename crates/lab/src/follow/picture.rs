//! The picture of a journey, in text.

use std::time::Duration;

use host::Instant;
use trace::Why;

use super::journey::{Carrier, Gap, Headers, Hop, Journey, MessageInfo};
use super::log::reason;
use super::paint::{Canvas, Ink, WIDTH, fit, hex, time, width};
use super::stream::Kind;

impl Journey {
    /// Draws it as text of up to 100 columns: down the layers of the sender, with the bytes of each header; over each link,
    /// lost and sent again where it was; and up the layers of the receiver. With colours for a terminal when asked.
    ///
    /// Times at the right are since the message was written. Of the segments that went their way like the first they are
    /// only counted.
    pub fn draw(&self, colours: bool) -> String {
        let start = self.start();
        let mut drawing = Drawing { canvas: Canvas::new(colours), start };
        drawing.title(self);
        drawing.down(self);
        drawing.over(self);
        drawing.up(self);
        drawing.canvas.finish()
    }

    fn start(&self) -> Instant {
        let first = self.carriers.first().and_then(|carrier| carrier.hops.first()).map(|hop| hop.sent);
        self.message.written.or(first).unwrap_or_default()
    }

    /// How long all other bytes of the message had been there when `last` came.
    fn waited(&self, last: &Carrier) -> Option<Duration> {
        let complete = self.message.complete?;
        let others = self.carriers.iter().filter(|carrier| carrier.bytes != last.bytes);
        let arrivals = others.filter_map(|carrier| carrier.hops.last()?.arrived.as_ref());
        let before = arrivals.map(|(at, _)| *at).max()?;
        Some(complete.since(before)).filter(|waited| !waited.is_zero())
    }

    fn end(&self) -> Option<Instant> {
        self.message.read.or(self.message.complete)
    }
}

struct Drawing {
    canvas: Canvas,
    start: Instant,
}

/// Columns before the rail: the layer's name.
const LAYER: usize = 15;

const DOWN: &str = "│ ";
const NOTHING: (Ink, &str) = (Ink::Plain, "");

impl Drawing {
    fn title(&mut self, journey: &Journey) {
        let message = &journey.message;
        let to = message.to.as_deref().unwrap_or("nobody");
        let title = format!("Message {}, {}: {} → {to}", message.number, kind(message.kind), message.from);
        let fate = match journey.end() {
            Some(end) => (Ink::Good, format!("delivered in {}", time(end.since(self.start)))),
            None => (Ink::Lost, "not delivered".to_owned()),
        };
        self.canvas.line(&[(Ink::Bold, &title)], (fate.0, &fate.1));
        let shown = shown(message);
        if !shown.is_empty() {
            self.canvas.line(&[(Ink::Plain, &shown)], NOTHING);
        }
        self.canvas.line(&[(Ink::Faint, &"─".repeat(WIDTH))], NOTHING);
    }

    /// The sender's layers, with the headers of the first segment.
    fn down(&mut self, journey: &Journey) {
        let message = &journey.message;
        self.canvas.line(&[(Ink::Bold, &message.from)], (Ink::Faint, &format!("at {:?}", self.start)));
        let len: u64 = match message.frames.is_empty() {
            true => message.bytes.end - message.bytes.start,
            false => message.frames.iter().map(|frame| frame.payload).sum(),
        };
        let written = message.written.map(|at| self.since(at)).unwrap_or_default();
        self.layer("application", Ink::Application, &format!("writes {}", bytes(len)), &written);
        let Some(first) = journey.carriers.first().and_then(|carrier| Some((carrier, carrier.hops.first()?)))
        else {
            self.layer("", Ink::Application, "its frames are forgotten: remember more of them", "");
            return;
        };
        let (carrier, hop) = first;
        let Some(headers) = Headers::of(&hop.frame) else { return };
        self.websocket(message, carrier, &headers);
        let waited =
            message.written.map(|written| hop.sent.since(written)).filter(|waited| !waited.is_zero());
        if let Some(waited) = waited {
            let pace = carrier.window.map_or_else(String::new, |(window, in_flight)| {
                format!("; {in_flight} in flight, window {window}")
            });
            let text = format!("waits {} in the send buffer{pace}", time(waited));
            self.layer("transport", Ink::Transport, &text, "");
        }
        self.headers(carrier, &headers, &self.since(hop.sent));
    }

    fn websocket(&mut self, message: &MessageInfo, carrier: &Carrier, headers: &Headers<'_>) {
        let Some(frame) = message.frames.first() else { return };
        let pieces = match message.frames.len() {
            1 => String::new(),
            count => format!(", the first of {count}"),
        };
        let masked = if frame.masked { ", masked" } else { "" };
        let compressed = if message.compressed { ", compressed" } else { "" };
        let text = format!("{}{masked}{compressed}{pieces}", kind(message.kind));
        let text = sizes("WebSocket", frame.header, frame.payload, &text);
        self.layer("", Ink::Application, &text, "");
        // As far as it is in the first segment.
        let start = frame.at.checked_sub(carrier.bytes.start).map(|at| at as usize);
        let bytes = start.and_then(|at| headers.payload.get(at..)).unwrap_or_default();
        self.hex(&bytes[..bytes.len().min(frame.header as usize)], Ink::Application);
    }

    /// The headers of the lower three layers, from the top one down.
    fn headers(&mut self, carrier: &Carrier, headers: &Headers<'_>, at: &str) {
        let (packet, frame) = (&headers.packet, &headers.ethernet);
        let payload = headers.payload.len();
        let ports = ports(headers);
        let (name, text) = match packet.sequence() {
            Some(_) => {
                let why = carrier.why.map_or("", reason);
                let (start, end) = (carrier.bytes.start, carrier.bytes.end);
                ("TCP", format!("{ports}, {why}, bytes {start}..{end}"))
            }
            None => ("UDP", ports),
        };
        self.layer("transport", Ink::Transport, &sizes(name, headers.transport.len(), payload, &text), at);
        self.hex(headers.transport, Ink::Transport);
        let payload = payload + headers.transport.len();
        let (name, text) = addresses(headers);
        self.layer("internet", Ink::Internet, &sizes(name, headers.internet.len(), payload, &text), "");
        self.hex(headers.internet, Ink::Internet);
        let payload = payload + headers.internet.len();
        let text = format!("{} → {}", frame.source, frame.destination);
        self.layer("link", Ink::Link, &sizes("Ethernet", headers.link.len(), payload, &text), "");
        self.hex(headers.link, Ink::Link);
    }

    /// Over the links: the first segment, those that were lost or sent again, and how many others there were.
    fn over(&mut self, journey: &Journey) {
        let mut alike = Vec::new();
        for (number, carrier) in journey.carriers.iter().enumerate() {
            let is_plain = !carrier.again && carrier.hops.iter().all(|hop| hop.lost.is_none());
            if number > 0 && is_plain {
                alike.push(carrier);
                continue;
            }
            self.flush(&mut alike);
            self.carrier(journey, carrier, number == 0);
        }
        self.flush(&mut alike);
    }

    fn carrier(&mut self, journey: &Journey, carrier: &Carrier, is_first: bool) {
        if !is_first {
            let sent = carrier.hops.first().map(|hop| hop.sent).unwrap_or_default();
            let why = carrier.why.filter(|why| *why != Why::New || carrier.again);
            let why = why.map_or(if carrier.again { "sent again" } else { "new" }, reason);
            let is_other = journey.carriers.first().is_none_or(|first| first.bytes != carrier.bytes);
            let stream = format!(", bytes {}..{}", carrier.bytes.start, carrier.bytes.end);
            let stream = if is_other { &stream } else { "" };
            // What a loss does to the sender's pace.
            let pace = carrier.window.filter(|_| carrier.again);
            let pace = pace.map_or_else(String::new, |(window, _)| format!(", window {window}"));
            self.canvas.line(&[(Ink::Bold, &journey.message.from)], NOTHING);
            self.layer("transport", Ink::Transport, &format!("{why}{stream}{pace}"), &self.since(sent));
        }
        self.rail("▼", Ink::Link, &format!("packet {}", carrier.packet), "");
        let mut before: Option<&Hop> = None;
        for hop in &carrier.hops {
            self.hop(hop, before);
            before = Some(hop);
        }
    }

    /// One link: who sent, who got it, and when; or where it was lost.
    fn hop(&mut self, hop: &Hop, before: Option<&Hop>) {
        let (now, earlier) = (Headers::of(&hop.frame), before.and_then(|before| Headers::of(&before.frame)));
        let mut changes = Vec::new();
        if let (Some(now), Some(earlier)) = (now, earlier)
            && let (Some(ends), Some(were)) = (now.ends(), earlier.ends())
        {
            if ends.0 != were.0 {
                changes.push(format!("now from {}", ends.0));
            }
            if ends.1 != were.1 {
                changes.push(format!("now to {}", ends.1));
            }
        }
        let link = fit(&hop.link, LAYER - 3);
        let name = format!("  {link}{}", " ".repeat(LAYER - 2 - width(&link)));
        let from = format!("{} ", hop.from);
        // Routers send on at once, unless they must ask first to whom.
        let waited = before.and_then(|before| before.arrived.as_ref()).map(|(at, _)| hop.sent.since(*at));
        if let Some(waited) = waited.filter(|waited| !waited.is_zero()) {
            changes.push(format!("had to ask for an address, {}", time(waited)));
        }
        let changes = if changes.is_empty() { String::new() } else { format!("   {}", changes.join(", ")) };
        match (&hop.arrived, &hop.lost) {
            (Some((at, to)), _) => {
                let took = format!("   {}", time(at.since(hop.sent)));
                let pieces = [
                    (Ink::Link, name.as_str()),
                    (Ink::Plain, &from),
                    (Ink::Link, "──▶ "),
                    (Ink::Plain, to),
                    (Ink::Faint, &took),
                    (Ink::Internet, &changes),
                ];
                self.canvas.line(&pieces, (Ink::Faint, &self.since(*at)));
            }
            (None, Some((at, why))) => {
                let why = format!("lost: {why}");
                let pieces = [
                    (Ink::Link, name.as_str()),
                    (Ink::Plain, &from),
                    (Ink::Lost, "──✗ "),
                    (Ink::Lost, &why),
                    (Ink::Internet, &changes),
                ];
                self.canvas.line(&pieces, (Ink::Faint, &self.since(*at)));
            }
            (None, None) => {
                let pieces = [(Ink::Link, name.as_str()), (Ink::Plain, &from), (Ink::Faint, "──… under way")];
                self.canvas.line(&pieces, (Ink::Faint, &self.since(hop.sent)));
            }
        }
    }

    /// Segments that went their way without an accident.
    fn flush(&mut self, alike: &mut Vec<&Carrier>) {
        let (Some(first), Some(last)) = (alike.first(), alike.last()) else { return };
        let arrived = last.hops.last().and_then(|hop| hop.arrived.as_ref()).map(|(at, _)| self.since(*at));
        let segments = if alike.len() == 1 { "one more segment" } else { "more segments" };
        let count = if alike.len() == 1 { String::new() } else { format!("{} ", alike.len()) };
        let text = format!("{count}{segments} the same way: bytes {}..{}", first.bytes.start, last.bytes.end);
        self.rail("▼", Ink::Link, &text, &arrived.unwrap_or_default());
        alike.clear();
    }

    /// The receiver's layers.
    fn up(&mut self, journey: &Journey) {
        let message = &journey.message;
        let whole = journey.carriers.iter().rev().find(|carrier| {
            let last = carrier.hops.last().and_then(|hop| hop.arrived.as_ref());
            last.is_some_and(|(at, _)| Some(*at) == message.complete)
        });
        let (Some(complete), Some(carrier)) = (message.complete, whole) else {
            self.rail("✗", Ink::Lost, "it did not come to its end", "");
            return;
        };
        let (Some(last), Some(first)) = (carrier.hops.last(), carrier.hops.first()) else { return };
        let name = message.to.clone().unwrap_or_default();
        // Upwards: what the layers say is read from below.
        if let Some(headers) = Headers::of(&last.frame) {
            self.arrival(journey, carrier, &headers, Headers::of(&first.frame).as_ref());
        }
        let held = message.read.map(|read| read.since(complete)).filter(|held| !held.is_zero());
        if let Some(Gap { bytes, waited }) = &journey.behind {
            let text = format!("waits {} for bytes {}..{} before it", time(*waited), bytes.start, bytes.end);
            self.layer("", Ink::Transport, &plain("", &text), "");
        }
        match (message.read, held) {
            (Some(read), Some(held)) if journey.behind.is_none() => {
                let text = format!("reads it, {} later", time(held));
                self.layer("application", Ink::Application, &text, &self.since(read));
            }
            (Some(read), _) => self.layer("application", Ink::Application, "reads it", &self.since(read)),
            (None, _) if message.kind == Kind::Datagram => {}
            (None, _) => self.layer("application", Ink::Lost, "has not read it", ""),
        }
        self.canvas.line(&[(Ink::Bold, &name)], NOTHING);
    }

    /// What the layers of the receiver got, as it is now.
    fn arrival(
        &mut self,
        journey: &Journey,
        carrier: &Carrier,
        headers: &Headers<'_>,
        sent: Option<&Headers<'_>>,
    ) {
        self.rail("▲", Ink::Link, &format!("packet {}", carrier.packet), "");
        let text = format!("{} → {}", headers.ethernet.source, headers.ethernet.destination);
        self.layer("link", Ink::Link, &plain("Ethernet", &text), "");
        self.hex(headers.link, Ink::Link);
        let (name, text) = addresses(headers);
        self.layer("internet", Ink::Internet, &plain(name, &text), "");
        if sent.is_some_and(|sent| sent.internet != headers.internet) {
            self.hex(headers.internet, Ink::Internet);
        }
        let name = if headers.packet.sequence().is_some() { "TCP" } else { "UDP" };
        let complete = journey.message.complete.map(|at| self.since(at)).unwrap_or_default();
        let text = plain(name, &format!("{}, whole", ports(headers)));
        self.layer("transport", Ink::Transport, &text, &complete);
        if sent.is_some_and(|sent| sent.transport != headers.transport) {
            self.hex(headers.transport, Ink::Transport);
        }
        if let Some(waited) = journey.waited(carrier) {
            let (start, end) = (carrier.bytes.start, carrier.bytes.end);
            let text = format!("the rest had waited {} for bytes {start}..{end}", time(waited));
            self.layer("", Ink::Transport, &plain("", &text), "");
        }
    }

    fn layer(&mut self, name: &str, ink: Ink, text: &str, right: &str) {
        let name = format!("  {name:<width$}", width = LAYER - 2);
        self.canvas.line(&[(ink, &name), (ink, DOWN), (Ink::Plain, text)], (Ink::Faint, right));
    }

    fn rail(&mut self, rail: &str, ink: Ink, text: &str, right: &str) {
        let name = " ".repeat(LAYER);
        let rail = format!("{rail} ");
        self.canvas.line(&[(ink, &name), (ink, &rail), (Ink::Faint, text)], (Ink::Faint, right));
    }

    fn hex(&mut self, bytes: &[u8], ink: Ink) {
        let name = " ".repeat(LAYER);
        for line in hex(bytes) {
            self.canvas.line(&[(ink, &name), (ink, DOWN), (Ink::Faint, &line)], NOTHING);
        }
    }

    fn since(&self, at: Instant) -> String {
        format!("+ {}", time(at.since(self.start)))
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Binary => "binary",
        Kind::Ping => "ping",
        Kind::Pong => "pong",
        Kind::Close => "close",
        Kind::Http => "head of HTTP",
        Kind::Bytes => "bytes",
        Kind::Datagram => "datagram",
    }
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// A header, its bytes and those that it carries, and what it says.
fn sizes(name: &str, header: impl std::fmt::Display, payload: impl std::fmt::Display, text: &str) -> String {
    format!("{name:<9} {header:>3} + {payload:<6} {text}")
}

/// The same without the bytes.
fn plain(name: &str, text: &str) -> String {
    format!("{name:<22} {text}")
}

fn ports(headers: &Headers<'_>) -> String {
    headers.ends().map_or_else(String::new, |(from, to)| format!("port {} → {}", from.port(), to.port()))
}

fn addresses(headers: &Headers<'_>) -> (&'static str, String) {
    let packet = &headers.packet;
    let (name, ttl) = if packet.source.is_ipv4() { ("IPv4", "TTL") } else { ("IPv6", "hop limit") };
    (name, format!("{} → {}, {ttl} {}", packet.source, packet.destination, packet.ttl))
}

/// What the message says, on one line.
fn shown(message: &MessageInfo) -> String {
    if message.compressed || message.shown.is_empty() {
        return String::new();
    }
    let readable = |text: &str| {
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>()
    };
    match std::str::from_utf8(&message.shown) {
        Ok(text) => format!("“{}”", fit(readable(text).trim_end(), WIDTH - 2)),
        // A letter may be cut in the middle at the end of what is kept.
        Err(error) if error.error_len().is_none() => {
            let text = String::from_utf8_lossy(&message.shown[..error.valid_up_to()]).into_owned();
            format!("“{}”", fit(&readable(&text), WIDTH - 2))
        }
        Err(_) => hex(&message.shown).into_iter().next().unwrap_or_default(),
    }
}
