//! The line at the terminal that is written again and again.

use std::io::{self, IsTerminal, Write};

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
