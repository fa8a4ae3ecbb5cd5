//! What came of scenarios, as a JUnit report: the XML that CI systems read.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::judge::Verdict;

/// One scenario's part of a report.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file.
    pub file: String,
    /// The scenario.
    pub name: String,
    /// Which seeds it ran under, as text.
    pub seeds: String,
    /// Real time that the runs took.
    pub took: Duration,
    /// What came of each expectation: of the run that failed, or of the last.
    pub verdicts: Vec<Verdict>,
    /// How to see the failure again, where there is one.
    pub replay: Option<String>,
}

/// A report over scenarios.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its parts.
    pub suites: Vec<Suite>,
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(formatter, "<testsuites>")?;
        self.suites.iter().try_for_each(|suite| suite.fmt(formatter))?;
        writeln!(formatter, "</testsuites>")
    }
}

impl Display for Suite {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let failures = self.verdicts.iter().filter(|verdict| !verdict.holds()).count();
        let seconds = self.took.as_secs_f64();
        writeln!(
            formatter,
            r#"  <testsuite name="{}" tests="{}" failures="{failures}" errors="0" skipped="0" time="{seconds:.3}">"#,
            Escaped(&self.name),
            self.verdicts.len(),
        )?;
        for verdict in &self.verdicts {
            write!(
                formatter,
                r#"    <testcase classname="{}" name="{} (seeds {})" file="{}""#,
                Escaped(&self.name),
                Escaped(&verdict.expected),
                Escaped(&self.seeds),
                Escaped(&self.file),
            )?;
            if verdict.holds() {
                writeln!(formatter, "/>")?;
                continue;
            }
            let replay = self.replay.as_deref().unwrap_or_default();
            writeln!(
                formatter,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                Escaped(&verdict.seen),
                Escaped(replay),
            )?;
        }
        writeln!(formatter, "  </testsuite>")
    }
}

/// Text inside XML. What XML cannot hold at all becomes a replacement character.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => formatter.write_str("&amp;"),
            '<' => formatter.write_str("&lt;"),
            '>' => formatter.write_str("&gt;"),
            '"' => formatter.write_str("&quot;"),
            '\n' => formatter.write_str("&#10;"),
            '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => {
                write!(formatter, "{letter}")
            }
            _ => formatter.write_str("\u{fffd}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_gives_a_meaning_is_escaped() {
        let verdict = Verdict {
            expectation: Some(0),
            expected: "p99 \"latency\" < 3 & more".to_owned(),
            seen: "1 > 0\u{1}".to_owned(),
            at: None,
            fault: Some(crate::scenario::Fault::TooMuch),
        };
        let suite = Suite {
            file: "a.toml".to_owned(),
            name: "a".to_owned(),
            seeds: "1..5".to_owned(),
            took: Duration::from_millis(1500),
            verdicts: vec![verdict],
            replay: Some("fourwire lab run a.toml --seed 3".to_owned()),
        };
        let text = Report { suites: vec![suite] }.to_string();
        assert!(text.contains("p99 &quot;latency&quot; &lt; 3 &amp; more (seeds 1..5)"), "{text}");
        assert!(
            text.contains("<failure message=\"1 &gt; 0\u{fffd}\">fourwire lab run a.toml --seed 3<"),
            "{text}"
        );
        assert!(text.contains("tests=\"1\" failures=\"1\""), "{text}");
    }
}
