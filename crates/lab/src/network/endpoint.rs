//! One end of a stream, as a value: what it keeps until it is acknowledged, and what it keeps until it is read.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::task::Waker;

use bytes::{Buf, Bytes, BytesMut};

/// One end of a stream.
pub(super) struct Endpoint {
    // Sending. All counts are bytes since the beginning of the stream.
    unsent: VecDeque<Bytes>,
    written: u64,
    sent: u64,
    acknowledged: u64,
    /// How far the peer lets us send.
    edge: u64,
    /// Nothing will be written any more.
    finished: bool,
    fin_sent: bool,
    // Receiving.
    unread: VecDeque<Bytes>,
    unread_bytes: usize,
    arrived: u64,
    /// How far we last let the peer send.
    offered: u64,
    peer_finished: bool,
    // Both.
    pub(super) error: Option<ErrorKind>,
    /// The connection was made, as far as this end knows.
    pub(super) established: bool,
    /// The program let go of this end, or its machine crashed.
    pub(super) gone: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// What an end has to send next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Bytes(Bytes),
    Fin,
}

impl Endpoint {
    /// An end whose peer can keep `window` bytes.
    pub(super) fn new(window: usize) -> Self {
        Self {
            unsent: VecDeque::new(),
            written: 0,
            sent: 0,
            acknowledged: 0,
            edge: window as u64,
            finished: false,
            fin_sent: false,
            unread: VecDeque::new(),
            unread_bytes: 0,
            arrived: 0,
            offered: window as u64,
            peer_finished: false,
            error: None,
            established: false,
            gone: false,
            reader: None,
            writer: None,
        }
    }

