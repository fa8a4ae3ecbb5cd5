//! What is answered to a message.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::zone::{Found, TTL, Zone};
use crate::dns::answer::LONGEST_DATAGRAM;

/// What a datagram may have where nobody says otherwise (RFC 1035, section 2.3.4).
const SMALLEST: u16 = 512;

/// Bytes of a message's header.
const HEADER: usize = 12;

/// Answers questions about its zones.
#[derive(Clone, Debug)]
pub struct Responder {
    zones: Vec<Zone>,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Send this back.
    Answer(Box<Message>),
    /// It is about no zone of ours: the message, which has one question.
    Foreign(Box<Message>),
    /// Nothing: it is no question, and who answers answers starts a fight.
    Nothing,
}

impl Responder {
    /// Authoritative for `zones`.
    pub fn new(zones: Vec<Zone>) -> Self {
        Self { zones }
    }

    /// Decides about the message in `bytes`.
    pub fn decide(&self, bytes: &[u8]) -> Decision {
        // The third byte's first bit says that it is an answer.
        if bytes.len() < HEADER || bytes[2] & 0x80 != 0 {
            return Decision::Nothing;
        }
        let Ok(message) = Message::from_vec(bytes) else {
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            return Decision::Answer(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)));
        };
        if message.metadata.message_type != MessageType::Query {
            return Decision::Nothing;
        }
        let refuse = |code| Decision::Answer(Box::new(reply(&message, code)));
        if message.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let [query] = message.queries.as_slice() else { return refuse(ResponseCode::FormErr) };
        if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return refuse(ResponseCode::BADVERS);
        }
        let transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
        if query.query_class() != DNSClass::IN || transfer {
            return refuse(ResponseCode::Refused);
        }
        // The zone that says most about the name.
        let zones = self.zones.iter().filter(|zone| zone.origin().zone_of(query.name()));
        match zones.max_by_key(|zone| zone.origin().num_labels()) {
            Some(zone) => Decision::Answer(Box::new(authoritative(&message, query, zone))),
            None => Decision::Foreign(Box::new(message.clone())),
        }
    }
}

/// The answer of the zone.
fn authoritative(message: &Message, query: &Query, zone: &Zone) -> Message {
    let mut answer = reply(message, ResponseCode::NoError);
    answer.metadata.authoritative = true;
    if query.query_type() == RecordType::ANY {
        // RFC 8482: nobody needs it but those who want a large answer sent to somebody else.
        let hint = RData::HINFO(HINFO::new("RFC8482".into(), String::new()));
        answer.add_answer(Record::from_rdata(query.name().clone(), TTL, hint));
        return answer;
    }
    match zone.find(query.name(), query.query_type()) {
        Some(Found::Records(records)) => {
            let targets = records.iter().filter_map(|record| match &record.data {
                RData::MX(mx) => Some(&mx.exchange),
                RData::SRV(srv) => Some(&srv.target),
                RData::NS(ns) => Some(&ns.0),
                _ => None,
            });
            let known: Vec<_> = targets.flat_map(|target| zone.addresses(target)).cloned().collect();
            answer.add_additionals(known);
            answer.add_answers(records);
        }
        Some(Found::NoData(aliases)) => {
            answer.add_answers(aliases);
            answer.add_authority(zone.soa());
        }
        Some(Found::NoName(aliases)) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.add_answers(aliases);
            answer.add_authority(zone.soa());
        }
        Some(Found::Elsewhere(aliases)) => _ = answer.add_answers(aliases),
        Some(Found::Referral { servers, addresses }) => {
            answer.metadata.authoritative = false;
            answer.add_authorities(servers);
            answer.add_additionals(addresses);
        }
        None => answer.metadata.response_code = ResponseCode::Refused,
    }
    answer
}

/// An answer to `message` with nothing in it yet.
pub(super) fn reply(message: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.response_code = code;
    reply.add_queries(message.queries.iter().cloned());
    if message.edns.is_some() {
        // RFC 6891, section 6.1.1: who brings it gets it.
        let mut edns = Edns::new();
        edns.set_max_payload(LONGEST_DATAGRAM);
        edns.set_rcode_high(code.high());
        reply.set_edns(edns);
    }
    reply
}

/// `answer` as it goes over the network; where it is longer than `limit` bytes, only a word that it is.
pub(super) fn encode(answer: &Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    let mut cut = Message::response(answer.metadata.id, answer.metadata.op_code);
    cut.metadata = answer.metadata;
    cut.metadata.truncation = true;
    cut.add_queries(answer.queries.iter().cloned());
    if let Some(edns) = &answer.edns {
        cut.set_edns(edns.clone());
    }
    cut.to_vec().ok().filter(|bytes| bytes.len() <= limit)
}

