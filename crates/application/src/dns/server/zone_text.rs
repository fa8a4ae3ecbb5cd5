//! Records as a person writes them: `door A 10.0.0.1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};

use super::zone::{TTL, Zone};

/// A record that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("{0:?} is no record: write NAME [TTL] TYPE DATA, such as: door A 10.0.0.1, or @ MX 10 door")]
    Form(String),
    /// It cannot be in this zone.
    #[error("{0:?} cannot be in the zone {1}: its name lies outside, or an alias has company")]
    Zone(String, Name),
}

impl Zone {
    /// Adds a record that is written as `NAME [TTL] TYPE DATA` (RFC 1035, section 5.1). `@` is the zone's own name, and a
    /// name without a dot at its end is one below it. Types: A, AAAA, CNAME, NS, PTR, MX, SRV and TXT.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or cannot be in this zone.
    pub fn add_line(&mut self, line: &str) -> Result<(), RecordError> {
        let record = self.parse(line).ok_or_else(|| RecordError::Form(line.to_owned()))?;
        match self.add(record) {
            true => Ok(()),
            false => Err(RecordError::Zone(line.to_owned(), self.origin().clone())),
        }
    }

    fn parse(&self, line: &str) -> Option<Record> {
        let (name, rest) = word(line)?;
        let (mut kind, mut data) = word(rest)?;
        let mut ttl = TTL;
        if let Ok(number) = kind.parse::<u32>() {
            // RFC 2181, section 8.
            ttl = number.min(i32::MAX as u32);
            (kind, data) = word(data)?;
        }
        let words: Vec<_> = data.split_whitespace().collect();
        let data = match (kind.to_ascii_uppercase().as_str(), words.as_slice()) {
            ("A", [address]) => RData::A(A(address.parse::<Ipv4Addr>().ok()?)),
            ("AAAA", [address]) => RData::AAAA(AAAA(address.parse::<Ipv6Addr>().ok()?)),
            ("CNAME", [target]) => RData::CNAME(CNAME(self.name(target)?)),
            ("NS", [target]) => RData::NS(NS(self.name(target)?)),
            ("PTR", [target]) => RData::PTR(PTR(self.name(target)?)),
            ("MX", [preference, target]) => RData::MX(MX::new(preference.parse().ok()?, self.name(target)?)),
            ("SRV", [priority, weight, port, target]) => RData::SRV(SRV::new(
                priority.parse().ok()?,
                weight.parse().ok()?,
                port.parse().ok()?,
                self.name(target)?,
            )),
            ("TXT", [_, ..]) => RData::TXT(TXT::new(strings(data)?)),
            _ => return None,
        };
        Some(Record::from_rdata(self.name(name)?, ttl, data))
    }

    fn name(&self, text: &str) -> Option<Name> {
        match text {
            "@" => Some(self.origin().clone()),
            text if text.ends_with('.') => Name::from_utf8(text).ok(),
            text => Name::from_utf8(text).ok()?.append_domain(self.origin()).ok(),
        }
    }
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim()))
}

/// Strings of at most 255 bytes (RFC 1035, section 3.3), in quotation marks or without.
fn strings(text: &str) -> Option<Vec<String>> {
    let mut strings = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let string;
        (string, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => word(rest)?,
        };
        rest = rest.trim_start();
        strings.push(string.to_owned());
    }
    strings.iter().all(|string| string.len() <= 255).then_some(strings)
}

#[cfg(test)]
mod tests {
    use super::super::zone::tests::name;
    use super::*;
    use proptest::prelude::*;

    fn zone() -> Zone {
        Zone::new(name("lab."), name("door.lab."))
    }

    #[test]
    fn records_are_read() {
        for (line, expected) in [
            ("door A 10.0.0.1", "door.lab. 300 IN A 10.0.0.1"),
            ("@ 60 mx 10 door", "lab. 60 IN MX 10 door.lab."),
            ("*.rooms TXT \"two words\" one", "*.rooms.lab. 300 IN TXT two wordsone"),
            ("_ftp._tcp SRV 0 5 2121 door.lab.", "_ftp._tcp.lab. 300 IN SRV 0 5 2121 door.lab."),
        ] {
            assert_eq!(zone().parse(line).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for line in [
            "",
            "door",
            "door A",
            "door A x",
            "door A 10.0.0.1 10.0.0.2",
            "door WKS 1",
            "@ MX door",
            "x TXT \"open",
        ] {
            assert_eq!(zone().add_line(line), Err(RecordError::Form(line.into())), "{line}");
        }
        assert!(matches!(zone().add_line("example.org. A 10.0.0.1"), Err(RecordError::Zone(..))));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(.{0,9} )?(A|TXT|MX|SRV|CNAME|.{0,4})( .{0,20})?") {
            let _ = zone().add_line(&line);
        }
    }
}
