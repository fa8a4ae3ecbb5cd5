//! Streams: how their two ends meet, talk and part.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use host::Instant;

use super::endpoint::{Endpoint, Next};
use super::{Load, Packet, Segment};
use crate::faults::Crash;
use crate::state::{Happening, State};
use crate::transcript::{Event, short_hash};

/// A connection request that found the listener's queue full is sent again after one second, then two, then four.
const SYN_ATTEMPTS: u32 = 5;

/// A stream, from the call to when both ends are gone.
pub(super) struct Stream {
    pub(super) ends: [Endpoint; 2],
    machines: [usize; 2],
    pub(super) addresses: [SocketAddr; 2],
    /// When the last segment to each end arrives: none overtakes another.
    last_arrival: [Instant; 2],
}

impl State {
    /// Calls `remote` from `machine`, and gives the stream's number; this end is 0.
    pub(super) fn dial(&mut self, machine: usize, remote: SocketAddr) -> io::Result<u64> {
        let Some(target) = self.net.machine_at(machine, remote.ip()) else {
            return Err(ErrorKind::HostUnreachable.into());
        };
        let source = self.net.source(machine, remote.ip());
        let remote = match remote.ip().is_unspecified() {
            true => SocketAddr::new(source, remote.port()),
            false => remote,
        };
        let port = self.net.free_port(machine, |net, port| {
            let local = SocketAddr::new(source, port);
            net.streams.values().any(|stream| stream.addresses == [local, remote])
        });
        let local = SocketAddr::new(source, port.ok_or(ErrorKind::AddrNotAvailable)?);
        let number = self.net.number();
        let end = || Endpoint::new(self.config.receive_buffer);
        let stream = Stream {
            ends: [end(), end()],
            machines: [machine, target],
            addresses: [local, remote],
            last_arrival: [Instant::ORIGIN; 2],
        };
        self.net.streams.insert(number, stream);
        self.record(machine, Event::Connect { from: local, to: remote });
        self.send(number, 1, Segment::Syn { attempt: 0 });
        Ok(number)
    }

