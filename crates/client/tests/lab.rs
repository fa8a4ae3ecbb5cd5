//! The client against a small server, over a simulated network that breaks at will, in virtual time.

mod desk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Config, Error, Event, Events, HistoryOptions, Recovery};
use desk::Desk;
use fourwire_client as client;
use host::{ListenOptions, Listener, Network, Runtime, sleep};
use lab::{Lab, LabHost, Machine};
use serde_json::json;
use websocket::{CloseCode, End};

const SERVER: &str = "10.0.0.1:80";

struct Scene {
    lab: Lab,
    server: Machine,
    desk: Arc<Desk>,
}

impl Scene {
    /// A server that serves.
    fn new(seed: u64) -> Self {
        let scene = Self::closed(seed);
        scene.open();
        scene
    }

    /// A server that does not serve yet.
    fn closed(seed: u64) -> Self {
        let lab = Lab::new(seed);
        let server = lab.machine("server", address().ip(), 1);
        Self { lab, server, desk: Desk::new() }
    }

    fn open(&self) {
        let host = self.server.host();
        host.spawn_detached(self.desk.clone().serve(host.clone(), address()));
    }

    fn client(&self, name: &str, last: u8) -> (Client<LabHost>, Events, Machine) {
        self.client_with(name, last, |_| {})
    }

    fn client_with(
        &self,
        name: &str,
        last: u8,
        set: impl FnOnce(&mut Config),
    ) -> (Client<LabHost>, Events, Machine) {
        let machine = self.lab.machine(name, [10, 0, 0, last].into(), 1);
        let mut config = Config::new(&format!("ws://{SERVER}")).expect("an address");
        set(&mut config);
        let (client, events) = Client::start(machine.host(), config);
        (client, events, machine)
    }
}

fn address() -> SocketAddr {
    SERVER.parse().expect("an address")
}

/// The next `count` publications, and how often the room was entered and something was lost.
async fn publications(events: &mut Events, count: usize) -> (Vec<u64>, usize) {
    let (mut offsets, mut lost) = (Vec::new(), 0);
    while offsets.len() < count {
        match events.next().await.expect("the client lives") {
            Event::Publication { publication, .. } => offsets.push(publication.offset),
            Event::Subscribed { recovery: Recovery::TooOld, .. } => lost += 1,
            _ => {}
        }
    }
    (offsets, lost)
}

async fn disconnected(events: &mut Events) -> (Option<u16>, String, Option<Duration>) {
    loop {
        if let Event::Disconnected { code, reason, retry_in } = events.next().await.expect("the client lives")
        {
            return (code, reason, retry_in);
        }
    }
}

