//! A wire between two devices, whatever hosts are behind them.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use host::Runtime;
use stack::Device;
use tcpip::Descending;

use super::wire::Wire;
use crate::link::Way;

/// Frames that a bridge could not carry.
#[derive(Debug, Default)]
pub struct Unsent {
    /// The device had no room.
    pub full: AtomicU64,
    /// The device refused: it is down, for one.
    pub refused: AtomicU64,
    /// They came longer than their device's MTU: segments that an offload has joined, which no cable carries.
    pub joined: AtomicU64,
}

/// The longest frame, in bytes: a whole IP packet, as a device gives that joins segments.
const LONGEST_FRAME: usize = 65_536 + 256;

/// What may come before the IP packet in a frame, in bytes: an Ethernet header with a VLAN tag.
const HEADERS: usize = 18;

/// Frames that are taken from one side before the other has its turn.
const BATCH: usize = 64;

/// Carries every frame between `near` and `far` over `wire`, until one of them ends.
///
/// # Errors
///
/// Why it ended, and which it was: 0 for `near`, 1 for `far`.
pub async fn bridge<R: Runtime>(
    wire: &Wire<R>,
    near: &mut dyn Device,
    far: &mut dyn Device,
    unsent: &Unsent,
) -> Result<(), (usize, io::Error)> {
    let mut buffer = vec![0; LONGEST_FRAME];
    poll_fn(|context| {
        let ways = [(Way::Out, Way::In), (Way::In, Way::Out)];
        let mut more = false;
        for (index, (out, back)) in ways.into_iter().enumerate() {
            let device = if index == 0 { &mut *near } else { &mut *far };
            match side(wire, device, out, back, unsent, context, &mut buffer) {
                Ok(unfinished) => more |= unfinished,
                Err(error) => return Poll::Ready(Err((index, error))),
            }
        }
        if more {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Moves what there is between one device and the wire; `true` when there may be more.
fn side<R: Runtime>(
    wire: &Wire<R>,
    device: &mut dyn Device,
    out: Way,
    back: Way,
    unsent: &Unsent,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let mut more = [true; 2];
    for _ in 0..BATCH {
        match device.poll_receive(context, buffer) {
            Poll::Ready(received) => {
                let frame = &buffer[..received?.length];
                if frame.len() > usize::from(device.mtu()) + HEADERS {
                    unsent.joined.fetch_add(1, Relaxed);
                } else {
                    wire.offer(out, Bytes::copy_from_slice(frame));
                }
            }
            Poll::Pending => {
                more[0] = false;
                break;
            }
        }
    }
    for _ in 0..BATCH {
        let Poll::Ready(frame) = wire.poll_arrival(back, context) else {
            more[1] = false;
            break;
        };
        if let Err(error) = device.transmit(&Descending::new([&frame, &[]])) {
            let full = error.kind() == io::ErrorKind::WouldBlock;
            let counter = if full { &unsent.full } else { &unsent.refused };
            counter.fetch_add(1, Relaxed);
        }
    }
    Ok(more != [false; 2])
}
