//! Directories as text (RFC 959 section 4.1.3, RFC 3659 section 7).

use host::WallTime;
use time::{Month, OffsetDateTime};

/// Half a year, in seconds: `ls -l` tells the time of day of what is younger.
const HALF_A_YEAR: u64 = 182 * 86_400;

/// What there is under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: String,
    /// File or directory.
    pub kind: Kind,
    /// In bytes; zero for a directory.
    pub size: u64,
    /// When it was last written.
    pub modified: WallTime,
}

/// File or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

impl Entry {
    /// A line as `ls -l` has it, which is what clients expect of LIST.
    pub(super) fn list_line(&self, now: WallTime) -> String {
        let mode = match self.kind {
            Kind::File => "-rw-r--r--",
            Kind::Directory => "drwxr-xr-x",
        };
        let at = date(self.modified);
        let age = now.unix_seconds().saturating_sub(self.modified.unix_seconds());
        let when = if age < HALF_A_YEAR {
            format!("{:02}:{:02}", at.hour(), at.minute())
        } else {
            format!("{:5}", at.year())
        };
        let month = month(at.month());
        format!("{mode} 1 ftp ftp {:>12} {month} {:2} {when} {}", self.size, at.day(), self.name)
    }

    /// The facts of MLST and MLSD, ending with their space (RFC 3659, section 7.2).
    pub(super) fn facts(&self) -> String {
        let modify = timestamp(self.modified);
        match self.kind {
            Kind::File => format!("type=file;size={};modify={modify};perm=r; ", self.size),
            Kind::Directory => format!("type=dir;modify={modify};perm=elcmp; "),
        }
    }
}

/// A time as MDTM and the facts write it: `YYYYMMDDHHMMSS.sss` (RFC 3659, section 2.3).
pub(super) fn timestamp(time: WallTime) -> String {
    let at = date(time);
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}.{:03}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

fn date(time: WallTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.unix_nanos()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month(month: Month) -> &'static str {
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_in_three_ways() {
        let modified = WallTime::from_unix_millis(784_111_777_123);
        let entry = Entry { name: "a b.jpg".into(), kind: Kind::File, size: 12_345, modified };
        let soon = WallTime::from_unix_millis(784_211_777_000);
        assert_eq!(entry.list_line(soon), "-rw-r--r-- 1 ftp ftp        12345 Nov  6 08:49 a b.jpg");
        let later = WallTime::from_unix_millis(1_784_211_777_000);
        assert_eq!(entry.list_line(later), "-rw-r--r-- 1 ftp ftp        12345 Nov  6  1994 a b.jpg");
        assert_eq!(entry.facts(), "type=file;size=12345;modify=19941106084937.123;perm=r; ");
    }
}
