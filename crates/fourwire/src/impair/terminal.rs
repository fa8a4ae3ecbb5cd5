//! The terminal: keys as they are pressed, and a line that is written again and again.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A key that stands for itself.
    Character(char),
    /// End of the input.
    End,
}

/// Keys, as they are pressed. Dropping it gives the terminal back as it was.
pub(super) struct Keys {
    pressed: mpsc::Receiver<Key>,
    ended: Arc<AtomicBool>,
    before: Termios,
}

impl Keys {
    /// Listens to the keys; `None` when standard input is no terminal.
    pub(super) fn listen() -> Option<Self> {
        let input = io::stdin();
        if !input.is_terminal() {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut mode = before.clone();
        // Signals stay what they are: Ctrl-C ends it.
        mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read comes back after 0.2 s at the latest, to see whether anybody still listens.
        mode.special_codes[SpecialCodeIndex::VMIN] = 0;
        mode.special_codes[SpecialCodeIndex::VTIME] = 2;
        tcsetattr(&input, OptionalActions::Now, &mode).ok()?;
        let (sender, pressed) = mpsc::channel(16);
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        // A thread of its own: a terminal has no other way to wait for keys than to read.
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || {
                let mut byte = [0];
                while !stop.load(Relaxed) {
                    match io::stdin().lock().read(&mut byte) {
                        Ok(0) => {}
                        Ok(_) => drop(sender.try_send(Key::Character(char::from(byte[0])))),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => {
                            let _ = sender.blocking_send(Key::End);
                            return;
                        }
                    }
                }
            })
            .ok()?;
        Some(Self { pressed, ended, before })
    }

    /// The next key. Cancel-safe.
    pub(super) async fn next(&mut self) -> Key {
        self.pressed.recv().await.unwrap_or(Key::End)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Where lines are written: one that is written again where there is a terminal, else one after the other.
pub(super) struct Screen {
    live: bool,
    /// A live line stands on the screen.
    dirty: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { live: io::stdout().is_terminal(), dirty: false }
    }

    /// Whether the line is written again in place.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// The line that says how things are.
    pub(super) fn status(&mut self, line: &str) {
        if self.live {
            // Not wrapped, for only one line can be written again; then cleared to its end.
            self.write(&format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
            self.dirty = true;
        } else {
            self.write(&format!("{line}\n"));
        }
    }

    /// Something that happened, which stays.
    pub(super) fn say(&mut self, text: &str) {
        let clear = if std::mem::take(&mut self.dirty) { "\r\x1b[K" } else { "" };
        self.write(&format!("{clear}{}\n", text.trim_end()));
    }

    /// The live line stays as the last it said.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.write("\n");
        }
    }

    fn write(&self, text: &str) {
        let mut out = io::stdout();
        // Nobody reading is no reason to stop carrying.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
