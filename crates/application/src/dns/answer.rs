//! Questions and answers as messages.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

/// What a server may send in one datagram: fits every path (RFC 9715, "DNS flag day 2020").
pub(super) const LONGEST_DATAGRAM: u16 = 1232;

/// Aliases that lead from one to the next, followed until here.
const ALIASES: usize = 16;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) name: Name,
    pub(super) record: RecordType,
}

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These are the addresses; none when the name has none of this kind, or does not exist.
    Addresses(Vec<IpAddr>),
    /// There is more than fits a datagram: ask by TCP.
    Truncated,
    /// The server cannot tell.
    Failed(ResponseCode),
}

impl Question {
    /// The message that asks, or `None` for a name that does not fit one.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.record));
        let mut edns = Edns::new();
        edns.set_max_payload(LONGEST_DATAGRAM);
        message.set_edns(edns);
        message.to_vec().ok()
    }

    /// What `bytes` answer, or `None` when they are no answer to this question: damaged, forged, or late.
    pub(super) fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let message = Message::from_vec(bytes).ok()?;
        let metadata = message.metadata;
        let [query] = message.queries.as_slice() else { return None };
        let fits = metadata.id == self.id
            && metadata.message_type == MessageType::Response
            && metadata.op_code == OpCode::Query
            && query.name() == &self.name
            && query.query_type() == self.record
            && query.query_class() == DNSClass::IN;
        if !fits {
            return None;
        }
        Some(match metadata.response_code {
            _ if metadata.truncation => Answer::Truncated,
            ResponseCode::NoError => Answer::Addresses(self.addresses(&message)),
            ResponseCode::NXDomain => Answer::Addresses(Vec::new()),
            code => Answer::Failed(code),
        })
    }

    /// The addresses of the name, behind its aliases.
    fn addresses(&self, message: &Message) -> Vec<IpAddr> {
        let mut name = &self.name;
        for _ in 0..ALIASES {
            let here = || message.answers.iter().filter(|record| record.name == *name);
            let found: Vec<_> = here()
                .filter(|record| record.record_type() == self.record)
                .filter_map(|record| match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                })
                .collect();
            if !found.is_empty() {
                return found;
            }
            let alias = here().find_map(|record| match &record.data {
                RData::CNAME(alias) => Some(&alias.0),
                _ => None,
            });
            match alias {
                Some(alias) => name = alias,
                None => break,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn question() -> Question {
        Question { id: 7, name: name("door.lab."), record: RecordType::A }
    }

    /// The answer of a server to `question`, with these records.
    pub(in super::super) fn respond(question: &[u8], change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let query = Message::from_vec(question).unwrap();
        let mut message = Message::response(query.metadata.id, OpCode::Query);
        message.add_queries(query.queries);
        change(&mut message);
        message.to_vec().unwrap()
    }

    pub(in super::super) fn a(owner: &str, address: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A(address.parse().unwrap())))
    }

    fn alias(owner: &str, to: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(to))))
    }

    fn asked(change: impl FnOnce(&mut Message)) -> Option<Answer> {
        question().answer(&respond(&question().to_bytes().unwrap(), change))
    }

    #[test]
    fn aliases_are_followed_as_far_as_they_go() {
        let answer = asked(|message| {
            message.add_answers([
                alias("Door.LAB.", "gate.lab."),
                alias("gate.lab.", "wall.lab."),
                a("wall.lab.", "10.9.0.2"),
                a("other.lab.", "10.9.0.3"),
            ]);
        });
        assert_eq!(answer, Some(Answer::Addresses(vec!["10.9.0.2".parse().unwrap()])));
        let circle = asked(|message| {
            message.add_answers([alias("door.lab.", "gate.lab."), alias("gate.lab.", "door.lab.")]);
        });
        assert_eq!(circle, Some(Answer::Addresses(vec![])));
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        assert_eq!(asked(|message| message.metadata.id = 8), None, "another identification");
        assert_eq!(asked(|message| message.metadata.message_type = MessageType::Query), None);
        assert_eq!(asked(|message| message.queries.clear()), None, "no question");
        assert_eq!(
            asked(|message| message.queries[0] = Query::query(name("gate.lab."), RecordType::A)),
            None,
            "another question"
        );
        assert_eq!(asked(|message| message.metadata.truncation = true), Some(Answer::Truncated));
        let failed = asked(|message| message.metadata.response_code = ResponseCode::ServFail);
        assert_eq!(failed, Some(Answer::Failed(ResponseCode::ServFail)));
        let unknown = asked(|message| message.metadata.response_code = ResponseCode::NXDomain);
        assert_eq!(unknown, Some(Answer::Addresses(vec![])));
    }

    /// Names that point at themselves, at each other, forward, and out of the message.
    #[test]
    fn name_wreck_pointers_lead_nowhere() {
        let answer = respond(&question().to_bytes().unwrap(), |message| {
            message.add_answers([a("door.lab.", "10.9.0.2")]);
        });
        // The question's name stands at 12, and the answer's points at it.
        let at = (13..answer.len()).find(|&at| answer[at..].starts_with(&[0xc0, 12])).expect("a pointer");
        assert!(question().answer(&answer).is_some());
        for to in [at, at + 1, at + 2, answer.len(), 0x3fff] {
            let mut forged = answer.clone();
            forged[at..at + 2].copy_from_slice(&(0xc000 | u16::try_from(to).unwrap()).to_be_bytes());
            assert_eq!(question().answer(&forged), None, "a pointer to {to}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..60, to: u8) {
            let _ = question().answer(&bytes);
            // Close to an answer, so that more of it is read.
            let mut near = respond(&question().to_bytes().unwrap(), |message| {
                message.add_answers([alias("door.lab.", "gate.lab."), a("gate.lab.", "10.9.0.2")]);
            });
            let at = at % near.len();
            near[at] = to;
            let _ = question().answer(&near);
        }
    }
}
