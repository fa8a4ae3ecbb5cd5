//! What the person at the terminal is told while it runs, and at the end.

#[cfg(target_os = "linux")]
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lab::Lost;
use lab::live::Report;
#[cfg(target_os = "linux")]
use lab::live::Unsent;

/// What has been seen of a path so far, to tell what is new.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    report: Report,
}

/// The words of the two directions.
const DIRECTIONS: [&str; 2] = ["up", "down"];

impl Seen {
    /// Whether anything has happened since that is worth a line.
    pub(super) fn differs(&self, report: &Report) -> bool {
        let telling = |report: &Report| {
            (
                report.open,
                report.accepted,
                report.over_limit,
                report.unreached,
                report.carried,
                report.datagrams,
                report.silenced,
                report.wire.map(|wire| (wire.offered, wire.lost_in_all())),
            )
        };
        telling(&self.report) != telling(report)
    }

    /// One line: how much came out in the last `period`, and the rest since the beginning.
    pub(super) fn line(&mut self, report: Report, period: Duration) -> String {
        let mut line = format!("{} open", report.open);
        if report.unreached > 0 {
            line += &format!(", {} unreached", report.unreached);
        }
        if report.over_limit > 0 {
            line += &format!(", {} over the limit", report.over_limit);
        }
        for (at, word) in DIRECTIONS.into_iter().enumerate() {
            let bytes = report.carried[at] - self.report.carried[at].min(report.carried[at]);
            let wire = report.wire[at];
            line += &format!(" | {word} {}", rate(bytes, period));
            if report.datagrams[at] > 0 {
                line += &format!(" {} datagrams", report.datagrams[at]);
            }
            if let Some(time) = report.round_trip[at] {
                line += &format!(" rtt {}", duration(time));
            }
            line += &format!(
                " resent {} lost {} queue {}",
                report.resent[at].total(),
                wire.lost_in_all() + report.silenced[at] + report.overflowed[at],
                size(wire.queued_bytes)
            );
        }
        self.report = report;
        line
    }
}

/// What is told at the end.
pub(super) fn summary(name: &str, report: &Report) -> String {
    let Report { accepted, over_limit, unreached, .. } = report;
    let mut text = format!(
        "{name}: {accepted} connections carried, {unreached} of them did not reach the target, {over_limit} refused for \
         their number\n"
    );
    for (at, word) in DIRECTIONS.into_iter().enumerate() {
        let (resent, wire) = (report.resent[at], report.wire[at]);
        text += &format!(
            "  {word:<5} {} in {} frames of {}; sent again {} (lost {}, timeout {}, probe {})\n",
            size(report.carried[at]),
            wire.delivered,
            wire.offered,
            resent.total(),
            resent.lost,
            resent.timeout,
            resent.probe
        );
        if report.datagrams[at] + report.datagrams_lost[at] > 0 {
            text += &format!("        {} datagrams\n", report.datagrams[at]);
        }
        text += &causes(report, at);
    }
    text
}

/// What is told of a cable at its end.
#[cfg(target_os = "linux")]
pub(super) fn cable_summary(report: &Report, unsent: &Unsent) -> String {
    let mut text = String::new();
    for (at, word) in DIRECTIONS.into_iter().enumerate() {
        let wire = report.wire[at];
        text += &format!(
            "{word:<5} {} in {} frames of {}\n{}",
            size(wire.delivered_bytes),
            wire.delivered,
            wire.offered,
            causes(report, at)
        );
    }
    let [full, refused, joined] =
        [&unsent.full, &unsent.refused, &unsent.joined].map(|counter| counter.load(Relaxed));
    if joined > 0 {
        text += &format!(
            "{joined} frames were longer than an interface's MTU, and lost: turn offloads off, as it says above\n"
        );
    }
    if full + refused > 0 {
        text += &format!("the interfaces had no room for {full} frames, and refused {refused}\n");
    }
    text
}

/// What was lost in a direction and why, and how true this machine's time was.
fn causes(report: &Report, at: usize) -> String {
    let wire = report.wire[at];
    let mut causes: Vec<_> = Lost::ALL
        .into_iter()
        .filter(|&cause| wire.lost(cause) > 0)
        .map(|cause| format!("{} {}", word_for(cause), wire.lost(cause)))
        .collect();
    if report.silenced[at] > 0 {
        causes.push(format!("silenced {}", report.silenced[at]));
    }
    if report.overflowed[at] > 0 {
        causes.push(format!("too many on the way {}", report.overflowed[at]));
    }
    let mut text = String::new();
    if !causes.is_empty() {
        text += &format!("        lost: {}\n", causes.join(", "));
    }
    if wire.delivered > 0 {
        let late = report.late[at];
        text += &format!(
            "        later than they should: {} in the mean, {} at most\n",
            duration(late.mean()),
            duration(late.most)
        );
    }
    text
}

fn word_for(cause: Lost) -> &'static str {
    match cause {
        Lost::Chance => "by chance",
        Lost::Full => "queue full",
        Lost::Cut => "link cut",
        Lost::TooLong => "too long",
        Lost::Stale => "waited too long",
        Lost::Damaged => "damaged",
        Lost::Off => "link off",
        Lost::OneWay => "one way",
        Lost::Collisions => "collisions",
        Lost::Silenced => "silenced",
    }
}

/// Bits a second.
fn rate(bytes: u64, period: Duration) -> String {
    let bits = u128::from(bytes) * 8 * 1_000_000_000 / period.as_nanos().max(1);
    match bits {
        0..1_000 => format!("{bits} bit/s"),
        1_000..1_000_000 => format!("{} kbit/s", bits / 1_000),
        _ => format!("{}.{} Mbit/s", bits / 1_000_000, bits / 100_000 % 10),
    }
}

pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20),
    }
}

fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..100_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        _ => format!("{} ms", micros / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_new_and_a_summary_all() {
        let mut seen = Seen::default();
        let mut report = Report { open: 2, accepted: 3, carried: [0, 250_000], ..Report::default() };
        report.resent[1].lost = 4;
        report.round_trip[1] = Some(Duration::from_micros(81_250));
        assert!(seen.differs(&report));
        let line = seen.line(report.clone(), Duration::from_secs(1));
        assert_eq!(
            line,
            "2 open | up 0 bit/s resent 0 lost 0 queue 0 B | down 2.0 Mbit/s rtt 81.2 ms resent 4 lost 0 queue 0 B"
        );
        assert!(!seen.differs(&report));
        assert!(seen.line(report.clone(), Duration::from_secs(1)).contains("down 0 bit/s"));
        assert!(summary("x", &report).contains("sent again 4 (lost 4, timeout 0, probe 0)"));
    }
}