/// One talks to another while the network breaks again and again.
fn talk(seed: u64) -> (Vec<u64>, usize, [u8; 32]) {
    const MESSAGES: u64 = 100;
    let scene = Scene::new(seed);
    let (writer, writer_events, _) = scene.client("writer", 2);
    let (reader, mut reader_events, _) = scene.client("reader", 3);
    drop(writer_events);
    let host = scene.server.host();
    let writing = host.spawn(async move {
        for number in 0..MESSAGES {
            writer.publish("room", &number).await.expect("published");
        }
    });
    let mut times = scene.lab.random("breaks");
    let (lab, server, breaker) = (scene.lab.clone(), scene.server.clone(), scene.server.host());
    let breaking = host.spawn(async move {
        loop {
            sleep(&breaker, Duration::from_micros(times.below(200_000))).await;
            lab.reset_connections(&server);
        }
    });
    let offsets = scene.lab.block_on(async {
        reader.subscribe("room").await.expect("let in");
        let got = publications(&mut reader_events, 1).await.0[0];
        let (mut offsets, lost) =
            publications(&mut reader_events, usize::try_from(MESSAGES - got).expect("few")).await;
        assert_eq!(lost, 0);
        offsets.insert(0, got);
        writing.await;
        offsets
    });
    breaking.abort();
    let history = scene
        .lab
        .block_on(reader.history("room", HistoryOptions { limit: 1_000, ..HistoryOptions::default() }));
    let texts: Vec<u64> = history
        .expect("a page")
        .publications
        .iter()
        .map(|publication| publication.data.parse().expect("a number"))
        .collect();
    assert_eq!(texts, (0..MESSAGES).collect::<Vec<_>>(), "each once, in order");
    (offsets, scene.desk.repeated(), scene.lab.transcript().hash())
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_while_the_network_breaks() {
    let mut repeated = 0;
    for seed in 0..10 {
        let (offsets, again, _) = talk(seed);
        let first = offsets[0];
        assert_eq!(offsets, (first..=100).collect::<Vec<_>>(), "seed {seed}");
        repeated += again;
    }
    assert!(repeated > 5, "only {repeated} publications came again: the test breaks too little");
}

#[test]
fn one_seed_is_one_transcript() {
    assert_eq!(talk(7), talk(7));
    assert_ne!(talk(7).2, talk(8).2);
}

#[test]
fn what_is_asked_before_there_is_a_server_is_done_when_there_is_one() {
    let scene = Scene::closed(1);
    let (client, mut events, _) =
        scene.client_with("client", 2, |config| config.request_timeout = Duration::from_secs(120));
    let publishing = scene.server.host().spawn(async move {
        assert_eq!(client.publish("room", "early").await.expect("published").offset, 1);
    });
    let mut failures = 0;
    scene.lab.run_for(Duration::from_secs(60));
    while let Some(event) = events.try_next() {
        let Event::Disconnected { code: None, reason, retry_in: Some(wait) } = event else {
            panic!("{event:?}")
        };
        assert!(reason.contains("cannot connect to 10.0.0.1:80"), "{reason}");
        assert!(wait <= Duration::from_secs(20));
        failures += 1;
    }
    assert!((5..40).contains(&failures), "{failures} attempts in a minute");
    scene.open();
    scene.lab.block_on(publishing);
    assert!(scene.lab.now() <= host::Instant::ORIGIN + Duration::from_secs(81));
}

#[test]
fn requests_give_up_when_their_time_is_over() {
    let scene = Scene::closed(1);
    let (client, _events, _) = scene.client_with("client", 2, |config| config.requests = 2);
    let asking: Vec<_> = (0..5)
        .map(|number| {
            let client = client.clone();
            scene.server.host().spawn(async move {
                assert_eq!(client.publish("room", &number).await, Err(Error::Timeout));
            })
        })
        .collect();
    scene.lab.block_on(async {
        for asking in asking {
            asking.await;
        }
    });
    assert_eq!(scene.lab.now(), host::Instant::ORIGIN + Duration::from_secs(30));
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    let scene = Scene::closed(1);
    let host = scene.server.host();
    host.spawn_detached({
        let host = host.clone();
        async move {
            let mut listener = host.listen(address(), ListenOptions::default()).await.expect("free");
            let mut held = Vec::new();
            while let Ok(connection) = listener.accept().await {
                held.push(connection);
            }
        }
    });
    let (_client, mut events, _) = scene.client("client", 2);
    let (_, reason, _) = scene.lab.block_on(disconnected(&mut events));
    assert!(reason.contains("not complete in time"), "{reason}");
    assert_eq!(scene.lab.now(), host::Instant::ORIGIN + Duration::from_secs(10));
}

#[test]
fn a_half_open_connection_is_noticed_and_recovered() {
    let scene = Scene::new(1);
    let (client, mut events, machine) = scene.client("client", 2);
    scene.lab.block_on(client.subscribe("room")).expect("let in");
    let cut = scene.lab.now();
    scene.lab.cut(&machine, &scene.server);
    scene.desk.publish(json!("while cut off"));
    let (code, reason, _) = scene.lab.block_on(disconnected(&mut events));
    assert_eq!(code, None);
    assert!(reason.contains("silent for 35 s"), "{reason}");
    assert!(scene.lab.now().since(cut) <= Duration::from_secs(36));
    scene.lab.heal(&machine, &scene.server);
    assert_eq!(scene.lab.block_on(publications(&mut events, 1)), (vec![1], 0));
}

#[test]
fn what_the_server_has_forgotten_is_said() {
    let scene = Scene::new(1);
    let (client, mut events, _) = scene.client("client", 2);
    scene.desk.publish(json!(1));
    scene.lab.block_on(client.subscribe("room")).expect("let in");
    scene.lab.reset_connections(&scene.server);
    for number in 2..=5 {
        scene.desk.publish(json!(number));
    }
    scene.desk.forget_until(4);
    scene.lab.block_on(async {
        loop {
            if let Some(Event::Subscribed { recovery: Recovery::TooOld, position, .. }) = events.next().await
            {
                assert_eq!(position.expect("a position").offset, 5);
                break;
            }
        }
    });
    scene.desk.publish(json!(6));
    assert_eq!(scene.lab.block_on(publications(&mut events, 1)), (vec![6], 0));
}

#[test]
fn a_program_that_takes_no_events_stops_the_reading_and_loses_nothing() {
    let scene = Scene::new(1);
    let (client, mut events, _) = scene.client_with("client", 2, |config| config.events = 4);
    scene.lab.block_on(client.subscribe("room")).expect("let in");
    let data = "x".repeat(10_000);
    for _ in 0..90 {
        scene.desk.publish(json!(data));
    }
    // More than buffers hold is on its way, and nobody takes it for ten minutes.
    scene.lab.run_for(Duration::from_secs(600));
    let (offsets, lost) = scene.lab.block_on(publications(&mut events, 90));
    assert_eq!((offsets, lost), ((1..=90).collect(), 0));
}

#[test]
fn closing_is_orderly_and_final() {
    let scene = Scene::new(1);
    let (client, mut events, _) = scene.client("client", 2);
    scene.lab.block_on(async {
        client.publish("room", "last words").await.expect("published");
        client.close().await;
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        assert_eq!(events.next().await, None);
        assert!(matches!(client.publish("room", "too late").await, Err(Error::Closed(_))));
    });
    scene.lab.run_for(Duration::from_secs(1));
    let ends = scene.desk.ends();
    assert!(matches!(ends[..], [End::ClosedByPeer { code: Some(CloseCode::NORMAL), .. }]), "{ends:?}");
}

#[test]
fn closing_does_not_wait_for_what_cannot_be_done() {
    let scene = Scene::closed(1);
    let (client, _events, _) = scene.client_with("client", 2, |config| config.requests = 1);
    let asking: Vec<_> = (0..3)
        .map(|number| {
            let client = client.clone();
            scene.server.host().spawn(async move {
                assert!(matches!(client.publish("room", &number).await, Err(Error::Closed(_))));
            })
        })
        .collect();
    scene.lab.run_for(Duration::from_secs(5));
    scene.lab.block_on(client.close());
    scene.lab.block_on(async {
        for asking in asking {
            asking.await;
        }
    });
    assert_eq!(scene.lab.now(), host::Instant::ORIGIN + Duration::from_secs(5));
}

#[test]
fn dropping_the_last_handle_closes() {
    let scene = Scene::new(1);
    let (client, mut events, _) = scene.client("client", 2);
    scene.lab.block_on(client.subscribe("room")).expect("let in");
    drop(client);
    scene.lab.block_on(async { while events.next().await.is_some() {} });
    scene.lab.run_for(Duration::from_secs(600));
    assert_eq!((scene.desk.connections(), scene.desk.ends().len()), (1, 1));
}
