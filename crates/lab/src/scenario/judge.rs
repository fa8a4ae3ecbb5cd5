//! Whether what was expected came about.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use host::Instant;

use super::expectation::{Bound, Delivered, Expectation, Less, NoSocketLeft, Noticed, Queue, Unnoticed};
use super::journal::{Page, Pages};
use super::measure::Measure;
use super::moment::Moment;
use crate::units::{Delay, Limit, Size};

/// Whether something that was expected came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the scenario's expectations, from zero; `None` for what all scenarios expect: that no program gives up.
    pub expectation: Option<usize>,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// When that was decided, after the start; `None` when only at the end.
    pub at: Option<Duration>,
    /// In which way it did not come about, if so.
    pub fault: Option<Fault>,
}

/// In which way something did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another number was sent than expected.
    Unsent,
    /// What was sent did not arrive.
    Missing,
    /// It arrived more than once.
    Repeated,
    /// It arrived out of order.
    Disordered,
    /// It came too late.
    Late,
    /// It was never noticed.
    Unnoticed,
    /// What an expectation counts its time from did not happen.
    NoEvent,
    /// It was noticed, and should not have been.
    Noticed,
    /// It was not measured at all.
    Unmeasured,
    /// It was less than expected.
    TooLittle,
    /// It was more than expected.
    TooMuch,
    /// It was not less than something else.
    NotLess,
    /// Connections were left.
    Left,
    /// A program gave up, or did not end.
    Program,
}

impl Fault {
    /// Whether something is not there that should be: then a scenario in which less happens may fail for that alone.
    pub(super) fn is_lack(self) -> bool {
        match self {
            Self::Unsent
            | Self::Missing
            | Self::Late
            | Self::Unnoticed
            | Self::NoEvent
            | Self::Unmeasured
            | Self::TooLittle
            | Self::NotLess => true,
            Self::Repeated
            | Self::Disordered
            | Self::Noticed
            | Self::TooMuch
            | Self::Left
            | Self::Program => false,
        }
    }
}

impl Verdict {
    /// Whether it came about.
    pub fn holds(&self) -> bool {
        self.fault.is_none()
    }
}

impl Display for Verdict {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mark = if self.holds() { "ok    " } else { "FAILED" };
        write!(formatter, "{mark} {}: {}", self.expected, self.seen)?;
        self.at.iter().try_for_each(|at| write!(formatter, " (at {:.6} s)", at.as_secs_f64()))
    }
}

/// What was measured, and what it is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quantity {
    Time(Duration),
    Count(u64),
    Bytes(u64),
}

impl Quantity {
    /// Reads a bound of `measure`.
    pub(super) fn read(measure: &Measure, text: &str) -> Result<Self, String> {
        let said = |error: crate::units::UnitError| error.to_string();
        match measure {
            Measure::Percentile { .. } | Measure::Mean { .. } => {
                text.parse::<Delay>().map(|delay| Self::Time(delay.into())).map_err(said)
            }
            Measure::Wire => text.parse::<Size>().map(|size| Self::Bytes(size.as_bytes())).map_err(said),
            Measure::Count { .. } => text
                .parse()
                .map(Self::Count)
                .map_err(|_| format!("{text:?} is no count; write a whole number in quotes: \"100\"")),
        }
    }

    fn times(self, times: u64) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))),
            Self::Count(count) => Self::Count(count.saturating_mul(times)),
            Self::Bytes(bytes) => Self::Bytes(bytes.saturating_mul(times)),
        }
    }
}

impl Display for Quantity {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(formatter, "{}", tell(*time)),
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Bytes(bytes) => write!(formatter, "{bytes} bytes"),
        }
    }
}

