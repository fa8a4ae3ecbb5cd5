//! Sessions whose connection only carries what the server says: what their clients say comes by requests of their own,
//! on whatever connection and shard, and is brought here to the session by its name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use host::Runtime;
use tokio::sync::mpsc;

/// Frames of one session that may wait for its task.
const WAITING: usize = 64;

/// The sessions that can be found by name, of all shards.
#[derive(Debug, Default)]
pub(crate) struct Emulated(Mutex<HashMap<String, mpsc::Sender<Bytes>>>);

/// What is posted to one session, for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Inbox {
    all: Arc<Emulated>,
    pub(crate) name: String,
    pub(crate) frames: mpsc::Receiver<Bytes>,
}

/// Why a frame does not come to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unposted {
    #[error("there is no such session: connect again")]
    Unknown,
    #[error("too much waits for that session: try again later")]
    Full,
}

impl Emulated {
    /// A new session's inbox, under a name that nobody can guess.
    pub(crate) fn open(self: &Arc<Self>, runtime: &impl Runtime) -> Inbox {
        let mut name = [0; 16];
        runtime.random("emulation").fill(&mut name);
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let (sender, frames) = mpsc::channel(WAITING);
        self.lock().insert(name.clone(), sender);
        Inbox { all: self.clone(), name, frames }
    }

    /// Brings a frame to the session of that name.
    pub(crate) fn post(&self, name: &str, frame: Bytes) -> Result<(), Unposted> {
        let sender = self.lock().get(name).cloned().ok_or(Unposted::Unknown)?;
        sender.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unposted::Full,
            mpsc::error::TrySendError::Closed(_) => Unposted::Unknown,
        })
    }

    /// The table is whole at every step.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}
