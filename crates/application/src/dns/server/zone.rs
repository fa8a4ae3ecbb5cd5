//! What the names of one zone mean (RFC 1034 section 4.3.2, RFC 4592, RFC 2308).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::rr::rdata::{NS, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Aliases that lead from one to the next, followed until here.
const ALIASES: usize = 8;

/// How long what is said of a zone may be kept, in seconds, where nobody says otherwise.
pub(super) const TTL: u32 = 300;

/// How long it may be kept that something is not there, in seconds.
const NEGATIVE_TTL: u32 = 60;

/// Names and their records, below one origin.
#[derive(Clone, Debug)]
pub struct Zone {
    origin: Name,
    soa: Record,
    records: BTreeMap<Name, Vec<Record>>,
    /// All names, and those between them and the origin.
    names: BTreeSet<Name>,
}

/// What a zone says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// These are the records, behind the aliases that lead to them.
    Records(Vec<Record>),
    /// The name is there, but nothing of this type; behind these aliases.
    NoData(Vec<Record>),
    /// There is no such name; behind these aliases.
    NoName(Vec<Record>),
    /// An alias leads out of the zone; who asks goes on from there.
    Elsewhere(Vec<Record>),
    /// Another server knows: its NS records, and what is known of their addresses.
    Referral {
        /// The NS records.
        servers: Vec<Record>,
        /// Their addresses.
        addresses: Vec<Record>,
    },
}

impl Zone {
    /// An empty zone at `origin`, whose name server calls itself `server`.
    pub fn new(origin: Name, server: Name) -> Self {
        let mut origin = origin.to_lowercase();
        origin.set_fqdn(true);
        let master = origin.prepend_label("hostmaster").unwrap_or_else(|_| origin.clone());
        let data = SOA::new(server.clone(), master, 1, 3600, 600, 604_800, NEGATIVE_TTL);
        let soa = Record::from_rdata(origin.clone(), TTL, RData::SOA(data));
        let mut zone = Self {
            names: [origin.clone()].into(),
            records: BTreeMap::new(),
            soa: soa.clone(),
            origin: origin.clone(),
        };
        zone.add(soa);
        zone.add(Record::from_rdata(origin, TTL, RData::NS(NS(server))));
        zone
    }

    /// The name of an address, as a zone of its own.
    pub fn reverse(address: IpAddr, name: Name, server: Name) -> Self {
        let mut zone = Self::new(Name::from(address), server);
        let origin = zone.origin.clone();
        zone.add(Record::from_rdata(origin, TTL, RData::PTR(PTR(name))));
        zone
    }

    /// The name that all names of the zone end with.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// The record that says how long it may be kept that something is not there.
    pub(super) fn soa(&self) -> Record {
        let mut soa = self.soa.clone();
        soa.ttl = soa.ttl.min(NEGATIVE_TTL);
        soa
    }

    /// Adds a record. False when its name lies outside of the zone, or when it is an alias beside others (RFC 1034, section
    /// 3.6.2).
    pub fn add(&mut self, record: Record) -> bool {
        if !self.origin.zone_of(&record.name) {
            return false;
        }
        let is_alias = |record: &Record| record.record_type() == RecordType::CNAME;
        let there = self.records.get(&record.name).map_or(&[][..], Vec::as_slice);
        if there.iter().any(is_alias) || is_alias(&record) && !there.is_empty() {
            return false;
        }
        let mut name = record.name.clone();
        while self.origin.zone_of(&name) && self.names.insert(name.to_lowercase()) {
            name = name.base_name();
        }
        self.records.entry(record.name.to_lowercase()).or_default().push(record);
        true
    }

