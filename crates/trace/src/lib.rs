//! What the layers tell about a message on its way down, across each hop, and up again.
//!
//! An [`Event`] is small, typed and copied: a segment and why it was sent, a packet and its fate, a frame on a link, a
//! decision. Every layer holds a [`Tracer`]. Where nobody listens it is one pointer that is null, an event is never
//! built ([`Tracer::emit`] takes a closure), and the cost is a branch that is always predicted; `benches/off.rs`
//! measures it.
//!
//! Times are nanoseconds on the clock of the host that emits.

#![forbid(unsafe_code)]

mod event;

pub use event::{Decision, Direction, Drop, Endpoints, Event, Fate, Frame, Message, Packet, Segment, Why};

use std::fmt;
use std::sync::Arc;

/// Who listens. Called from inside the layers: it must be quick and must not call back into them.
pub trait Sink: Send + Sync + 'static {
    /// `event` happened at `at` nanoseconds on the clock of the host named `host`.
    fn record(&self, host: u32, at: u64, event: Event);
}

/// A layer's line to whoever listens, if anybody does.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Line>>);

struct Line {
    host: u32,
    sink: Arc<dyn Sink>,
}

impl Tracer {
    /// Nobody listens.
    pub const OFF: Self = Self(None);

    /// `sink` listens; `host` tells it which host speaks.
    pub fn new(host: u32, sink: Arc<dyn Sink>) -> Self {
        Self(Some(Arc::new(Line { host, sink })))
    }

    /// Whether anybody listens.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells what happened at `at` nanoseconds. `event` is called only when somebody listens.
    #[inline]
    pub fn emit(&self, at: u64, event: impl FnOnce() -> Event) {
        if let Some(line) = &self.0 {
            record(line, at, event());
        }
    }
}

/// Apart and cold, so that the layers' own code stays short.
#[cold]
fn record(line: &Line, at: u64, event: Event) {
    line.sink.record(line.host, at, event);
}

impl fmt::Debug for Tracer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(u32, u64, Event)>>);

    impl Sink for Heard {
        fn record(&self, host: u32, at: u64, event: Event) {
            self.0.lock().unwrap().push((host, at, event));
        }
    }

    #[test]
    fn an_event_is_built_only_when_somebody_listens() {
        Tracer::OFF.emit(1, || unreachable!("nobody listens"));
        let heard = Arc::new(Heard::default());
        let frame =
            Event::Frame(Frame { interface: 0, direction: Direction::Up, len: 60, fate: Fate::Accepted });
        Tracer::new(7, heard.clone()).emit(42, || frame);
        assert_eq!(*heard.0.lock().unwrap(), [(7, 42, frame)]);
    }
}
