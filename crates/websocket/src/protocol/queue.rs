//! Bytes that wait to be written, frame by frame.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::frame::{self, Opcode};

/// The written start of the copied bytes is cut off when it is longer than this, and longer than what is left.
const COMPACT_FROM: usize = 64 << 10;

/// Places for payloads that an empty queue keeps.
const KEPT_PLACES: usize = 32;

/// Whole frames, in order: small ones copied behind one another, so that they leave in one piece, large ones from where
/// they lie. Pings and pongs overtake data at the next frame's beginning.
#[derive(Default)]
pub(super) struct Queue {
    /// Headers and copied payloads, in order. What was written is cut off lazily.
    copied: Vec<u8>,
    /// How much of `copied` was written.
    copied_written: usize,
    /// Payloads that lie elsewhere, each with the number of unwritten copied bytes between it and the one before it.
    placed: VecDeque<(usize, Payload)>,
    /// Copied bytes behind the last of them.
    copied_last: usize,
    /// Where the buffer of input lies that whoever writes still has at hand, by its addresses.
    lent: Range<usize>,
    /// Bytes in `copied` and `placed` that are not written.
    unwritten: usize,
    /// Bytes left of the data frame that was written in part: nothing may come between.
    frame_left: u64,
    /// Bytes of the last frame that are still to be queued.
    missing: u64,
    /// Pings and pongs; the first may have been written in part.
    control: Vec<Control>,
    /// How much of the first control frame was written.
    control_written: usize,
}

struct Control {
    opcode: Opcode,
    frame: Vec<u8>,
}

/// A payload that was not copied.
enum Payload {
    Shared(Bytes),
    /// So much of the buffer of input.
    Lent(Range<usize>),
}