    /// What the records of `record` type at `name` are. None when the name lies outside of the zone.
    pub fn find(&self, name: &Name, record: RecordType) -> Option<Found> {
        if !self.origin.zone_of(name) {
            return None;
        }
        let mut aliases = Vec::new();
        let mut name = name.clone();
        for _ in 0..ALIASES {
            if let Some(referral) = self.referral(&name, record) {
                return Some(referral);
            }
            let Some(there) = self.node(&name) else {
                return Some(match self.names.contains(&name.to_lowercase()) {
                    true => Found::NoData(aliases),
                    false => Found::NoName(aliases),
                });
            };
            let wanted: Vec<_> =
                there.iter().filter(|found| found.record_type() == record).cloned().collect();
            if !wanted.is_empty() {
                aliases.extend(wanted);
                return Some(Found::Records(aliases));
            }
            let alias = there.iter().find_map(|found| match &found.data {
                RData::CNAME(target) => Some((found.clone(), target.0.clone())),
                _ => None,
            });
            let Some((found, target)) = alias else { return Some(Found::NoData(aliases)) };
            aliases.push(found);
            if !self.origin.zone_of(&target) {
                return Some(Found::Elsewhere(aliases));
            }
            name = target;
        }
        Some(Found::Elsewhere(aliases))
    }

    /// The records at `name`: its own, or those of the wildcard that stands for it (RFC 4592, section 3.3.1).
    fn node(&self, name: &Name) -> Option<Vec<Record>> {
        let lower = name.to_lowercase();
        if let Some(own) = self.records.get(&lower) {
            return Some(own.clone());
        }
        if self.names.contains(&lower) {
            return None;
        }
        // The closest name that is there; a wildcard stands for names right below it, and below nothing else.
        let mut encloser = lower.base_name();
        while !self.names.contains(&encloser) {
            if !self.origin.zone_of(&encloser) {
                return None;
            }
            encloser = encloser.base_name();
        }
        let wildcard = encloser.prepend_label("*").ok()?;
        let synthesized = self.records.get(&wildcard)?.iter().map(|record| {
            let mut record = record.clone();
            record.name = name.clone();
            record
        });
        Some(synthesized.collect())
    }

    /// Where a part of the zone was given to another server.
    fn referral(&self, name: &Name, record: RecordType) -> Option<Found> {
        let mut cut = name.to_lowercase();
        while cut.num_labels() > self.origin.num_labels() {
            let servers: Vec<_> = self.of_type(&cut, RecordType::NS).cloned().collect();
            // What is asked of the cut itself is the other server's business, too, but for DS (RFC 4035).
            if !servers.is_empty() && (record != RecordType::DS || cut != *name) {
                let names = servers.iter().filter_map(|server| match &server.data {
                    RData::NS(name) => Some(&name.0),
                    _ => None,
                });
                let addresses = names.flat_map(|name| self.addresses(name)).cloned().collect();
                return Some(Found::Referral { servers, addresses });
            }
            cut = cut.base_name();
        }
        None
    }

    /// What the zone knows of a name's addresses: for the additional section.
    pub(super) fn addresses(&self, name: &Name) -> impl Iterator<Item = &Record> {
        let lower = name.to_lowercase();
        let there = self.records.get(&lower).map_or(&[][..], Vec::as_slice);
        there.iter().filter(|record| matches!(record.record_type(), RecordType::A | RecordType::AAAA))
    }