    /// Bytes written that the peer has not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        (self.written - self.acknowledged) as usize
    }

    pub(super) fn unread_bytes(&self) -> usize {
        self.unread_bytes
    }

    /// Whether a read has something to say.
    pub(super) fn is_readable(&self) -> bool {
        self.unread_bytes > 0 || self.peer_finished || self.error.is_some()
    }

    /// Whether a write has something to say.
    pub(super) fn is_writable(&self, capacity: usize) -> bool {
        self.unacknowledged() < capacity || self.finished || self.error.is_some()
    }

    /// Takes as much of `slices` as there is room for.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], capacity: usize) -> io::Result<usize> {
        match self.error {
            // As Linux has it: whoever saw the peer's end before the reset learns that the pipe is broken.
            Some(ErrorKind::ConnectionReset) if self.peer_finished => {
                return Err(ErrorKind::BrokenPipe.into());
            }
            Some(kind) => return Err(kind.into()),
            None if self.finished => return Err(ErrorKind::BrokenPipe.into()),
            None => {}
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let room = capacity.saturating_sub(self.unacknowledged());
        if wanted == 0 {
            return Ok(0);
        }
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = wanted.min(room);
        let mut bytes = BytesMut::with_capacity(taken);
        for slice in slices {
            let part = slice.len().min(taken - bytes.len());
            bytes.extend_from_slice(&slice[..part]);
        }
        self.unsent.push_back(bytes.freeze());
        self.written += taken as u64;
        Ok(taken)
    }

    /// Ends our direction once all that was written is sent.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// What may be sent now, at most `segment` bytes of it.
    pub(super) fn next(&mut self, segment: usize) -> Option<Next> {
        if self.error.is_some() {
            return None;
        }
        let Some(front) = self.unsent.front_mut() else {
            let fin = self.finished && !self.fin_sent;
            self.fin_sent |= fin;
            return fin.then_some(Next::Fin);
        };
        let allowed = usize::try_from(self.edge - self.sent).unwrap_or(usize::MAX).min(segment);
        if allowed == 0 {
            return None;
        }
        let bytes = if front.len() <= allowed { self.unsent.pop_front()? } else { front.split_to(allowed) };
        self.sent += bytes.len() as u64;
        Some(Next::Bytes(bytes))
    }

    /// The peer has received `arrived` bytes and takes up to `edge`.
    pub(super) fn acknowledge(&mut self, arrived: u64, edge: u64) {
        self.acknowledged = self.acknowledged.max(arrived);
        self.edge = self.edge.max(edge);
    }

    /// Bytes have arrived.
    pub(super) fn arrive(&mut self, bytes: Bytes) {
        self.arrived += bytes.len() as u64;
        self.unread_bytes += bytes.len();
        self.unread.push_back(bytes);
    }

    /// The peer's direction has ended.
    pub(super) fn arrive_fin(&mut self) {
        self.peer_finished = true;
    }

    /// Reads what is there: what had arrived before a reset can still be read, as on Linux.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len()
            && let Some(front) = self.unread.front_mut()
        {
            let part = front.len().min(buffer.len() - filled);
            front.copy_to_slice(&mut buffer[filled..filled + part]);
            if front.is_empty() {
                self.unread.pop_front();
            }
            filled += part;
        }
        self.unread_bytes -= filled;
        match self.error {
            _ if filled > 0 || buffer.is_empty() || self.peer_finished => Ok(filled),
            Some(kind) => Err(kind.into()),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// What to tell the peer about what has arrived.
    pub(super) fn acknowledgement(&mut self, capacity: usize) -> (u64, u64) {
        self.offered = self.arrived - self.unread_bytes as u64 + capacity as u64;
        (self.arrived, self.offered)
    }

    /// Whether reading has made so much room that the peer must hear of it (RFC 9293, section 3.8.6.2.2).
    pub(super) fn has_room_to_offer(&self, capacity: usize) -> bool {
        let edge = self.arrived - self.unread_bytes as u64 + capacity as u64;
        edge - self.offered >= (capacity as u64).div_ceil(2)
    }

    /// The end of everything. What was not sent is lost, and what was not read too unless `readable`.
    pub(super) fn fail(&mut self, error: ErrorKind, readable: bool) {
        self.error.get_or_insert(error);
        self.unsent.clear();
        self.acknowledged = self.written;
        if !readable {
            self.unread.clear();
            self.unread_bytes = 0;
            self.peer_finished = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(end: &mut Endpoint, bytes: &[u8], capacity: usize) -> io::Result<usize> {
        end.write(&[IoSlice::new(bytes)], capacity)
    }

    #[test]
    fn sending_stops_at_the_edge_and_writing_at_the_capacity() {
        let mut end = Endpoint::new(4);
        assert_eq!(write(&mut end, b"abcdefgh", 6).unwrap(), 6);
        assert_eq!(write(&mut end, b"gh", 6).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(end.next(3), Some(Next::Bytes(Bytes::from_static(b"abc"))));
        assert_eq!(end.next(3), Some(Next::Bytes(Bytes::from_static(b"d"))));
        assert_eq!(end.next(3), None);
        end.finish();
        assert_eq!(end.next(3), None);
        end.acknowledge(4, 8);
        assert_eq!(end.unacknowledged(), 2);
        assert_eq!(end.next(3), Some(Next::Bytes(Bytes::from_static(b"ef"))));
        assert_eq!(end.next(3), Some(Next::Fin));
        assert_eq!(end.next(3), None);
        assert_eq!(write(&mut end, b"x", 6).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_reader_that_makes_room_says_so_before_the_sender_starves() {
        let capacity = 5;
        let mut end = Endpoint::new(capacity);
        end.arrive(Bytes::from_static(b"abcde"));
        assert_eq!(end.acknowledgement(capacity), (5, 5));
        let mut byte = [0];
        for expected in [false, false, true] {
            end.read(&mut byte).unwrap();
            assert_eq!(end.has_room_to_offer(capacity), expected);
        }
        assert_eq!(end.acknowledgement(capacity), (5, 8));
    }

    #[test]
    fn what_came_before_a_reset_can_be_read() {
        let mut end = Endpoint::new(16);
        end.arrive(Bytes::from_static(b"last words"));
        end.fail(ErrorKind::ConnectionReset, true);
        let mut buffer = [0; 16];
        assert_eq!(end.read(&mut buffer).unwrap(), 10);
        assert_eq!(end.read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