impl Queue {
    /// Bytes that wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.control.is_empty() {
            return self.unwritten;
        }
        let control: usize = self.control.iter().map(|control| control.frame.len()).sum();
        self.unwritten + control - self.control_written
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.unwritten == 0 && self.control.is_empty() && self.missing == 0
    }

    /// Whether anything can be written now: inside a frame whose rest is still to be queued, nothing can.
    pub(super) fn is_ready(&self) -> bool {
        self.unwritten > 0 || (!self.control.is_empty() && self.frame_left == 0)
    }

    /// Queues what `write` appends, a header with or without its payload. The second argument is where that begins.
    #[inline]
    pub(super) fn copy(&mut self, write: impl FnOnce(&mut Vec<u8>, usize)) {
        let start = self.copied.len();
        write(&mut self.copied, start);
        let more = self.copied.len() - start;
        self.copied_last += more;
        self.unwritten += more;
    }

    /// Queues bytes where they lie: a whole frame, or payload whose header was queued before.
    pub(super) fn share(&mut self, bytes: Bytes) {
        self.unwritten += bytes.len();
        self.placed.push_back((std::mem::take(&mut self.copied_last), Payload::Shared(bytes)));
    }

    /// Says which buffer of input is handled: until [`settle`](Self::settle), what lies in it can be queued where it is.
    pub(super) fn lend_input(&mut self, input: &[u8]) {
        self.lent = input.as_ptr().addr()..input.as_ptr().addr() + input.len();
    }

    /// Queues payload, whose header was queued before, where it lies, if that is in the buffer of input. False when not.
    pub(super) fn place(&mut self, payload: &[u8]) -> bool {
        let start = payload.as_ptr().addr();
        if start < self.lent.start || start + payload.len() > self.lent.end {
            return false;
        }
        let start = start - self.lent.start;
        self.unwritten += payload.len();
        let lent = Payload::Lent(start..start + payload.len());
        self.placed.push_back((std::mem::take(&mut self.copied_last), lent));
        true
    }

    /// Copies what is not written of what lies in the buffer of `input`, which goes.
    pub(super) fn settle(&mut self, input: &[u8]) {
        self.lent = 0..0;
        for (_, payload) in &mut self.placed {
            if let Payload::Lent(range) = payload {
                *payload = Payload::Shared(Bytes::copy_from_slice(&input[range.clone()]));
            }
        }
    }

    /// Says how many bytes of payload are still to be queued for the last frame.
    pub(super) fn set_missing(&mut self, missing: u64) {
        self.missing = missing;
    }

    /// Queues a control frame, ahead of data. When `most` of its kind wait, the newest of them gives way.
    pub(super) fn overtake(&mut self, opcode: Opcode, frame: Vec<u8>, most: usize) {
        let begun = usize::from(self.control_written > 0);
        let mut waiting = self.control.iter_mut().skip(begun).filter(|control| control.opcode == opcode);
        match waiting.nth(most - 1) {
            Some(newest) => newest.frame = frame,
            None => self.control.push(Control { opcode, frame }),
        }
    }

    /// Fills `slices` with what is to be written next and says how many it filled. `input` is the buffer that was lent.
    pub(super) fn transmit<'a>(&'a self, input: &'a [u8], slices: &mut [IoSlice<'a>]) -> usize {
        if self.control.is_empty() && self.placed.is_empty() && self.unwritten > 0 {
            let Some(first) = slices.first_mut() else { return 0 };
            *first = IoSlice::new(&self.copied[self.copied_written..]);
            return 1;
        }
        let mut filled = 0;
        let mut push = |bytes: &'a [u8]| {
            if filled < slices.len() && !bytes.is_empty() {
                slices[filled] = IoSlice::new(bytes);
                filled += 1;
            }
        };
        let mut control = self
            .control
            .iter()
            .enumerate()
            .map(|(index, control)| &control.frame[if index == 0 { self.control_written } else { 0 }..])
            .peekable();
        let mut before_control = usize::try_from(self.frame_left).unwrap_or(usize::MAX);
        for run in self.runs(input) {
            let mut run = run;
            if control.peek().is_some() {
                let (ahead, behind) = run.split_at(before_control.min(run.len()));
                push(ahead);
                before_control -= ahead.len();
                if behind.is_empty() {
                    continue;
                }
                control.by_ref().for_each(&mut push);
                run = behind;
            }
            push(run);
        }
        // Behind all data there is a boundary, unless the last frame is still to be queued in part.
        if before_control == 0 {
            control.for_each(&mut push);
        }
        filled
    }

    /// Takes note that the first `written` bytes of what [`transmit`](Self::transmit) gave were written.
    pub(super) fn advance(&mut self, written: usize) {
        let mut left = written;
        if self.control.is_empty() && left >= self.unwritten {
            self.forget_data();
            return;
        }
        while left > 0 {
            if self.frame_left == 0 && !self.control.is_empty() {
                left -= self.advance_control(left);
                continue;
            }
            if self.unwritten == 0 {
                return;
            }
            let (run, header) = self.front();
            let frame_left =
                if self.frame_left == 0 { frame::own_frame_len(header) } else { self.frame_left };
            let taken = left.min(run).min(usize::try_from(frame_left).unwrap_or(usize::MAX));
            self.advance_data(taken);
            self.frame_left = frame_left - taken as u64;
            left -= taken;
        }
        if self.unwritten == 0 {
            self.forget_data();
        } else if self.copied_written > COMPACT_FROM && self.copied_written > self.copied.len() / 2 {
            self.copied.drain(..self.copied_written);
            self.copied_written = 0;
        }
    }

    /// Moves what little waits to memory of its own size, and gives the buffer back in a queue that is empty.
    pub(super) fn shrink(&mut self) -> Option<Box<Self>> {
        let unwritten = &self.copied[self.copied_written..];
        if self.copied.capacity() <= 4 * unwritten.len() {
            return None;
        }
        let kept = unwritten.to_vec();
        self.copied_written = 0;
        let mut copied = std::mem::replace(&mut self.copied, kept);
        copied.clear();
        Some(Box::new(Self { copied, ..Self::default() }))
    }

    /// Forgets a buffer of more than `most` bytes.
    pub(super) fn trim(&mut self, most: usize) {
        if self.copied.capacity() > most {
            self.copied = Vec::new();
        }
    }

    /// The unwritten data, in order, in as few pieces as it lies in.
    fn runs<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut at = self.copied_written;
        let last = &self.copied[self.copied.len() - self.copied_last..];
        self.placed
            .iter()
            .flat_map(move |(copied, payload)| {
                let before = &self.copied[at..at + copied];
                at += copied;
                let payload = match payload {
                    Payload::Shared(bytes) => &bytes[..],
                    Payload::Lent(range) => &input[range.clone()],
                };
                [before, payload]
            })
            .chain([last])
            .filter(|run| !run.is_empty())
    }

    /// How long the first of the [`runs`](Self::runs) is, and its bytes, unless they are lent: no frame begins in those.
    fn front(&self) -> (usize, &[u8]) {
        let run = match self.placed.front() {
            Some((0, Payload::Lent(range))) => return (range.len(), &[]),
            Some((0, Payload::Shared(bytes))) => &bytes[..],
            Some((copied, _)) => &self.copied[self.copied_written..][..*copied],
            None => &self.copied[self.copied_written..],
        };
        (run.len(), run)
    }

    fn advance_data(&mut self, taken: usize) {
        self.unwritten -= taken;
        match self.placed.front_mut() {
            Some((0, payload)) => {
                if payload.advance(taken) {
                    self.placed.pop_front();
                }
            }
            Some((copied, _)) => {
                *copied -= taken;
                self.copied_written += taken;
            }
            None => {
                self.copied_last -= taken;
                self.copied_written += taken;
            }
        }
    }

    fn advance_control(&mut self, most: usize) -> usize {
        let left = self.control[0].frame.len() - self.control_written;
        let taken = most.min(left);
        if taken < left {
            self.control_written += taken;
        } else {
            self.control_written = 0;
            self.control.remove(0);
            if self.control.is_empty() {
                self.control = Vec::new();
            }
        }
        taken
    }

    fn forget_data(&mut self) {
        self.copied.clear();
        self.copied_written = 0;
        self.copied_last = 0;
        self.unwritten = 0;
        self.frame_left = self.missing;
        self.placed.clear();
        if self.placed.capacity() > KEPT_PLACES {
            self.placed = VecDeque::new();
        }
    }
}