    /// Ready when the call of `stream` was answered.
    pub(super) fn poll_dialed(&mut self, stream: u64, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.net.streams.get_mut(&stream) else {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        };
        let end = &mut stream.ends[0];
        if let Some(error) = end.error {
            return Poll::Ready(Err(error.into()));
        }
        if end.established {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn write(&mut self, stream: u64, end: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let capacity = self.config.send_buffer;
        let written = self.end(stream, end)?.write(slices, capacity)?;
        self.transmit(stream, end);
        Ok(written)
    }

    pub(super) fn finish(&mut self, stream: u64, end: usize) -> io::Result<()> {
        self.end(stream, end)?.finish();
        self.transmit(stream, end);
        Ok(())
    }

    pub(super) fn read(&mut self, stream: u64, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let capacity = self.config.receive_buffer;
        let endpoint = self.end(stream, end)?;
        let read = endpoint.read(buffer)?;
        if endpoint.error.is_none() && endpoint.has_room_to_offer(capacity) {
            self.acknowledge(stream, end);
        }
        Ok(read)
    }

    /// One end of a stream. It is there for as long as its handle is.
    pub(super) fn end(&mut self, stream: u64, end: usize) -> io::Result<&mut Endpoint> {
        match self.net.streams.get_mut(&stream) {
            Some(stream) => Ok(&mut stream.ends[end]),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// One way between the ends of `stream`.
    pub(super) fn stream_latency(&self, stream: u64) -> Option<Duration> {
        let stream = self.net.streams.get(&stream)?;
        Some(self.latency(stream.machines[0], stream.machines[1]))
    }

    /// The program throws its end away: the peer sees a reset.
    pub(super) fn abort(&mut self, stream: u64, end: usize) {
        let Ok(endpoint) = self.end(stream, end) else { return };
        let alive = endpoint.error.is_none();
        endpoint.fail(ErrorKind::ConnectionAborted, false);
        // Whatever it was before, from now on it is our doing.
        endpoint.error = Some(ErrorKind::ConnectionAborted);
        self.wake(stream, end);
        if alive {
            self.send(stream, 1 - end, Segment::Reset);
        }
    }

    /// The program lets go of its end: in the orderly way, unless it leaves bytes unread, which is a reset as it is with
    /// real sockets (RFC 2525, section 2.17).
    pub(super) fn let_go(&mut self, stream: u64, end: usize) {
        let Ok(endpoint) = self.end(stream, end) else { return };
        if std::mem::replace(&mut endpoint.gone, true) {
            return;
        }
        let alive = endpoint.error.is_none();
        if endpoint.unread_bytes() > 0 || (end == 0 && !endpoint.established) {
            endpoint.fail(ErrorKind::ConnectionAborted, false);
            if alive {
                self.send(stream, 1 - end, Segment::Reset);
            }
        } else {
            endpoint.finish();
            self.transmit(stream, end);
        }
        self.forget_if_over(stream);
    }

    pub(super) fn arrive_segment(&mut self, stream: u64, end: usize, segment: Segment) {
        let Ok(endpoint) = self.end(stream, end) else { return };
        if endpoint.gone && matches!(segment, Segment::Bytes(_) | Segment::SynAck) {
            // Nobody will ever read this.
            endpoint.fail(ErrorKind::ConnectionAborted, false);
            self.send(stream, 1 - end, Segment::Reset);
            return;
        }
        if endpoint.error.is_some() && !matches!(segment, Segment::Refuse(_)) {
            return;
        }
        let peers = self.net.streams[&stream].addresses;
        let (from, to) = (peers[1 - end], peers[end]);
        match segment {
            Segment::Syn { attempt } => self.arrive_syn(stream, attempt),
            Segment::SynAck => {
                self.with_end(stream, end, |endpoint| endpoint.established = true);
                self.wake(stream, end);
            }
            Segment::Refuse(error) => self.fail_dial(stream, error),
            Segment::Bytes(bytes) => {
                let event = Event::Bytes { from, to, length: bytes.len(), hash: short_hash(&bytes) };
                self.record_at(stream, end, event);
                self.with_end(stream, end, |endpoint| endpoint.arrive(bytes));
                self.acknowledge(stream, end);
                self.wake_reader(stream, end);
            }
            Segment::Acknowledge { arrived, edge } => {
                self.with_end(stream, end, |endpoint| endpoint.acknowledge(arrived, edge));
                self.transmit(stream, end);
                self.wake_writer(stream, end);
            }
            Segment::Fin => {
                self.record_at(stream, end, Event::End { from, to });
                self.with_end(stream, end, Endpoint::arrive_fin);
                self.wake_reader(stream, end);
            }
            Segment::Reset => {
                self.record_at(stream, end, Event::Reset { from, to });
                self.with_end(stream, end, |endpoint| endpoint.fail(ErrorKind::ConnectionReset, true));
                self.wake(stream, end);
                self.forget_if_over(stream);
            }
        }
    }

    /// A call has arrived: a listener takes it, or it is refused.
    fn arrive_syn(&mut self, stream: u64, attempt: u32) {
        let Stream { machines, addresses: [from, to], .. } = self.net.streams[&stream];
        match self.net.deal(machines[1], to) {
            None => self.send(stream, 0, Segment::Refuse(ErrorKind::ConnectionRefused)),
            Some(None) if attempt < SYN_ATTEMPTS => {
                let at = self.now + Duration::from_secs(1 << attempt);
                let packet = packet(machines, stream, 1, Segment::Syn { attempt: attempt + 1 });
                self.queue.schedule(at, Happening::Arrive(packet));
            }
            Some(None) => self.send(stream, 0, Segment::Refuse(ErrorKind::TimedOut)),
            Some(Some(number)) => {
                let listener = self.net.listeners.get_mut(&number).expect("it was dealt just now");
                listener.arrived.push_back(stream);
                let shard = listener.shard;
                self.wakers.extend(listener.waker.take());
                self.with_end(stream, 1, |endpoint| endpoint.established = true);
                self.record(machines[1], Event::Accept { shard, from, to });
                self.send(stream, 0, Segment::SynAck);
            }
        }
    }

    fn fail_dial(&mut self, stream: u64, error: ErrorKind) {
        let Stream { machines, addresses: [from, to], .. } = self.net.streams[&stream];
        self.record(machines[0], Event::Failed { from, to, error });
        for end in [0, 1] {
            self.with_end(stream, end, |endpoint| endpoint.fail(error, false));
        }
        self.wake(stream, 0);
        self.forget_if_over(stream);
    }

    /// Resets every stream of `machine` at both ends.
    pub(crate) fn reset_connections(&mut self, machine: usize) {
        for stream in self.net.streams_of(machine) {
            for end in [0, 1] {
                let Stream { addresses, .. } = self.net.streams[&stream];
                let event = Event::Reset { from: addresses[1 - end], to: addresses[end] };
                self.record_at(stream, end, event);
                self.with_end(stream, end, |endpoint| endpoint.fail(ErrorKind::ConnectionReset, true));
                self.wake(stream, end);
            }
            self.forget_if_over(stream);
        }
    }

    /// Takes away everything that `machine` has open.
    pub(crate) fn crash(&mut self, machine: usize, crash: Crash) {
        self.net.machines[machine].life += 1;
        // Wakers are foreign code: they go when the lock is released.
        let listeners = self.net.listeners.extract_if(.., |_, listener| listener.machine == machine);
        self.wakers.extend(listeners.filter_map(|(_, listener)| listener.waker));
        let sockets = self.net.sockets.extract_if(.., |_, socket| socket.machine == machine);
        self.wakers.extend(sockets.filter_map(|(_, socket)| socket.waker));
        for stream in self.net.streams_of(machine) {
            for end in [0, 1] {
                if self.net.streams.get(&stream).is_none_or(|stream| stream.machines[end] != machine) {
                    continue;
                }
                let endpoint = &mut self.net.streams.get_mut(&stream).expect("checked above").ends[end];
                let alive = endpoint.error.is_none();
                endpoint.fail(ErrorKind::ConnectionReset, false);
                endpoint.gone = true;
                self.wake(stream, end);
                if alive && crash == Crash::Reset {
                    self.send(stream, 1 - end, Segment::Reset);
                }
            }
            self.forget_if_over(stream);
        }
    }

    fn acknowledge(&mut self, stream: u64, end: usize) {
        let capacity = self.config.receive_buffer;
        let Ok(endpoint) = self.end(stream, end) else { return };
        let (arrived, edge) = endpoint.acknowledgement(capacity);
        self.send(stream, 1 - end, Segment::Acknowledge { arrived, edge });
    }

    /// Sends what may be sent.
    fn transmit(&mut self, stream: u64, end: usize) {
        let segment = self.config.segment;
        while let Some(next) = self.end(stream, end).ok().and_then(|endpoint| endpoint.next(segment)) {
            let segment = match next {
                Next::Bytes(bytes) => Segment::Bytes(bytes),
                Next::Fin => Segment::Fin,
            };
            self.send(stream, 1 - end, segment);
        }
    }

    /// Sends `segment` to one end of `stream`.
    fn send(&mut self, stream: u64, to: usize, segment: Segment) {
        let machines = self.net.streams[&stream].machines;
        let latency = self.latency(machines[0], machines[1]);
        let last = &mut self.net.streams.get_mut(&stream).expect("indexed above").last_arrival[to];
        *last = (self.now + latency).max(*last);
        self.queue.schedule(*last, Happening::Arrive(packet(machines, stream, to, segment)));
    }

    fn with_end(&mut self, stream: u64, end: usize, change: impl FnOnce(&mut Endpoint)) {
        if let Ok(endpoint) = self.end(stream, end) {
            change(endpoint);
        }
    }

    fn record_at(&mut self, stream: u64, end: usize, event: Event) {
        let machine = self.net.streams[&stream].machines[end];
        self.record(machine, event);
    }

    fn wake(&mut self, stream: u64, end: usize) {
        self.wake_reader(stream, end);
        self.wake_writer(stream, end);
    }

    fn wake_reader(&mut self, stream: u64, end: usize) {
        let waker = self.end(stream, end).ok().and_then(|endpoint| endpoint.reader.take());
        self.wakers.extend(waker);
    }

    fn wake_writer(&mut self, stream: u64, end: usize) {
        let capacity = self.config.send_buffer;
        let waker = self
            .end(stream, end)
            .ok()
            .filter(|endpoint| endpoint.is_writable(capacity))
            .and_then(|endpoint| endpoint.writer.take());
        self.wakers.extend(waker);
    }

    /// A stream that nobody holds is over: what is still on its way for it is ignored.
    fn forget_if_over(&mut self, stream: u64) {
        let over = |Stream { ends: [calling, called], .. }: &Stream| {
            // Before a listener took the call, nobody held the other end.
            calling.gone && (called.gone || (!called.established && called.error.is_some()))
        };
        if self.net.streams.get(&stream).is_some_and(over)
            && let Some(stream) = self.net.streams.remove(&stream)
        {
            // Wakers are foreign code: they go when the lock is released.
            for end in stream.ends {
                self.wakers.extend(end.reader.into_iter().chain(end.writer));
            }
        }
    }
}

impl super::Net {
    fn streams_of(&self, machine: usize) -> Vec<u64> {
        let ours = |(_, stream): &(&u64, &Stream)| stream.machines.contains(&machine);
        self.streams.iter().filter(ours).map(|(number, _)| *number).collect()
    }
}

fn packet(machines: [usize; 2], stream: u64, end: usize, segment: Segment) -> Packet {
    Packet { from: machines[1 - end], to: machines[end], load: Load::Stream { stream, end, segment } }
}
