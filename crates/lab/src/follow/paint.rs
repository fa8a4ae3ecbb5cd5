//! Lines of a picture: pieces of text, some in colours, and a time at the right margin.

use std::time::Duration;

/// Columns of a picture.
pub(super) const WIDTH: usize = 100;

/// How a piece looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Faint,
    Application,
    Transport,
    Internet,
    Link,
    Lost,
    Good,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Application => "35",
            Self::Transport => "32",
            Self::Internet => "33",
            Self::Link => "34",
            Self::Lost => "1;31",
            Self::Good => "1;32",
        }
    }
}

/// Text that grows line by line.
pub(super) struct Canvas {
    text: String,
    has_colours: bool,
}

impl Canvas {
    pub(super) fn new(has_colours: bool) -> Self {
        Self { text: String::new(), has_colours }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A line of pieces from the left, and one at the right margin. What does not fit is cut off before it.
    pub(super) fn line(&mut self, pieces: &[(Ink, &str)], right: (Ink, &str)) {
        let reserved = if right.1.is_empty() { 0 } else { width(right.1) + 1 };
        let mut room = WIDTH - reserved;
        for &(ink, piece) in pieces {
            let shown = fit(piece, room);
            room -= width(&shown);
            self.put(ink, &shown);
        }
        if !right.1.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', room + 1));
            self.put(right.0, right.1);
        }
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push('\n');
    }

    fn put(&mut self, ink: Ink, piece: &str) {
        if !self.has_colours || ink == Ink::Plain || piece.trim().is_empty() {
            self.text.push_str(piece);
            return;
        }
        self.text.push_str("\x1b[");
        self.text.push_str(ink.code());
        self.text.push('m');
        self.text.push_str(piece);
        self.text.push_str("\x1b[0m");
    }
}

/// Columns of a text, by its letters.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

/// A text in no more than so many columns.
pub(super) fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(room.saturating_sub(1)).collect();
    if room > 0 {
        shown.push('…');
    }
    shown
}

/// A duration as people read it: three digits behind the point.
pub(super) fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{}.{:03} {name}", nanos / unit, nanos % unit * 1_000 / unit)
}

/// Bytes in groups of four, 32 a line.
pub(super) fn hex(bytes: &[u8]) -> Vec<String> {
    let group = |group: &[u8]| group.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = |line: &[u8]| line.chunks(4).map(group).collect::<Vec<_>>().join(" ");
    bytes.chunks(32).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_bytes_are_readable() {
        assert_eq!(time(Duration::from_nanos(999)), "999 ns");
        assert_eq!(time(Duration::from_nanos(1_234)), "1.234 µs");
        assert_eq!(time(Duration::from_micros(40_020)), "40.020 ms");
        assert_eq!(time(Duration::from_millis(62_001)), "62.001 s");
        assert_eq!(hex(&[0, 1, 2, 3, 4]), ["00010203 04"]);
        assert_eq!(hex(&[7; 33]).len(), 2);
    }

    #[test]
    fn a_line_fits_and_has_its_end_at_the_margin() {
        let mut canvas = Canvas::new(false);
        canvas.line(&[(Ink::Plain, &"x".repeat(300))], (Ink::Plain, "end"));
        canvas.line(&[(Ink::Bold, "short")], (Ink::Faint, "end"));
        let text = canvas.finish();
        assert!(text.lines().all(|line| width(line) == WIDTH && line.ends_with(" end")), "{text}");
    }
}
