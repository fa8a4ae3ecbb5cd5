//! The far side's door: a call is answered only once the target has answered.
//!
//! A SYN that comes off the wire is held back until somebody says what becomes of it. Let in, it goes on to the host, and
//! its SYN-ACK crosses the wire as if the target had sent it; refused, it is answered with the reset that a closed port
//! gives (RFC 9293 section 3.10.7.1). So connecting takes the target's time and the wire's, and a refusal is one.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ::wire::MacAddress;
use ::wire::checksum::Sum;
use ::wire::ip::Packet;
use ::wire::ipv4::{self, Protocol};
use ::wire::tcp::{self, Flags, SeqNumber};
use stack::Device;
use stack::device::Received;
use tcpip::Descending;

/// A device behind which calls wait for an answer.
pub(super) struct Gate<D> {
    device: D,
    porter: Porter,
}

/// Who answers the calls. A clone is another handle.
#[derive(Clone, Default)]
pub(super) struct Porter(Arc<Mutex<Calls>>);

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The host may have it.
    Admitted,
    /// Nobody listens at the target.
    Refused,
    /// As if the call had been lost.
    None,
}

/// Calls that may be known at a time.
const MOST_CALLS: usize = 4096;

#[derive(Default)]
struct Calls {
    /// By who calls: the SYN while it waits for an answer, nothing once it was let in.
    known: BTreeMap<SocketAddr, Option<Vec<u8>>>,
    /// Calls that nobody has heard yet.
    fresh: VecDeque<SocketAddr>,
    admitted: VecDeque<Vec<u8>>,
    refused: VecDeque<Vec<u8>>,
    /// Drives the host behind the gate.
    driver: Option<Waker>,
    /// Waits for calls.
    listener: Option<Waker>,
}

impl<D> Gate<D> {
    pub(super) fn new(device: D) -> (Self, Porter) {
        let porter = Porter::default();
        (Self { device, porter: porter.clone() }, porter)
    }
}

impl Porter {
    /// The next call: who calls.
    pub(super) async fn call(&self) -> SocketAddr {
        poll_fn(|context| {
            let mut calls = self.calls();
            if let Some(caller) = calls.fresh.pop_front() {
                return Poll::Ready(caller);
            }
            calls.listener = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Decides about a call.
    pub(super) fn answer(&self, caller: SocketAddr, answer: Answer) {
        let driver = {
            let mut calls = self.calls();
            let Some(call) = calls.known.get_mut(&caller) else { return };
            let Some(syn) = call.take() else { return };
            match answer {
                Answer::Admitted => calls.admitted.push_back(syn),
                Answer::Refused => {
                    calls.known.remove(&caller);
                    calls.refused.push_back(syn);
                }
                Answer::None => drop(calls.known.remove(&caller)),
            }
            calls.driver.clone()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The connection is over: a SYN from there is a new call.
    pub(super) fn forget(&self, caller: SocketAddr) {
        self.calls().known.remove(&caller);
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host may have `packet` at once; a call is kept.
    fn let_in(&self, packet: &[u8]) -> bool {
        let Some(caller) = caller(packet) else { return true };
        let listener = {
            let mut calls = self.calls();
            match calls.known.get(&caller) {
                Some(None) => return true,
                Some(Some(_)) => return false,
                // Too many: it is lost, and the caller tries again.
                None if calls.known.len() >= MOST_CALLS => return false,
                None => {}
            }
            calls.known.insert(caller, Some(packet.to_vec()));
            calls.fresh.push_back(caller);
            calls.listener.take()
        };
        if let Some(listener) = listener {
            listener.wake();
        }
        false
    }
}

impl<D: Device> Device for Gate<D> {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            let (admitted, refused, stale) = {
                let mut calls = self.porter.calls();
                let stale = match &calls.driver {
                    Some(driver) if driver.will_wake(context.waker()) => None,
                    _ => calls.driver.replace(context.waker().clone()),
                };
                (calls.admitted.pop_front(), calls.refused.pop_front(), stale)
            };
            drop(stale);
            if let Some(reset) = refused.as_deref().and_then(reset) {
                // What finds no room is lost, as on any link: the caller asks again.
                let _ = self.device.transmit(&Descending::new([&reset, &[]]));
            }
            if let Some(syn) = admitted
                && let Some(place) = buffer.get_mut(..syn.len())
            {
                place.copy_from_slice(&syn);
                return Poll::Ready(Ok(Received::plain(syn.len())));
            }
            match self.device.poll_receive(context, buffer) {
                Poll::Ready(Ok(received)) if !self.porter.let_in(&buffer[..received.length]) => {}
                outcome => return outcome,
            }
        }
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        self.device.transmit(frame)
    }

    fn has_room(&mut self) -> bool {
        self.device.has_room()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_room(context)
    }

    fn mac(&self) -> Option<MacAddress> {
        self.device.mac()
    }

    fn mtu(&self) -> u16 {
        self.device.mtu()
    }
}

/// Who calls, when `packet` is an undamaged SYN.
fn caller(packet: &[u8]) -> Option<SocketAddr> {
    let packet = Packet::parse(packet).ok()?;
    let whole = packet.protocol == Protocol::TCP && packet.fragment_offset == 0 && !packet.more_fragments;
    if !whole {
        return None;
    }
    let (header, _) = tcp::Header::parse(packet.payload).ok()?;
    let call =
        header.flags.contains(Flags::SYN) && !header.flags.intersects(Flags(Flags::ACK.0 | Flags::RST.0));
    let pseudo = Sum::pseudo_header(packet.source, packet.destination, Protocol::TCP.0, packet.payload.len());
    (call && tcp::is_whole(packet.payload, pseudo))
        .then(|| SocketAddr::new(packet.source, header.source_port))
}

/// The reset with which a closed port answers `syn`; none for what is no IPv4 packet.
fn reset(syn: &[u8]) -> Option<Vec<u8>> {
    let (ip, segment) = ipv4::Header::parse(syn).ok()?;
    let (call, payload) = tcp::Header::parse(segment).ok()?;
    let answer = tcp::Header {
        source_port: call.destination_port,
        destination_port: call.source_port,
        sequence: SeqNumber(0),
        acknowledgment: call.sequence + (payload.len() as u32 + 1),
        flags: Flags(Flags::RST.0 | Flags::ACK.0),
        window: 0,
        urgent: 0,
        options: tcp::Options::default(),
    };
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::TCP,
        source: ip.destination,
        destination: ip.source,
        options: ipv4::Options::default(),
    };
    let mut packet = vec![0; header.len() + answer.len()];
    header.emit(&mut packet, answer.len());
    let segment = &mut packet[header.len()..];
    answer.emit(segment);
    let ends = [ip.destination, ip.source].map(IpAddr::V4);
    tcp::fill_checksum(segment, Sum::pseudo_header(ends[0], ends[1], Protocol::TCP.0, segment.len()));
    Some(packet)
}
