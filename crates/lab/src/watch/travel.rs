//! Which of the frames under way it is that has come to a cable's end.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Port, Stamp};
use crate::link::Way;

/// Frames under way on one direction of a cable that are told apart; beyond, the oldest are given up.
const UNDER_WAY: usize = 16_384;
/// Of these, frames that have arrived: they may do so twice.
const ARRIVED: usize = 64;
/// Bytes in which a frame may differ from the one that set out: a bit that was flipped, or a congestion mark and what the
/// checksum makes of it.
const CHANGED: usize = 4;

/// A direction of a cable.
type Place = (Port, Way);

/// All frames under way.
#[derive(Default)]
pub(super) struct Travelling(BTreeMap<(Port, bool), Lane>);

#[derive(Default)]
struct Lane {
    frames: VecDeque<Frame>,
    arrived: usize,
}

struct Frame {
    bytes: Bytes,
    stamp: Stamp,
    has_arrived: bool,
}

impl Travelling {
    /// A frame sets out.
    pub(super) fn start(&mut self, place: Place, frame: &Bytes, stamp: Stamp) {
        let lane = self.0.entry(key(place)).or_default();
        if lane.frames.len() >= UNDER_WAY
            && let Some(gone) = lane.frames.pop_front()
        {
            lane.arrived -= usize::from(gone.has_arrived);
        }
        lane.frames.push_back(Frame { bytes: frame.clone(), stamp, has_arrived: false });
    }

    /// Which frame it is that has come to the end, or was lost on the way.
    pub(super) fn find(&mut self, place: Place, frame: &Bytes) -> Option<Stamp> {
        let lane = self.0.get_mut(&key(place))?;
        // A frame that nothing has changed is in the same memory still, which we hold, so that no other can be there.
        let same = |known: &Frame| known.bytes.as_ptr() == frame.as_ptr() && known.bytes.len() == frame.len();
        let number = lane.frames.iter().position(same).or_else(|| lane.most_alike(frame))?;
        let found = &mut lane.frames[number];
        let stamp = found.stamp;
        lane.arrived += usize::from(!found.has_arrived);
        found.has_arrived = true;
        if lane.arrived > ARRIVED
            && let Some(oldest) = lane.frames.iter().position(|known| known.has_arrived)
        {
            lane.frames.remove(oldest);
            lane.arrived -= 1;
        }
        Some(stamp)
    }
}

impl Lane {
    fn most_alike(&self, frame: &[u8]) -> Option<usize> {
        let alike = self.frames.iter().enumerate().filter(|(_, known)| known.bytes.len() == frame.len());
        let differences = |known: &Frame| known.bytes.iter().zip(frame).filter(|(a, b)| a != b).count();
        alike
            .map(|(number, known)| (differences(known), number))
            .min()
            .filter(|(differences, _)| *differences <= CHANGED)
            .map(|(_, number)| number)
    }
}

fn key((port, way): Place) -> (Port, bool) {
    (port, way == Way::In)
}
