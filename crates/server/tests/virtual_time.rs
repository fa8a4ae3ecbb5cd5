//! The whole server and two clients in one process, on a simulated network, in virtual time: the server that is shipped,
//! over the host that the lab offers instead of the operating system's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Client, Config, Error, Event, Events, HistoryOptions, Json, Recovery};
use fourwire_server as server;
use host::{Runtime, Task, sleep};
use hub::store::faulty::Disk;
use hub::store::{Embedded, Memory, Store};
use lab::{Crash, Lab, LabHost, Machine, Transcript};
use server::{Shutdown, Trigger};

const SERVER: &str = "10.0.0.1:8000";
const ROOMS: [&str; 4] = ["lobby", "kitchen", "garden", "attic"];
const MESSAGES: u64 = 40;

/// A server, as a machine of the lab.
struct Served {
    lab: Lab,
    machine: Machine,
    /// The running server's off switch.
    trigger: Trigger,
    shards: Vec<Task>,
}

impl Served {
    fn new(lab: &Lab, shards: usize, store: Box<dyn Store>) -> Self {
        let machine = lab.machine("server", address().ip(), shards);
        let (trigger, tasks) = serve(&machine, store);
        Self { lab: lab.clone(), machine, trigger, shards: tasks }
    }

    /// The power fails, and comes back.
    fn fail(&mut self, disk: &Disk) {
        self.lab.crash(&self.machine, Crash::Reset);
        disk.crash();
        disk.restart();
        let store = Embedded::at(disk.clone()).expect("what was synced can be opened");
        (self.trigger, self.shards) = serve(&self.machine, Box::new(store));
    }

    /// Ctrl-C.
    fn stop(self) {
        self.trigger.pull();
        self.lab.block_on(async {
            for shard in self.shards {
                shard.await;
            }
        });
    }
}

fn serve(machine: &Machine, store: Box<dyn Store>) -> (Trigger, Vec<Task>) {
    let hosts = machine.hosts();
    let config = server::Config { listen: vec![address()], ..server::Config::default() };
    let (trigger, shutdown) = Shutdown::new();
    let stations = server::stations(config, store, hosts.len());
    let shards = stations.into_iter().zip(hosts).map(|(station, host)| {
        let shutdown = shutdown.clone();
        host.clone().spawn(async move { station.serve(host, shutdown).await.expect("the address is free") })
    });
    (trigger, shards.collect())
}

fn address() -> SocketAddr {
    SERVER.parse().expect("an address")
}

/// A person with a client, who says something now and then and writes down what there is to see.
#[derive(Clone)]
struct Person {
    name: &'static str,
    host: LabHost,
    client: Client<LabHost>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What was seen when, line by line.
    diary: String,
    /// Who said what, by room and offset.
    said: BTreeMap<(String, u64), String>,
    disconnected: usize,
}

impl Person {
    fn new(lab: &Lab, name: &'static str, last: u8) -> (Self, Machine) {
        let machine = lab.machine(name, [10, 0, 0, last].into(), 1);
        let host = machine.host();
        let mut config = Config::new(&format!("ws://{SERVER}")).expect("an address");
        let key = format!("{name}'s key");
        config.data = Some(Json::from_value(&BTreeMap::from([("name", name), ("key", &key)])).expect("JSON"));
        // Powerless minutes must not make anybody give up.
        config.request_timeout = Duration::from_secs(3_600);
        let (client, events) = Client::start(host.clone(), config);
        let person = Self { name, host: host.clone(), client, seen: Arc::default() };
        host.spawn_detached(person.clone().watch(events));
        (person, machine)
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
                Event::Disconnected { reason, retry_in, .. } => {
                    let _ = writeln!(seen.diary, "{now:?} {reason}, again in {retry_in:?}");
                    seen.disconnected += 1;
                }
                other => {
                    let _ = writeln!(seen.diary, "{now:?} {other:?}");
                }
            }
        }
    }

    /// Enters all rooms.
    async fn enter(&self) {
        for room in ROOMS {
            self.client.subscribe(room).await.expect("anybody is let in");
        }
    }

    /// Says things in all rooms, with pauses.
    async fn speak(self) {
        let mut pauses = self.host.random("pauses");
        for number in 0..MESSAGES {
            sleep(&self.host, Duration::from_micros(pauses.below(500_000))).await;
            let room = ROOMS[pauses.below(ROOMS.len() as u64) as usize];
            let text = format!("{} {number}", self.name);
            self.client.publish(room, &text).await.expect("published");
        }
    }

    fn seen(&self) -> (String, BTreeMap<(String, u64), String>, usize) {
        let seen = self.seen.lock().expect("no test panics with it");
        (seen.diary.clone(), seen.said.clone(), seen.disconnected)
    }
}