    fn of_type(&self, name: &Name, kind: RecordType) -> impl Iterator<Item = &Record> {
        let there = self.records.get(name).map_or(&[][..], Vec::as_slice);
        there.iter().filter(move |record| record.record_type() == kind)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    pub(in super::super) fn zone() -> Zone {
        let mut zone = Zone::new(name("lab."), name("door.lab."));
        for line in [
            "@ A 10.0.0.1",
            "@ MX 10 door",
            "door A 10.0.0.1",
            "door AAAA fd00::1",
            "www CNAME door",
            "out CNAME example.org.",
            "round CNAME about",
            "about CNAME round",
            "_http._tcp SRV 0 5 8000 door",
            "*.rooms TXT \"a room\"",
            "lobby.rooms TXT \"the lobby\"",
            "sub NS ns.sub",
            "ns.sub A 10.0.0.9",
        ] {
            assert!(zone.add_line(line).is_ok(), "{line}");
        }
        zone
    }

    fn find(text: &str, record: RecordType) -> Found {
        zone().find(&name(text), record).expect("inside of the zone")
    }

    #[test]
    fn names_have_their_records_in_any_case() {
        assert!(matches!(find("DOOR.lab.", RecordType::A), Found::Records(records) if records.len() == 1));
        assert_eq!(find("door.lab.", RecordType::MX), Found::NoData(Vec::new()));
        assert_eq!(find("nobody.lab.", RecordType::A), Found::NoName(Vec::new()));
        assert!(zone().find(&name("example.org."), RecordType::A).is_none());
        assert!(zone().find(&name("notlab."), RecordType::A).is_none());
    }

    #[test]
    fn aliases_are_followed_inside_of_the_zone() {
        assert!(matches!(find("www.lab.", RecordType::AAAA), Found::Records(records) if records.len() == 2));
        assert!(matches!(find("www.lab.", RecordType::CNAME), Found::Records(records) if records.len() == 1));
        assert!(matches!(find("www.lab.", RecordType::TXT), Found::NoData(aliases) if aliases.len() == 1));
        assert!(matches!(find("out.lab.", RecordType::A), Found::Elsewhere(aliases) if aliases.len() == 1));
        assert!(
            matches!(find("round.lab.", RecordType::A), Found::Elsewhere(aliases) if aliases.len() == ALIASES)
        );
    }

    #[test]
    fn a_wildcard_stands_for_what_is_not_there() {
        let text = |text: &str| match find(text, RecordType::TXT) {
            Found::Records(records) => Some((records[0].name.to_string(), records[0].data.to_string())),
            _ => None,
        };
        assert_eq!(text("x.rooms.lab."), Some(("x.rooms.lab.".into(), "a room".into())));
        assert_eq!(text("a.b.rooms.lab.").map(|found| found.1), Some("a room".into()));
        assert_eq!(text("lobby.rooms.lab.").map(|found| found.1), Some("the lobby".into()));
        assert_eq!(
            find("x.lobby.rooms.lab.", RecordType::TXT),
            Found::NoName(Vec::new()),
            "something closer is there"
        );
        assert_eq!(find("rooms.lab.", RecordType::TXT), Found::NoData(Vec::new()), "between two names");
        assert_eq!(find("x.rooms.lab.", RecordType::A), Found::NoData(Vec::new()));
    }

    #[test]
    fn a_part_may_be_somebody_elses() {
        for text in ["sub.lab.", "a.b.sub.lab.", "ns.sub.lab."] {
            let Found::Referral { servers, addresses } = find(text, RecordType::A) else { panic!("{text}") };
            assert_eq!((servers.len(), addresses.len()), (1, 1), "{text}");
        }
        assert!(matches!(find("lab.", RecordType::NS), Found::Records(_)), "our own servers are no referral");
    }

    #[test]
    fn an_address_has_a_name() {
        for address in ["10.0.0.1", "fd00::1"] {
            let zone = Zone::reverse(address.parse().unwrap(), name("door.lab."), name("door.lab."));
            let found = zone.find(zone.origin(), RecordType::PTR);
            assert!(matches!(found, Some(Found::Records(records)) if records.len() == 1));
        }
        assert_eq!(
            Zone::reverse("10.0.0.1".parse().unwrap(), name("a."), name("a.")).origin().to_string(),
            "1.0.0.10.in-addr.arpa."
        );
    }

    #[test]
    fn an_alias_stands_alone() {
        let mut zone = zone();
        assert!(zone.add_line("www A 10.0.0.7").is_err());
        assert!(zone.add_line("door CNAME www").is_err());
    }

    proptest! {
        /// Whatever is asked, there is an answer, and it is about the name that was asked for.
        #[test]
        fn any_name_is_answered(text in "((\\*|[a-z]{1,3})\\.){0,4}(rooms\\.|sub\\.|www\\.)?lab\\.", kind in 1..60_u16) {
            let asked = name(&text);
            match zone().find(&asked, RecordType::from(kind)).expect("inside of the zone") {
                Found::Records(records) | Found::Elsewhere(records) => {
                    prop_assert_eq!(&records[0].name, &asked);
                }
                Found::NoName(aliases) => prop_assert!(!aliases.is_empty() || !zone().names.contains(&asked)),
                Found::NoData(_) | Found::Referral { .. } => {}
            }
        }
    }
}