/// A time as people read it: microseconds are fine enough.
pub(super) fn tell(time: Duration) -> String {
    format!("{:?}", Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
}

/// What a run leaves behind to be judged.
pub(super) struct Evidence<'a> {
    pub(super) pages: &'a Pages,
    /// When the scenario began, on the lab's clock.
    pub(super) start: Instant,
    /// The events that happened, and when.
    pub(super) events: Vec<(String, Instant)>,
    /// What was measured of a program's machine on its links, in bytes.
    pub(super) wire: &'a dyn Fn(&str) -> u64,
    /// The most that a link's queues held, in frames and in bytes.
    pub(super) queues: &'a dyn Fn(&str) -> (u64, u64),
    /// Connections that were left on a machine, of all that hosts have programs.
    pub(super) left: Vec<(String, Vec<String>)>,
}

/// What an expectation comes to: what was seen and when, and what is wrong with it.
type Finding = Result<(String, Option<Instant>), Bad>;

/// What was seen and when, and what is wrong with it.
type Bad = (Fault, String, Option<Instant>);

impl Evidence<'_> {
    pub(super) fn judge(&self, index: usize, expectation: &Expectation) -> Verdict {
        let (expected, finding) = match expectation {
            Expectation::Delivered(delivered) => self.delivered(delivered),
            Expectation::Noticed(noticed) => self.noticed(noticed),
            Expectation::Unnoticed(unnoticed) => self.unnoticed(unnoticed),
            Expectation::Bound(bound) => self.bound(bound),
            Expectation::Less(less) => self.less(less),
            Expectation::Queue(queue) => self.queue(queue),
            Expectation::NoSocketLeft(none) => self.no_socket_left(none),
        };
        let (fault, seen, at) = match finding {
            Ok((seen, at)) => (None, seen, at),
            Err((fault, seen, at)) => (Some(fault), seen, at),
        };
        let at = at.map(|at| at.since(self.start));
        Verdict { expectation: Some(index), expected, seen, at, fault }
    }

    fn page(&self, name: &str) -> &Page {
        let mut pages = self.pages.programs.iter();
        pages.find(|page| &*page.name == name).expect("the scenario was checked: the program is there")
    }

    /// When a moment was: `None` when its event has not happened.
    fn moment(&self, moment: Option<&Moment>) -> Option<Instant> {
        match moment {
            None => Some(self.start),
            Some(Moment::At(at)) => Some(self.start + (*at).into()),
            Some(Moment::After { event, by }) => {
                let happened = self.events.iter().rev().find(|(name, _)| name == event)?;
                Some(happened.1 + (*by).into())
            }
        }
    }

    fn delivered(&self, delivered: &Delivered) -> (String, Finding) {
        let (from, to) = (delivered.from.all(), delivered.to.all());
        let how = match (delivered.repeated, delivered.unordered) {
            (false, false) => "exactly once and in order",
            (false, true) => "exactly once",
            (true, false) => "in order",
            (true, true) => "at least once",
        };
        let by = delivered.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        let all =
            delivered.count.map_or_else(|| "everything".to_owned(), |count| format!("{count} messages"));
        let expected = format!("{all} from {} arrived at {} {how}{by}", from.join(", "), to.join(", "));
        let mut total = 0;
        let mut last = self.start;
        for from in from {
            let sent: Vec<u64> = self.page(from).sent.iter().map(|(number, _)| *number).collect();
            let count = delivered.count.unwrap_or(sent.len() as u64);
            if sent.len() as u64 != count || count == 0 {
                return (
                    expected,
                    Err((Fault::Unsent, format!("{from} sent {} messages", sent.len()), None)),
                );
            }
            for to in to {
                match self.arrived(delivered, from, &sent, to) {
                    Ok(at) => last = last.max(at),
                    Err(bad) => return (expected, Err(bad)),
                }
                total += sent.len();
            }
        }
        (expected, Ok((format!("{total} arrived, the last at {}", tell(last.since(self.start))), Some(last))))
    }

    /// When the last of what `from` sent arrived at `to`, or what went wrong first.
    fn arrived(&self, delivered: &Delivered, from: &str, sent: &[u64], to: &str) -> Result<Instant, Bad> {
        let nothing = Vec::new();
        let received = self.page(to).received.get(from).unwrap_or(&nothing);
        let deadline = delivered.by.is_some().then(|| self.moment(delivered.by.as_ref())).flatten();
        let mut seen = BTreeSet::new();
        let mut last = self.start;
        for &(number, at) in received {
            let bad = |fault, what: String| Err((fault, format!("{to} received {what}"), Some(at)));
            let again = !seen.insert(number);
            if again && !delivered.repeated {
                return bad(Fault::Repeated, format!("message {number} of {from} again"));
            }
            let greatest = seen.last().copied().unwrap_or(number);
            if greatest > number && !delivered.unordered && !again {
                return bad(Fault::Disordered, format!("message {number} of {from} after {greatest}"));
            }
            if let Some(late) = deadline.filter(|deadline| at > *deadline) {
                let by = tell(at.since(late));
                return bad(Fault::Late, format!("message {number} of {from} {by} too late"));
            }
            last = last.max(at);
        }
        let missing: Vec<u64> = sent.iter().copied().filter(|number| !seen.contains(number)).collect();
        if missing.is_empty() {
            return Ok(last);
        }
        let some: Vec<String> = missing.iter().take(8).map(u64::to_string).collect();
        let more = if missing.len() > some.len() { ", …" } else { "" };
        let what = format!(
            "{to} lacks {} of the {} messages of {from}: {}{more}",
            missing.len(),
            sent.len(),
            some.join(", ")
        );
        Err((Fault::Missing, what, None))
    }

    fn noticed(&self, noticed: &Noticed) -> (String, Finding) {
        let Noticed { on, what, after, within } = noticed;
        let since = after.as_ref().map_or_else(|| "the start".to_owned(), Moment::to_string);
        let expected = format!("{on} noticed {what:?} within {within} after {since}");
        let Some(from) = self.moment(after.as_ref()) else {
            return (expected, Err((Fault::NoEvent, format!("{since} did not happen"), None)));
        };
        let first = self.page(on).noticed.iter().find(|(at, noticed)| *at >= from && noticed == what);
        let finding = match first {
            None => {
                let others: BTreeSet<&str> =
                    self.page(on).noticed.iter().map(|(_, noticed)| noticed.as_str()).collect();
                let others: Vec<&str> = others.into_iter().collect();
                let seen = match others.is_empty() {
                    true => format!("{on} noticed nothing"),
                    false => format!("not then; in all, {on} noticed {}", others.join(", ")),
                };
                Err((Fault::Unnoticed, seen, None))
            }
            Some((at, _)) => {
                let took = at.since(from);
                let seen = format!("after {}", tell(took));
                if took <= (*within).into() {
                    Ok((seen, Some(*at)))
                } else {
                    Err((Fault::Late, seen, Some(*at)))
                }
            }
        };
        (expected, finding)
    }

    fn unnoticed(&self, unnoticed: &Unnoticed) -> (String, Finding) {
        let Unnoticed { on, what, after } = unnoticed;
        let since = after.as_ref().map_or_else(String::new, |after| format!(" after {after}"));
        let expected = format!("{on} never noticed {what:?}{since}");
        let from = self.moment(after.as_ref()).unwrap_or(self.start);
        let first = self.page(on).noticed.iter().find(|(at, noticed)| *at >= from && noticed == what);
        let finding = match first {
            None => Ok(("never".to_owned(), None)),
            Some((at, _)) => Err((Fault::Noticed, "it did".to_owned(), Some(*at))),
        };
        (expected, finding)
    }

    fn bound(&self, bound: &Bound) -> (String, Finding) {
        let Bound { of, on, least, most } = bound;
        let mut words = Vec::new();
        words.extend(least.as_ref().map(|least| format!("at least {least}")));
        words.extend(most.as_ref().map(|most| format!("at most {most}")));
        let expected = format!("{of} of {on} is {}", words.join(" and "));
        let read = |text: &Option<String>| {
            text.as_ref()
                .map(|text| Quantity::read(of, text).expect("the scenario was checked: it is a bound"))
        };
        let finding = match self.measure(of, on) {
            None => Err((Fault::Unmeasured, format!("{on} measured no such thing"), None)),
            Some(value) if read(least).is_some_and(|least| value < least) => {
                Err((Fault::TooLittle, value.to_string(), None))
            }
            Some(value) if read(most).is_some_and(|most| value > most) => {
                Err((Fault::TooMuch, value.to_string(), None))
            }
            Some(value) => Ok((value.to_string(), None)),
        };
        (expected, finding)
    }

    fn less(&self, less: &Less) -> (String, Finding) {
        let Less { of, on, than, times } = less;
        let how = if *times == 1 { "less than".to_owned() } else { format!("{times} times less than") };
        let expected = format!("{of} of {on} is {how} that of {than}");
        let finding = match (self.measure(of, on), self.measure(of, than)) {
            (Some(one), Some(other)) => {
                let seen = format!("{one} against {other}");
                if one.times(*times) < other { Ok((seen, None)) } else { Err((Fault::NotLess, seen, None)) }
            }
            (None, _) => Err((Fault::Unmeasured, format!("{on} measured no such thing"), None)),
            (_, None) => Err((Fault::Unmeasured, format!("{than} measured no such thing"), None)),
        };
        (expected, finding)
    }

    fn measure(&self, measure: &Measure, program: &str) -> Option<Quantity> {
        let page = self.page(program);
        match measure {
            Measure::Percentile { percent, name } => {
                let mut samples = page.samples.get(name.as_str())?.clone();
                samples.sort_unstable();
                // The nearest rank: the smallest sample that so many percent do not exceed.
                let rank = (samples.len() * usize::from(*percent)).div_ceil(100).max(1);
                samples.get(rank - 1).copied().map(Quantity::Time)
            }
            Measure::Mean { name } => {
                let samples = page.samples.get(name.as_str())?;
                let sum: Duration = samples.iter().sum();
                sum.checked_div(u32::try_from(samples.len()).ok()?).map(Quantity::Time)
            }
            Measure::Count { name } => page.counts.get(name.as_str()).copied().map(Quantity::Count),
            Measure::Wire => Some(Quantity::Bytes((self.wire)(program))),
        }
    }

    fn queue(&self, queue: &Queue) -> (String, Finding) {
        let expected = format!("no queue of {} held more than {}", queue.link, queue.most);
        let (frames, bytes) = (self.queues)(&queue.link);
        let seen = format!("at most {frames} frames, {bytes} bytes");
        let fits = match queue.most {
            Limit::Bytes(most) => bytes <= most.as_bytes(),
            Limit::Packets(most) => frames <= u64::from(most),
        };
        (expected, if fits { Ok((seen, None)) } else { Err((Fault::TooMuch, seen, None)) })
    }

    fn no_socket_left(&self, none: &NoSocketLeft) -> (String, Finding) {
        let asked = |node: &str| none.on.is_empty() || none.on.iter().any(|on| on == node);
        let on = if none.on.is_empty() { "any host".to_owned() } else { none.on.join(", ") };
        let expected = format!("no connection was left on {on} when all had ended");
        let left: Vec<String> = self
            .left
            .iter()
            .filter(|(node, connections)| asked(node) && !connections.is_empty())
            .map(|(node, connections)| format!("{} on {node}: {}", connections.len(), connections.join(", ")))
            .collect();
        let finding = match left.is_empty() {
            true => Ok(("none".to_owned(), None)),
            false => Err((Fault::Left, left.join("; "), None)),
        };
        (expected, finding)
    }
}