/// What happens to the network and the server while two people talk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Connections are reset and people are cut off, again and again.
    Breaks,
    /// The server's power fails, again and again, with what it had not synced.
    Outages,
}

/// What a run left behind.
struct Story {
    /// What the two saw.
    diaries: [String; 2],
    /// What went over the network.
    transcript: Transcript,
    disconnected: usize,
}

/// Two people talk in all rooms until both have seen everything.
fn talk(seed: u64, shards: usize, weather: Weather) -> Story {
    let lab = Lab::new(seed);
    let disk = Disk::new(seed);
    let store: Box<dyn Store> = match weather {
        Weather::Outages => Box::new(Embedded::at(disk.clone()).expect("an empty disk")),
        Weather::Fair | Weather::Breaks => Box::new(Memory::new()),
    };
    let mut served = Served::new(&lab, shards, store);
    let (ann, ann_machine) = Person::new(&lab, "ann", 2);
    let (bob, bob_machine) = Person::new(&lab, "bob", 3);
    lab.block_on(async {
        ann.enter().await;
        bob.enter().await;
    });
    let speaking = [ann.clone(), bob.clone()].map(|person| person.host.clone().spawn(person.speak()));

    let mut times = lab.random("weather");
    while !speaking.iter().all(Task::is_ended) {
        lab.run_for(Duration::from_micros(times.below(2_000_000)));
        match weather {
            Weather::Fair => {}
            Weather::Outages => served.fail(&disk),
            Weather::Breaks => match times.below(3) {
                0 => lab.reset_connections(&served.machine),
                1 => lab.reset_connections(&ann_machine),
                _ => {
                    lab.cut(&bob_machine, &served.machine);
                    lab.run_for(Duration::from_millis(times.below(60_000)));
                    lab.heal(&bob_machine, &served.machine);
                }
            },
        }
    }
    // Who was cut off or is waiting to dial comes back by then.
    lab.run_for(Duration::from_secs(120));

    let both = [ann.seen(), bob.seen()];
    let [(ann_diary, heard, ann_lost), (bob_diary, also_heard, bob_lost)] = both;
    assert_eq!(heard, also_heard, "both saw the same");
    assert_complete(&heard);
    served.stop();
    Story { diaries: [ann_diary, bob_diary], transcript: lab.transcript(), disconnected: ann_lost + bob_lost }
}

/// In each room the offsets have no hole, and of each person everything was said once, in order.
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
    for room in ROOMS {
        for name in ["ann ", "bob "] {
            let of_room = said.iter().filter(|((of, _), text)| of == room && text.starts_with(name));
            let numbers = of_room.map(|(_, text)| text[name.len()..].parse().expect("a number"));
            let numbers: Vec<u64> = numbers.collect();
            assert!(numbers.is_sorted(), "{name}in {room}: {numbers:?}");
        }
    }
}

fn assert_same_twice(seed: u64, shards: usize, weather: Weather) {
    let (first, second) = (talk(seed, shards, weather), talk(seed, shards, weather));
    assert_eq!(first.diaries, second.diaries);
    assert_eq!(first.transcript.first_difference(&second.transcript), None);
    assert_eq!(first.transcript.hash(), second.transcript.hash());
    let other = talk(seed + 1_000, shards, weather);
    assert_ne!(first.transcript.hash(), other.transcript.hash(), "the seed has a part in it");
}

#[test]
fn one_seed_is_one_transcript_on_one_shard() {
    assert_same_twice(1, 1, Weather::Fair);
}

#[test]
fn one_seed_is_one_transcript_on_two_shards() {
    assert_same_twice(2, 2, Weather::Fair);
}

