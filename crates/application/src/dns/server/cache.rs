//! Answers of other servers, kept for as long as they may be (RFC 1035 section 7.4, RFC 2308).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use host::Instant;

/// No answer is kept for longer, in seconds: a day, and for what is not there three hours.
const LONGEST: u32 = 86_400;
const LONGEST_NEGATIVE: u32 = 10_800;

/// Bytes that an answer takes beside those of its message.
const OVERHEAD: usize = 512;

/// What was asked.
type Key = (Name, u16);

/// Bounded in bytes. When it is full, what would go soonest goes first.
#[derive(Debug)]
pub(super) struct Cache {
    limit: usize,
    bytes: usize,
    kept: BTreeMap<Key, Kept>,
    ends: BTreeSet<(Instant, Key)>,
}

#[derive(Debug)]
struct Kept {
    answer: Message,
    since: Instant,
    end: Instant,
    bytes: usize,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, kept: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// What was answered to `query`, with the time to live that is left.
    pub(super) fn get(&mut self, now: Instant, query: &Query) -> Option<Message> {
        self.expire(now);
        let kept = self.kept.get(&key(query))?;
        let mut answer = kept.answer.clone();
        let age = u32::try_from(now.since(kept.since).as_secs()).unwrap_or(u32::MAX);
        for record in records(&mut answer) {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(answer)
    }

    /// Keeps an answer, if it may be kept. `bytes` is its length as it came.
    pub(super) fn put(&mut self, now: Instant, query: &Query, answer: &Message, bytes: usize) {
        let bytes = bytes + OVERHEAD;
        let Some(seconds) = lifetime(answer).filter(|&seconds| seconds > 0 && bytes <= self.limit) else {
            return;
        };
        let key = key(query);
        self.remove(&key);
        while self.bytes + bytes > self.limit {
            let Some((_, soonest)) = self.ends.first().cloned() else { break };
            self.remove(&soonest);
        }
        let mut answer = answer.clone();
        records(&mut answer).for_each(|record| record.ttl = record.ttl.min(LONGEST));
        let end = now + Duration::from_secs(seconds.into());
        self.ends.insert((end, key.clone()));
        self.bytes += bytes;
        self.kept.insert(key, Kept { answer, since: now, end, bytes });
    }

    fn expire(&mut self, now: Instant) {
        while let Some((end, key)) = self.ends.first().cloned()
            && end <= now
        {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.kept.remove(key) {
            self.bytes -= kept.bytes;
            self.ends.remove(&(kept.end, key.clone()));
        }
    }
}

fn key(query: &Query) -> Key {
    (query.name().to_lowercase(), query.query_type().into())
}

fn records(answer: &mut Message) -> impl Iterator<Item = &mut Record> {
    answer.answers.iter_mut().chain(&mut answer.authorities).chain(&mut answer.additionals)
}

/// For how many seconds it may be kept. None for what may not: failures, and what is cut.
fn lifetime(answer: &Message) -> Option<u32> {
    if answer.metadata.truncation {
        return None;
    }
    let shortest = answer.answers.iter().map(|record| record.ttl).min();
    let soa = answer.authorities.iter().find_map(|record| match &record.data {
        // RFC 2308, section 5.
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    let is_alias = |record: &Record| record.record_type() == RecordType::CNAME;
    match answer.metadata.response_code {
        ResponseCode::NoError if !answer.answers.iter().all(is_alias) => shortest.map(|ttl| ttl.min(LONGEST)),
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let negative = soa?.min(LONGEST_NEGATIVE);
            Some(shortest.map_or(negative, |ttl| ttl.min(negative)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::zone::tests::name;
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{A, SOA};
    use proptest::prelude::*;

    fn query(text: &str) -> Query {
        Query::query(name(text), RecordType::A)
    }

    fn answer(text: &str, ttl: u32) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(query(text));
        message.add_answer(Record::from_rdata(name(text), ttl, RData::A(A([10, 0, 0, 1].into()))));
        message
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_says_and_gets_older() {
        let mut cache = Cache::new(10_000);
        cache.put(at(0), &query("a.example."), &answer("a.example.", 60), 50);
        assert_eq!(cache.get(at(20), &query("A.EXAMPLE.")).unwrap().answers[0].ttl, 40);
        assert!(cache.get(at(60), &query("a.example.")).is_none());
        assert_eq!((cache.bytes, cache.ends.len()), (0, 0));
        cache.put(at(0), &query("a.example."), &answer("a.example.", 0), 50);
        assert!(cache.get(at(0), &query("a.example.")).is_none(), "for one use only");
    }

    #[test]
    fn that_something_is_not_there_is_kept_as_its_zone_says() {
        let mut cache = Cache::new(10_000);
        let mut none = Message::response(1, OpCode::Query);
        none.metadata.response_code = ResponseCode::NXDomain;
        cache.put(at(0), &query("a.example."), &none, 50);
        assert!(cache.get(at(0), &query("a.example.")).is_none(), "nobody says how long");
        let soa = SOA::new(name("ns."), name("ns."), 1, 1, 1, 1, 30);
        none.add_authority(Record::from_rdata(name("example."), 3600, RData::SOA(soa)));
        cache.put(at(0), &query("a.example."), &none, 50);
        assert!(cache.get(at(29), &query("a.example.")).is_some());
        assert!(cache.get(at(30), &query("a.example.")).is_none());
        none.metadata.response_code = ResponseCode::ServFail;
        cache.put(at(0), &query("a.example."), &none, 50);
        assert!(cache.get(at(0), &query("a.example.")).is_none());
    }

    proptest! {
        #[test]
        fn it_never_grows_past_its_limit(asked in prop::collection::vec((0..50_u8, 1..100_u32, 1..900_usize), 1..200)) {
            let mut cache = Cache::new(5_000);
            for (second, (number, ttl, bytes)) in asked.into_iter().enumerate() {
                let text = format!("n{number}.example.");
                cache.put(at(second as u64), &query(&text), &answer(&text, ttl), bytes);
                prop_assert!(cache.bytes <= 5_000);
                prop_assert_eq!(cache.kept.len(), cache.ends.len());
                prop_assert_eq!(cache.bytes, cache.kept.values().map(|kept| kept.bytes).sum::<usize>());
            }
        }
    }
}
