//! Keys, as they are pressed in a terminal.

#[cfg(unix)]
pub(super) use unix::Keys;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "no terminal is listened to there"))]
pub(super) enum Key {
    /// A key that stands for itself.
    Character(char),
    /// End of the input.
    End,
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
    use tokio::sync::mpsc;

    use super::Key;

    /// Keys, as they are pressed. Dropping it gives the terminal back as it was.
    pub(in super::super) struct Keys {
        pressed: mpsc::Receiver<Key>,
        ended: Arc<AtomicBool>,
        before: Termios,
    }

    impl Keys {
        /// Listens to the keys; `None` when standard input is no terminal.
        pub(in super::super) fn listen() -> Option<Self> {
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
        pub(in super::super) async fn next(&mut self) -> Key {
            self.pressed.recv().await.unwrap_or(Key::End)
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            self.ended.store(true, Relaxed);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Elsewhere there are none.
#[cfg(not(unix))]
pub(super) struct Keys;

#[cfg(not(unix))]
impl Keys {
    pub(super) fn listen() -> Option<Self> {
        None
    }

    pub(super) async fn next(&mut self) -> Key {
        std::future::pending().await
    }
}