#[test]
fn one_seed_is_one_transcript_while_everything_breaks() {
    assert_same_twice(3, 2, Weather::Breaks);
    assert_same_twice(4, 2, Weather::Outages);
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_while_connections_break() {
    let disconnected: usize =
        (0..6).map(|seed| talk(100 + seed, 1 + seed as usize % 2, Weather::Breaks).disconnected).sum();
    assert!(disconnected > 40, "only {disconnected} disconnections: the test breaks too little");
}

#[test]
fn what_was_acknowledged_outlives_every_power_failure() {
    let disconnected: usize =
        (0..4).map(|seed| talk(200 + seed, 1 + seed as usize % 2, Weather::Outages).disconnected).sum();
    assert!(disconnected > 40, "only {disconnected} disconnections: the test breaks too little");
}

#[test]
fn who_has_not_read_for_a_while_gets_all_of_it_at_once() {
    const LONG: usize = 20;
    let lab = Lab::new(1);
    let served = Served::new(&lab, 1, Box::new(Memory::new()));
    let (ann, _) = Person::new(&lab, "ann", 2);
    let machine = lab.machine("bob", [10, 0, 0, 3].into(), 1);
    let config = Config { events: 1, ..Config::new(&format!("ws://{SERVER}")).expect("an address") };
    let (bob, mut events) = Client::start(machine.host(), config);
    lab.block_on(async {
        bob.subscribe("lobby").await.expect("anybody is let in");
        // More than the network holds, and less than makes a client a slow one.
        let text = "x".repeat(60_000);
        for _ in 0..LONG {
            ann.client.publish("lobby", &text).await.expect("published");
        }
    });
    lab.run_for(Duration::from_secs(5));
    let resumed = lab.now();
    lab.block_on(async {
        let mut got = 0;
        while got < LONG {
            match events.next().await.expect("the client lives") {
                Event::Publication { .. } => got += 1,
                Event::Disconnected { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    });
    let took = lab.now().since(resumed);
    assert!(took < Duration::from_secs(1), "the rest came after {took:?}");
    served.stop();
}

#[test]
fn only_who_said_it_can_change_it_or_take_it_back() {
    let lab = Lab::new(1);
    let served = Served::new(&lab, 2, Box::new(Memory::new()));
    let [(ann, _), (bob, _)] = [("ann", 2), ("bob", 3)].map(|(name, last)| Person::new(&lab, name, last));
    let page = lab.block_on(async {
        let said = ann.client.publish("lobby", "hello").await.expect("published").offset;
        assert!(matches!(
            bob.client.edit("lobby", said, "mine").await,
            Err(Error::Refused { code: 103, .. })
        ));
        assert!(matches!(bob.client.delete("lobby", said).await, Err(Error::Refused { code: 103, .. })));
        assert_eq!(ann.client.edit("lobby", said, "hello all").await.expect("edited").offset, said + 1);
        assert_eq!(ann.client.delete("lobby", said).await.expect("deleted").offset, said + 2);
        bob.client
            .history("lobby", HistoryOptions { limit: 10, ..HistoryOptions::default() })
            .await
            .expect("a page")
    });
    let texts: Vec<&str> = page.publications.iter().map(|publication| publication.data.as_str()).collect();
    assert_eq!(texts, ["null", "null", "null"], "nothing is left of it");
    assert_eq!(page.publications[2].tags.get("deletes").map(String::as_str), Some("1"));
    assert!(page.publications.iter().all(|publication| publication.time >= 1_767_225_600_000));
    served.stop();
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the real clock is what the virtual one is measured against")]
fn an_hour_passes_in_no_time() {
    let started = std::time::Instant::now();
    let lab = Lab::new(1);
    let served = Served::new(&lab, 2, Box::new(Memory::new()));
    let people = [("ann", 2), ("bob", 3)].map(|(name, last)| Person::new(&lab, name, last).0);
    lab.block_on(async {
        for person in &people {
            person.enter().await;
        }
    });
    lab.run_for(Duration::from_secs(3_600));
    lab.block_on(people[0].client.publish("lobby", "still there")).expect("published");
    lab.run_for(Duration::from_secs(1));
    for person in &people {
        let (diary, said, disconnected) = person.seen();
        assert_eq!((said.len(), disconnected), (1, 0), "{diary}");
    }
    served.stop();
    assert!(lab.now().since(host::Instant::ORIGIN) >= Duration::from_secs(3_601));
    assert!(started.elapsed() < Duration::from_secs(60), "an hour took {:?}", started.elapsed());
}
