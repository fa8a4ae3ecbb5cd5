//! First light: the whole server and two clients on Fourwire's own TCP/IP, over a lossy Ethernet, in virtual time. The
//! server and the clients are the ones that are shipped; the network under them is all ours, down to the frames.
//!
//! `FOURWIRE_SEEDS=1000` runs so many seeds instead of a few.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Client, Config, Event, Events, Json, Recovery};
use host::{ListenOptions, Listener, Network, Runtime, Task, sleep, timeout_at};
use hub::store::Memory;
use lab::{Chance, Impairments, Lab, LabHost, Link, LinkEnd, Machine, Transcript, Way};
use server::Shutdown;
use stack::StackHost;
use tcpip::StackConfig;
use tcpip::internet::Cidr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trace::Tracer;

type Host = StackHost<LabHost, LinkEnd>;

const SERVER: &str = "10.0.0.1:8000";
const ROOMS: [&str; 4] = ["lobby", "kitchen", "garden", "attic"];
const MESSAGES: u64 = 40;

/// A machine with our own stack, plugged into `link`.
fn host(lab: &Lab, link: &Link, name: &str, last: u8, impairments: &Impairments) -> (Host, Machine) {
    let address = IpAddr::from([10, 0, 0, last]);
    let machine = lab.machine(name, address, 1);
    let host = StackHost::new(machine.host(), StackConfig::default(), Tracer::OFF);
    let interface = host.attach("eth0", link.attach(&machine)).expect("an interface");
    for way in [Way::In, Way::Out] {
        link.impair(&machine, way, impairments.clone());
    }
    host.with_stack(|stack, now, _| stack.add_address(now, interface, Cidr::new(address, 24)))
        .expect("a host's address");
    (host, machine)
}

/// A person with a client, who says something now and then and writes down what there is to see.
#[derive(Clone)]
struct Person {
    name: &'static str,
    host: Host,
    client: Client<Host>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What was seen when, line by line.
    diary: String,
    /// Who said what, by room and offset.
    said: BTreeMap<(String, u64), String>,
}

impl Person {
    fn new(host: Host, name: &'static str) -> Self {
        let mut config = Config::new(&format!("ws://{SERVER}")).expect("an address");
        let key = format!("{name}'s key");
        config.data = Some(Json::from_value(&BTreeMap::from([("name", name), ("key", &key)])).expect("JSON"));
        config.request_timeout = Duration::from_secs(3_600);
        let (client, events) = Client::start(host.clone(), config);
        let person = Self { name, host: host.clone(), client, seen: Arc::default() };
        host.spawn_detached(person.clone().watch(events));
        person
    }

    async fn watch(self, mut events: Events) {
        while let Some(event) = events.next().await {
            let now = self.host.now();
            let mut seen = self.seen.lock().expect("no test panics with it");
            match event {
                Event::Publication { room, publication } => {
                    let text: String = publication.data.parse().expect("a text");
                    let _ = writeln!(seen.diary, "{now:?} {room} {} {text}", publication.offset);
                    let again = seen.said.insert((room, publication.offset), text);
                    assert_eq!(again, None, "nothing comes twice");
                }
                Event::Subscribed { recovery: Recovery::TooOld, room, .. } => panic!("{room} was lost"),
                other => {
                    let _ = writeln!(seen.diary, "{now:?} {other:?}");
                }
            }
        }
    }

    async fn enter(&self) {
        for room in ROOMS {
            self.client.subscribe(room).await.expect("anybody is let in");
        }
    }

    async fn speak(self) {
        let mut pauses = self.host.random("pauses");
        for number in 0..MESSAGES {
            sleep(&self.host, Duration::from_micros(pauses.below(500_000))).await;
            let room = ROOMS[pauses.below(ROOMS.len() as u64) as usize];
            let text = format!("{} {number}", self.name);
            self.client.publish(room, &text).await.expect("published");
        }
    }
}