impl Payload {
    /// Forgets the first `taken` bytes, and says whether there are no more.
    fn advance(&mut self, taken: usize) -> bool {
        match self {
            Self::Shared(bytes) => {
                bytes.advance(taken);
                bytes.is_empty()
            }
            Self::Lent(range) => {
                range.start += taken;
                range.start >= range.end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_keeps_its_buffer_and_nothing_else() {
        let mut queue = Queue { copied: Vec::with_capacity(4096), ..Queue::default() };
        queue.copy(|out, _| out.extend_from_slice(&[0x82, 2, 7, 7, 0x82, 1]));
        queue.share(Bytes::from_static(b"x"));
        queue.overtake(Opcode::Pong, vec![0x8A, 0], 1);
        queue.advance(queue.len());
        assert!(queue.is_empty());
        assert_eq!((queue.copied.capacity(), queue.placed.len(), queue.control.capacity()), (4096, 0, 0));
        for _ in 0..=KEPT_PLACES {
            queue.share(Bytes::from_static(b"x"));
        }
        queue.advance(queue.len());
        assert_eq!(queue.placed.capacity(), 0, "what was needed once is not kept");
    }

    /// What a queue would write, `most` bytes at a time.
    fn written(queue: &mut Queue, input: &[u8], most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = queue.transmit(input, &mut slices);
        let mut shown: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        shown.truncate(most);
        queue.advance(shown.len());
        shown
    }

    #[test]
    fn what_lies_in_the_input_is_written_from_there_and_copied_when_that_goes() {
        let input = b"-abcdefgh-".to_vec();
        for most in 1..=24 {
            let mut queue = Queue::default();
            queue.lend_input(&input);
            assert!(!queue.place(b"abcdefgh"), "it lies elsewhere");
            for payload in [&input[1..5], &input[5..9]] {
                queue.copy(|out, _| out.extend_from_slice(&[0x82, 4]));
                assert!(queue.place(payload));
            }
            queue.overtake(Opcode::Pong, vec![0x8A, 0], 1);
            let mut all = written(&mut queue, &input, most);
            queue.settle(&input);
            assert!(!queue.place(&input[..1]), "it is not lent any more");
            while queue.is_ready() {
                all.extend(written(&mut queue, &[], most));
            }
            assert_eq!(all, b"\x8a\0\x82\x04abcd\x82\x04efgh", "{most} at a time");
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn what_is_left_waits_in_memory_of_its_own_size() {
        let mut queue = Queue { copied: Vec::with_capacity(4096), ..Queue::default() };
        queue.copy(|out, _| out.extend_from_slice(&[0x82, 2, 7, 8]));
        queue.advance(3);
        assert_eq!(queue.shrink().map(|empty| empty.copied.capacity()), Some(4096));
        assert_eq!((queue.len(), queue.copied.capacity()), (1, 1));
        let mut slices = [IoSlice::new(&[])];
        assert_eq!((queue.transmit(&[], &mut slices), &slices[0][..]), (1, &[8][..]));
    }

    #[test]
    fn nothing_comes_between_the_parts_of_a_frame_that_is_queued_in_parts() {
        let mut queue = Queue::default();
        queue.copy(|out, _| out.extend_from_slice(&[0x82, 3, 1]));
        queue.set_missing(2);
        queue.advance(1);
        queue.overtake(Opcode::Pong, vec![0x8A, 0], 1);
        let written = |queue: &mut Queue| written(queue, &[], usize::MAX);
        assert_eq!(written(&mut queue), [3, 1]);
        assert!(!queue.is_ready() && !queue.is_empty());
        assert_eq!(written(&mut queue), []);
        queue.copy(|out, _| out.push(2));
        queue.set_missing(1);
        assert_eq!(written(&mut queue), [2]);
        queue.copy(|out, _| out.extend_from_slice(&[3]));
        queue.set_missing(0);
        assert!(queue.is_ready());
        assert_eq!(written(&mut queue), [3, 0x8A, 0]);
        assert!(queue.is_empty());
    }
}