/// Bytes that a datagram to whoever sent `message` may have.
pub(super) fn datagram_limit(message: &[u8]) -> usize {
    let said =
        Message::from_vec(message).ok().and_then(|message| message.edns.map(|edns| edns.max_payload()));
    usize::from(said.unwrap_or(SMALLEST).clamp(SMALLEST, LONGEST_DATAGRAM))
}

#[cfg(test)]
mod tests {
    use super::super::zone::tests::{name, zone};
    use super::*;
    use proptest::prelude::*;

    fn responder() -> Responder {
        let reverse = Zone::reverse("10.0.0.1".parse().unwrap(), name("door.lab."), name("door.lab."));
        Responder::new(vec![zone(), reverse])
    }

    fn question(text: &str, record: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name(text), record));
        message
    }

    fn answer(message: &Message) -> Message {
        match responder().decide(&message.to_vec().unwrap()) {
            Decision::Answer(answer) => *answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_we_know_is_answered_with_authority() {
        let found = answer(&question("www.LAB.", RecordType::A));
        assert!(found.metadata.authoritative && !found.metadata.recursion_available);
        assert_eq!((found.metadata.id, found.answers.len()), (7, 2));
        let mail = answer(&question("lab.", RecordType::MX));
        assert_eq!((mail.answers.len(), mail.additionals.len()), (1, 2));
        assert_eq!(answer(&question("1.0.0.10.in-addr.arpa.", RecordType::PTR)).answers.len(), 1);
    }

    #[test]
    fn what_is_not_there_is_said_for_how_long() {
        let none = answer(&question("nobody.lab.", RecordType::A));
        assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!((none.authorities.len(), none.authorities[0].ttl), (1, 60));
        let empty = answer(&question("door.lab.", RecordType::TXT));
        assert_eq!((empty.metadata.response_code, empty.authorities.len()), (ResponseCode::NoError, 1));
    }

    #[test]
    fn what_is_not_asked_properly_is_refused() {
        let mut update = question("lab.", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        assert_eq!(answer(&update).metadata.response_code, ResponseCode::NotImp);
        assert_eq!(answer(&question("lab.", RecordType::AXFR)).metadata.response_code, ResponseCode::Refused);
        let mut two = question("lab.", RecordType::A);
        two.add_query(Query::query(name("lab."), RecordType::AAAA));
        assert_eq!(answer(&two).metadata.response_code, ResponseCode::FormErr);
        let mut future = question("lab.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        future.set_edns(edns);
        let refused = answer(&future);
        assert_eq!(refused.edns.as_ref().unwrap().rcode_high(), 1, "BADVERS is 16");
        let mut other = question("lab.", RecordType::A);
        other.metadata.message_type = MessageType::Response;
        assert_eq!(responder().decide(&other.to_vec().unwrap()), Decision::Nothing);
        assert!(matches!(
            responder().decide(&question("example.org.", RecordType::A).to_vec().unwrap()),
            Decision::Foreign(_)
        ));
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let mut large = zone();
        for number in 0..40 {
            large.add_line(&format!("many TXT \"{number} {}\"", "x".repeat(60))).unwrap();
        }
        let mut message = question("many.lab.", RecordType::TXT);
        let Decision::Answer(whole) = Responder::new(vec![large]).decide(&message.to_vec().unwrap()) else {
            panic!()
        };
        let cut = Message::from_vec(&encode(&whole, 512).unwrap()).unwrap();
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        assert_eq!(Message::from_vec(&encode(&whole, 65_535).unwrap()).unwrap().answers.len(), 40);
        assert_eq!(datagram_limit(&message.to_vec().unwrap()), 512);
        for (said, limit) in [(100, 512), (1000, 1000), (4096, 1232)] {
            let mut edns = Edns::new();
            edns.set_max_payload(said);
            message.set_edns(edns);
            assert_eq!(datagram_limit(&message.to_vec().unwrap()), limit);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decided_about(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Decision::Answer(answer) = responder().decide(&bytes) {
                prop_assert!(encode(&answer, 512).is_some());
            }
        }

        #[test]
        fn a_damaged_question_is_decided_about(at in 0..40_usize, byte: u8) {
            let mut bytes = question("www.rooms.lab.", RecordType::A).to_vec().unwrap();
            let index = at % bytes.len();
            bytes[index] = byte;
            let _ = responder().decide(&bytes);
        }
    }
}