/// Two people talk in all rooms until both have seen everything: what they saw, and all that travelled.
fn talk(seed: u64, impairments: &Impairments) -> ([String; 2], Transcript) {
    let lab = Lab::new(seed);
    let link = lab.link("lan", 1_500);
    let (serving, _) = host(&lab, &link, "server", 1, impairments);
    let people = [("ann", 2), ("bob", 3)].map(|(name, last)| host(&lab, &link, name, last, impairments).0);
    // Until everybody is sure of their address.
    lab.run_for(Duration::from_secs(10));

    let address = SERVER.parse().expect("an address");
    let config = server::Config { listen: vec![address], ..server::Config::default() };
    let (trigger, shutdown) = Shutdown::new();
    let station = server::stations(config, Box::new(Memory::new()), 1).pop().expect("one for each shard");
    let served = serving
        .clone()
        .spawn(async move { station.serve(serving, shutdown).await.expect("the address is free") });
    let [ann, bob] = people;
    let [ann, bob] = [Person::new(ann, "ann"), Person::new(bob, "bob")];
    lab.block_on(async {
        ann.enter().await;
        bob.enter().await;
    });
    let speaking = [&ann, &bob].map(|person| person.host.clone().spawn(person.clone().speak()));
    while !speaking.iter().all(Task::is_ended) {
        lab.run_for(Duration::from_secs(1));
    }
    // Who was cut off by a bad minute comes back by then.
    lab.run_for(Duration::from_secs(60));

    let [(ann_diary, heard), (bob_diary, also_heard)] = [&ann, &bob].map(|person| {
        let seen = person.seen.lock().expect("no test panics with it");
        (seen.diary.clone(), seen.said.clone())
    });
    assert_eq!(heard, also_heard, "both saw the same (seed {seed})");
    assert_complete(&heard);
    trigger.pull();
    lab.block_on(served);
    ([ann_diary, bob_diary], lab.transcript())
}

/// In each room the offsets have no hole, and of each person everything was said once.
fn assert_complete(said: &BTreeMap<(String, u64), String>) {
    let mut next = BTreeMap::new();
    for (room, offset) in said.keys() {
        let expected = next.entry(room).or_insert(1);
        assert_eq!(offset, expected, "in {room}");
        *expected += 1;
    }
    let mut texts: Vec<&str> = said.values().map(String::as_str).collect();
    texts.sort_unstable();
    let mut expected: Vec<String> = ["ann", "bob"]
        .iter()
        .flat_map(|name| (0..MESSAGES).map(move |number| format!("{name} {number}")))
        .collect();
    expected.sort_unstable();
    assert_eq!(texts, expected);
}

fn seeds(default: u64) -> u64 {
    std::env::var("FOURWIRE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn two_people_talk_over_our_own_tcp_and_nothing_is_lost() {
    let lossy = Impairments {
        delay: Duration::from_millis(5),
        loss: Chance::percent(1).into(),
        ..Impairments::default()
    };
    let mut lost = 0;
    for seed in 0..seeds(20) {
        // A frame travels two cables: 2 % are lost from end to end.
        let (first, second) = (talk(seed, &lossy), talk(seed, &lossy));
        assert_eq!(first.0, second.0, "seed {seed}");
        assert_eq!(first.1.first_difference(&second.1), None, "seed {seed}");
        assert_eq!(first.1.hash(), second.1.hash());
        lost += first
            .1
            .entries()
            .iter()
            .filter(|entry| matches!(entry.event, lab::Event::FrameLost { .. }))
            .count();
    }
    assert!(lost > 0, "the link lost nothing: the test breaks too little");
}

/// The only segment on its way is lost while the host has no deadline at all: the write must start the clock itself.
#[test]
fn a_write_after_silence_is_sent_again_when_it_is_lost() {
    let lab = Lab::new(1);
    let link = lab.link("lan", 1_500);
    let calm = Impairments::default();
    let [(one, machine), (other, _)] =
        [("one", 1), ("other", 2)].map(|(name, last)| host(&lab, &link, name, last, &calm));
    let heard = lab.block_on(async {
        let address = "10.0.0.2:7".parse().expect("an address");
        let mut listener = other.listen(address, ListenOptions::default()).await.expect("a free port");
        let mut caller = one.connect(address).await.expect("connected");
        let mut called = listener.accept().await.expect("accepted");
        // Long enough for every timer to have rung.
        sleep(&one, Duration::from_secs(100)).await;
        link.cut(&machine, Way::Out);
        caller.write_all(b"hello").await.expect("room");
        link.heal(&machine, Way::Out);
        let mut heard = [0; 5];
        let deadline = one.now() + Duration::from_secs(5);
        timeout_at(&one, deadline, called.read_exact(&mut heard)).await.map(|read| read.map(|_| heard))
    });
    assert_eq!(heard.expect("it was sent again").expect("read"), *b"hello");
}

#[test]
fn other_seeds_give_other_captures() {
    let calm = Impairments::default();
    assert_ne!(talk(1, &calm).1.hash(), talk(2, &calm).1.hash());
}
