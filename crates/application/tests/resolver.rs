//! The resolver against name servers that answer, fall silent, lie and cut, in virtual time.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_application::dns::{Config, Error, Resolver};
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use host::{Datagrams, Host, ListenOptions, Listener, Network, Runtime};
use lab::{Lab, LabHost, Machine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a server does with a question.
type Behaviour = fn(&Message, &mut Message);

#[test]
fn both_kinds_of_address_are_found() {
    let bed = Bed::new(&[knows_door]);
    assert_eq!(bed.resolve("door.lab"), Ok(addresses(&["fd00::2", "10.9.0.2"])));
    assert_eq!(bed.lab.now().as_nanos(), bed.round_trips(1), "both were asked for at once");
}

#[test]
fn the_next_server_is_asked_when_one_is_silent_or_fails() {
    let bed = Bed::new(&[silent, fails, knows_door]);
    assert_eq!(bed.resolve("door.lab"), Ok(addresses(&["fd00::2", "10.9.0.2"])));
    assert_eq!(Bed::new(&[fails]).resolve("door.lab"), Err("failed".into()));
    let bed = Bed::new(&[silent]);
    assert_eq!(bed.resolve("door.lab"), Err("silent".into()));
    assert_eq!(
        bed.lab.now().as_nanos(),
        Duration::from_secs(10).as_nanos() as u64,
        "two attempts of five seconds"
    );
}

#[test]
fn an_answer_to_another_question_is_passed_over() {
    let bed = Bed::new(&[forged, knows_door]);
    assert_eq!(bed.resolve("door.lab"), Ok(addresses(&["fd00::2", "10.9.0.2"])));
}

#[test]
fn what_does_not_fit_a_datagram_comes_by_tcp() {
    let bed = Bed::new(&[knows_crowd]);
    let found = bed.resolve("crowd.lab").unwrap();
    assert_eq!(found.len(), 200);
}

#[test]
fn a_name_without_address_is_not_found() {
    assert_eq!(Bed::new(&[knows_door]).resolve("window.lab"), Err("not found".into()));
}

#[test]
fn what_is_known_is_not_asked() {
    let bed = Bed::new(&[]);
    assert_eq!(bed.resolve("10.9.0.7"), Ok(addresses(&["10.9.0.7"])));
    assert_eq!(bed.resolve("[fd00::7]"), Ok(addresses(&["fd00::7"])));
    assert_eq!(bed.resolve("localhost"), Ok(addresses(&["::1", "127.0.0.1"])));
    assert_eq!(bed.resolve("printer"), Ok(addresses(&["10.9.0.9"])));
    assert_eq!(bed.resolve("door.lab"), Err("no server".into()));
    assert_eq!(bed.resolve("no name"), Err("no name".into()));
}

fn knows_door(question: &Message, answer: &mut Message) {
    let query = &question.queries[0];
    if query.name().to_ascii() != "door.lab." {
        answer.metadata.response_code = ResponseCode::NXDomain;
        return;
    }
    let data = match query.query_type() {
        RecordType::A => RData::A(A("10.9.0.2".parse().unwrap())),
        _ => RData::AAAA(AAAA("fd00::2".parse().unwrap())),
    };
    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
}

fn knows_crowd(question: &Message, answer: &mut Message) {
    let query = &question.queries[0];
    if query.query_type() == RecordType::A {
        for last in 0..200 {
            let data = RData::A(A([10, 9, 1, last].into()));
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
    }
}

fn fails(_: &Message, answer: &mut Message) {
    answer.metadata.response_code = ResponseCode::ServFail;
}

fn forged(question: &Message, answer: &mut Message) {
    knows_door(question, answer);
    answer.metadata.id ^= 1;
}

fn silent(_: &Message, answer: &mut Message) {
    answer.queries.clear();
}

/// A machine that asks, and servers that behave in these ways.
struct Bed {
    lab: Lab,
    asker: Machine,
    servers: Vec<SocketAddr>,
}

impl Bed {
    fn new(behaviours: &[Behaviour]) -> Self {
        let lab = Lab::new(7);
        let asker = lab.machine("asker", "10.9.0.1".parse().unwrap(), 1);
        let mut servers = Vec::new();
        for (index, &behaviour) in behaviours.iter().enumerate() {
            let address = IpAddr::from([10, 9, 0, 50 + index as u8]);
            let machine = lab.machine(&format!("server {index}"), address, 1);
            let at = SocketAddr::new(address, 53);
            servers.push(at);
            let (datagrams, streams) = (machine.host(), machine.host());
            datagrams.clone().spawn_detached(answer_datagrams(datagrams, at, behaviour));
            streams.clone().spawn_detached(answer_streams(streams, at, behaviour));
        }
        Self { lab, asker, servers }
    }

    /// What the resolver says, errors by a word.
    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let config = Config {
            servers: self.servers.clone(),
            hosts: vec![("printer".to_owned(), [10, 9, 0, 9].into())],
            ..Config::default()
        };
        let resolver = Resolver::new(self.asker.host(), config);
        self.lab.block_on(resolver.resolve(name)).map_err(|error| {
            match error {
                Error::Name(_) => "no name",
                Error::NotFound(_) => "not found",
                Error::NoServer => "no server",
                Error::Silent(_) => "silent",
                Error::Failed { .. } => "failed",
                _ => "network",
            }
            .to_owned()
        })
    }

    /// That many times there and back, in nanoseconds.
    fn round_trips(&self, count: u64) -> u64 {
        let lab = Lab::new(1);
        let (one, other) =
            (lab.machine("one", [10, 0, 0, 1].into(), 1), lab.machine("other", [10, 0, 0, 2].into(), 1));
        let at: SocketAddr = "10.0.0.2:9".parse().unwrap();
        let (host, client) = (other.host(), one.host());
        lab.block_on(async move {
            let mut there = host.bind(at).await.unwrap();
            let mut here = client.bind("10.0.0.1:9".parse().unwrap()).await.unwrap();
            let mut buffer = [0; 9];
            poll_fn(|context| here.poll_send(context, b"there", at)).await.unwrap();
            let (_, from) = poll_fn(|context| there.poll_receive(context, &mut buffer)).await.unwrap();
            poll_fn(|context| there.poll_send(context, b"back", from)).await.unwrap();
            poll_fn(|context| here.poll_receive(context, &mut buffer)).await.unwrap();
        });
        count * lab.now().as_nanos()
    }
}

async fn answer_datagrams(host: LabHost, at: SocketAddr, behaviour: Behaviour) {
    let mut socket = host.bind(at).await.unwrap();
    let mut buffer = [0; 2048];
    loop {
        let (len, from) = poll_fn(|context| socket.poll_receive(context, &mut buffer)).await.unwrap();
        let question = Message::from_vec(&buffer[..len]).unwrap();
        let Some(mut answer) = respond(&question, behaviour) else { continue };
        let limit = usize::from(question.max_payload());
        if answer.to_vec().unwrap().len() > limit {
            answer = answer.truncate();
        }
        let bytes = answer.to_vec().unwrap();
        poll_fn(|context| socket.poll_send(context, &bytes, from)).await.unwrap();
    }
}

async fn answer_streams<H: Host>(host: H, at: SocketAddr, behaviour: Behaviour) {
    let mut listener = host.listen(at, ListenOptions::default()).await.unwrap();
    loop {
        let mut connection = listener.accept().await.unwrap();
        let mut bytes = vec![0; usize::from(connection.read_u16().await.unwrap())];
        connection.read_exact(&mut bytes).await.unwrap();
        let Some(answer) = respond(&Message::from_vec(&bytes).unwrap(), behaviour) else { continue };
        let bytes = answer.to_vec().unwrap();
        connection.write_u16(bytes.len() as u16).await.unwrap();
        connection.write_all(&bytes).await.unwrap();
    }
}

fn respond(question: &Message, behaviour: Behaviour) -> Option<Message> {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_queries(question.queries.iter().cloned());
    behaviour(question, &mut answer);
    (!answer.queries.is_empty()).then_some(answer)
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
