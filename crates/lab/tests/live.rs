//! A path in the way of real sockets: what it carries, what it lets through, and what it holds.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use host::{Connection, Datagrams, ListenOptions, Listener, Network, Runtime, sleep, timeout_at};
use kernel::{KernelConnection, KernelHost, KernelListener};
use lab::live::{Path, PathConfig, Places, Report, Rules, Unsent, Wire, bridge};
use lab::{Chance, Duplex, Flows, Impairments, Loss, Way};
use stack::StackHost;
use stack::device::Memory;
use tcpip::StackConfig;
use tcpip::internet::Cidr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trace::Tracer;

const LOOPBACK: &str = "127.0.0.1:0";
const HELD: u64 = 256 * 1024;

/// A path between a client and a listener of the test's.
struct Scene {
    host: KernelHost,
    path: Path<KernelHost>,
    /// Where clients connect to.
    address: SocketAddr,
    target: KernelListener,
}

impl Scene {
    async fn set(host: KernelHost, config: PathConfig) -> Self {
        let target = host.listen(LOOPBACK.parse().unwrap(), ListenOptions::default()).await.unwrap();
        let path = Path::open(host.clone(), target.local_address(), config).await.unwrap();
        let listener = host.listen(LOOPBACK.parse().unwrap(), ListenOptions::default()).await.unwrap();
        let address = listener.local_address();
        let serving = path.clone();
        host.spawn_detached(async move { serving.serve(listener).await });
        Self { host, path, address, target }
    }

    async fn client(&self) -> KernelConnection {
        self.host.connect(self.address).await.unwrap()
    }

    /// A connection from end to end.
    async fn connection(&mut self) -> [KernelConnection; 2] {
        let client = self.client().await;
        [client, self.target.accept().await.unwrap()]
    }

    /// Waits until the report is as `wanted`.
    async fn until(&self, wanted: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.path.report();
            if wanted(&report) {
                return report;
            }
            self.pause(5).await;
        }
    }

    async fn pause(&self, millis: u64) {
        sleep(&self.host, Duration::from_millis(millis)).await;
    }
}

/// Runs a test with a deadline.
fn run<F: Future<Output = ()>>(config: PathConfig, test: impl Fn(Scene) -> F + Send + Sync) {
    let ended = kernel::run(1, |host| {
        let (config, test) = (config.clone(), &test);
        async move {
            let deadline = host.now() + Duration::from_secs(20);
            let scene = Scene::set(host.clone(), config).await;
            timeout_at(&host, deadline, test(scene)).await
        }
    });
    assert!(ended.unwrap()[0].is_ok(), "the test takes too long");
}

fn impaired(impairments: Impairments) -> PathConfig {
    PathConfig { impairments: [impairments.clone(), impairments], seed: Some(7), ..PathConfig::default() }
}

fn pattern(length: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..10_007).map(|at| (at * 31 + at / 241) as u8).collect();
    block.into_iter().cycle().take(length).collect()
}

async fn kind_of_end(connection: &mut KernelConnection) -> ErrorKind {
    connection.read_u8().await.expect_err("nothing was sent").kind()
}

#[test]
fn every_byte_gets_through_and_what_was_lost_is_sent_again() {
    let lossy = Impairments { loss: Loss::from(Chance::percent(3)), ..Impairments::default() };
    run(impaired(lossy), async |mut scene| {
        let [mut client, mut server] = scene.connection().await;
        let sent = pattern(400_000);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let (mut client, mut server) = (tokio::io::split(&mut client), tokio::io::split(&mut server));
        let outcome = tokio::try_join!(
            async { client.1.write_all(&sent).await.and(client.1.shutdown().await) },
            async { server.1.write_all(&sent).await.and(server.1.shutdown().await) },
            server.0.read_to_end(&mut up),
            client.0.read_to_end(&mut down),
        );
        outcome.unwrap();
        assert!(up == sent && down == sent);
        let report = scene.until(|report| report.open == 0).await;
        assert_eq!((report.carried, report.held), ([400_000; 2], [0; 2]));
        assert!(report.resent.iter().all(|resent| resent.total() > 0), "{report:?}");
        assert!(report.wire.iter().all(|wire| wire.lost_in_all() > 0), "{report:?}");
    });
}

#[test]
fn a_call_is_answered_when_the_target_has_answered() {
    run(PathConfig::default(), async |mut scene| {
        for way in [Way::Out, Way::In] {
            scene.path.wire().cut(way, true);
        }
        let mut client = scene.client().await;
        client.write_all(&pattern(50_000)).await.unwrap();
        scene.pause(300).await;
        let report = scene.path.report();
        assert_eq!((report.open, report.held), (1, [0; 2]), "nothing is taken before there is a connection");
        let early = timeout_at(&scene.host, scene.host.now(), scene.target.accept()).await;
        assert!(early.is_err(), "the target hears nothing through a link that is cut");
        for way in [Way::Out, Way::In] {
            scene.path.wire().cut(way, false);
        }
        let mut got = vec![0; 50_000];
        scene.target.accept().await.unwrap().read_exact(&mut got).await.unwrap();
        assert!(got == pattern(50_000));
    });
}

#[test]
fn a_refusal_takes_its_way_and_resets_the_client() {
    let slow = Impairments { delay: Duration::from_millis(40), ..Impairments::default() };
    run(impaired(slow), async |scene| {
        let Scene { host, path, address, target } = scene;
        drop(target);
        let began = host.now();
        let mut client = host.connect(address).await.unwrap();
        assert_eq!(kind_of_end(&mut client).await, ErrorKind::ConnectionReset);
        assert!(host.now().since(began) >= Duration::from_millis(80), "it crossed the link both ways");
        assert_eq!(path.report().unreached, 1);
    });
}

#[test]
fn either_side_ends_its_direction_and_the_other_goes_on() {
    run(PathConfig::default(), async |mut scene| {
        for first in [0, 1] {
            let mut ends = scene.connection().await;
            ends[first].shutdown().await.unwrap();
            let [one, other] = &mut ends;
            let (early, late) = if first == 0 { (one, other) } else { (other, one) };
            assert_eq!(late.read(&mut [0]).await.unwrap(), 0, "the end gets through");
            late.write_all(b"still here").await.unwrap();
            let mut heard = [0; 10];
            early.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"still here");
            late.shutdown().await.unwrap();
            assert_eq!(early.read(&mut [0]).await.unwrap(), 0);
        }
        scene.until(|report| report.open == 0).await;
    });
}

#[test]
fn an_abort_passes_through_both_ways() {
    run(PathConfig::default(), async |mut scene| {
        for first in [0, 1] {
            let [mut one, mut other] = scene.connection().await;
            if first == 1 {
                std::mem::swap(&mut one, &mut other);
            }
            one.write_all(b"x").await.unwrap();
            assert_eq!(other.read_u8().await.unwrap(), b'x');
            one.abort();
            assert_eq!(kind_of_end(&mut other).await, ErrorKind::ConnectionReset);
        }
        scene.until(|report| report.open == 0).await;
    });
}

#[test]
fn a_stalled_link_stalls_the_sender() {
    run(PathConfig::default(), async |mut scene| {
        for (from, way) in [(0, Way::Out), (1, Way::In)] {
            let mut ends = scene.connection().await;
            let [one, other] = &mut ends;
            let (sender, receiver) = if from == 0 { (one, other) } else { (other, one) };
            sender.write_all(b"x").await.unwrap();
            assert_eq!(receiver.read_u8().await.unwrap(), b'x', "the connection is made");
            scene.path.wire().cut(way, true);
            let sent = write_until_stalled(&scene.host, sender).await;
            let held = scene.path.report().held[from];
            assert!(held > HELD / 4 && held <= HELD, "{held} bytes are held");
            scene.path.wire().cut(way, false);
            let mut got = vec![0; sent.min(700_000)];
            receiver.read_exact(&mut got).await.unwrap();
            assert!(got == pattern(got.len()));
        }
    });
}

#[test]
fn a_receiver_that_does_not_read_stalls_the_sender() {
    run(PathConfig::default(), async |mut scene| {
        let [mut client, mut server] = scene.connection().await;
        let sent = write_until_stalled(&scene.host, &mut client).await;
        let held = scene.path.report().held[0];
        assert!(held <= HELD, "{held} bytes are held");
        let mut got = vec![0; sent.min(700_000)];
        server.read_exact(&mut got).await.unwrap();
        assert!(got == pattern(got.len()));
    });
}

/// Writes the pattern until nothing was taken for a while, and says how much of it was.
async fn write_until_stalled(host: &KernelHost, connection: &mut KernelConnection) -> usize {
    let bytes = pattern(10_007).repeat(6_400);
    let mut sent = 0;
    while let Ok(written) =
        timeout_at(host, host.now() + Duration::from_millis(500), connection.write(&bytes[sent..])).await
    {
        sent += written.unwrap();
        assert!(sent < bytes.len(), "nothing stops the sender");
    }
    sent
}

#[test]
fn one_connection_too_many_is_reset_and_counted() {
    run(PathConfig { places: Places::at_most(1), ..PathConfig::default() }, async |mut scene| {
        let _first = scene.connection().await;
        let mut second = scene.client().await;
        assert_eq!(kind_of_end(&mut second).await, ErrorKind::ConnectionReset);
        assert_eq!(scene.path.report().over_limit, 1);
    });
}

#[test]
fn connections_become_half_open_and_new_ones_work() {
    run(PathConfig::default(), async |mut scene| {
        let [mut client, mut server] = scene.connection().await;
        client.write_all(b"a").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        scene.path.wire().silence(Some(Flows::Established));
        client.write_all(b"b").await.unwrap();
        client.shutdown().await.unwrap();
        let silent = timeout_at(&scene.host, scene.host.now() + Duration::from_millis(400), server.read_u8());
        assert!(silent.await.is_err(), "neither bytes nor the end get through, and nobody is told");
        let [mut client, mut server] = scene.connection().await;
        client.write_all(b"c").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'c');
        assert!(scene.path.report().silenced[0] > 0);
    });
}

#[test]
fn rules_end_connections() {
    run(PathConfig::default(), async |mut scene| {
        let [mut client, mut server] = scene.connection().await;
        scene.path.set_rules(Rules { limits: [Some(1_000), None], ..Rules::default() });
        client.write_all(&pattern(5_000)).await.unwrap();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert!(got == pattern(1_000), "{} bytes", got.len());

        scene.path.set_rules(Rules { close_after: Some(Duration::from_millis(50)), ..Rules::default() });
        let [mut client, _server] = scene.connection().await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);

        scene.path.set_rules(Rules::default());
        let [mut client, mut server] = scene.connection().await;
        scene.pause(100).await;
        scene.path.set_rules(Rules { reset_after: Some(Duration::ZERO), ..Rules::default() });
        assert_eq!(kind_of_end(&mut client).await, ErrorKind::ConnectionReset);
        assert_eq!(kind_of_end(&mut server).await, ErrorKind::ConnectionReset);

        scene.path.set_rules(Rules::default());
        let [mut client, mut server] = scene.connection().await;
        scene.path.reset();
        assert_eq!(kind_of_end(&mut client).await, ErrorKind::ConnectionReset);
        assert_eq!(kind_of_end(&mut server).await, ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_closed_path_closes_its_connections() {
    run(PathConfig::default(), async |mut scene| {
        let [mut client, mut server] = scene.connection().await;
        scene.path.close();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        scene.until(|report| report.open == 0).await;
        scene.pause(20).await;
        let refused = scene.host.connect(scene.address).await.map(drop);
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
    });
}

#[test]
fn datagrams_are_lost_and_find_their_way_back() {
    let lossy = Impairments { loss: Loss::from(Chance::percent(20)), ..Impairments::default() };
    run(impaired(lossy), async |scene| {
        let host = scene.host;
        let mut echo = host.bind(LOOPBACK.parse().unwrap()).await.unwrap();
        scene.path.set_target(echo.local_address());
        let socket = host.bind(LOOPBACK.parse().unwrap()).await.unwrap();
        let (address, path) = (socket.local_address(), scene.path.clone());
        host.spawn_detached(async move { path.serve_datagrams(socket).await.unwrap() });
        host.spawn_detached(async move {
            let mut buffer = [0; 4_096];
            while let Ok((length, from)) = receive(&mut echo, &mut buffer).await {
                send(&mut echo, &buffer[..length], from).await.unwrap();
            }
        });
        let mut came_back = 0;
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(host.bind(LOOPBACK.parse().unwrap()).await.unwrap());
        }
        for round in 0..50 {
            // Longer than a packet on the wire.
            for (number, client) in clients.iter_mut().enumerate() {
                send(client, &[number as u8 * 100 + round; 2_000], address).await.unwrap();
            }
            for (number, client) in clients.iter_mut().enumerate() {
                let mut buffer = [0; 4_096];
                let deadline = host.now() + Duration::from_millis(30);
                let Ok(answer) = timeout_at(&host, deadline, receive(client, &mut buffer)).await else {
                    continue;
                };
                assert_eq!((answer.unwrap().0, buffer[0] / 100), (2_000, number as u8), "each gets its own");
                came_back += 1;
            }
        }
        // Two fragments each way: 0.8 to the fourth are 41 %.
        assert!((15..70).contains(&came_back), "{came_back} of 100 came back");
    });
}

async fn receive(socket: &mut impl Datagrams, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    std::future::poll_fn(|context| socket.poll_receive(context, buffer)).await
}

async fn send(socket: &mut impl Datagrams, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
    std::future::poll_fn(|context| socket.poll_send(context, datagram, to)).await
}

#[test]
fn a_bridge_is_a_cable_between_two_devices() {
    run(PathConfig::default(), async |scene| {
        let host = scene.host;
        let slow = Impairments { delay: Duration::from_millis(30), ..Impairments::default() };
        let wire = Wire::seeded(host.clone(), Duplex::Full, [slow.clone(), slow], Some(1));
        let mut ends = Vec::new();
        let mut hosts = Vec::new();
        for last in [1, 2] {
            let [ours, other] = Memory::pair(None, 1_500, 64);
            let stack = StackHost::new(host.clone(), StackConfig::default(), Tracer::OFF);
            let interface = stack.attach("eth0", other).unwrap();
            let address = Cidr::new([10, 0, 0, last].into(), 24);
            stack.with_stack(|stack, now, _| stack.add_address(now, interface, address)).unwrap();
            ends.push(ours);
            hosts.push(stack);
        }
        let bridged = wire.clone();
        host.spawn_detached(async move {
            let (mut far, mut near) = (ends.pop().unwrap(), ends.pop().unwrap());
            let _ = bridge(&bridged, &mut near, &mut far, &Unsent::default()).await;
        });
        let mut listener =
            hosts[1].listen("10.0.0.2:7".parse().unwrap(), ListenOptions::default()).await.unwrap();
        let began = host.now();
        let mut caller = hosts[0].connect("10.0.0.2:7".parse().unwrap()).await.unwrap();
        let took = host.now().since(began);
        assert!((60..200).contains(&took.as_millis()), "{took:?} for a round trip of 60 ms");
        let mut called = listener.accept().await.unwrap();
        caller.write_all(&pattern(50_000)).await.unwrap();
        let mut got = vec![0; 50_000];
        called.read_exact(&mut got).await.unwrap();
        assert!(got == pattern(50_000));
        let frames = wire.counters(Way::Out);
        assert_eq!((frames.lost_in_all(), frames.duplicated), (0, 0));
    });
}

#[test]
fn what_travels_is_bounded() {
    run(PathConfig::default(), async |scene| {
        let slow = Impairments { delay: Duration::from_secs(3_600), ..Impairments::default() };
        let wire = Wire::seeded(scene.host, Duplex::Full, [slow.clone(), slow], Some(1));
        let frame = bytes::Bytes::from_static(&[0; 60]);
        for _ in 0..40_000 {
            wire.offer(Way::Out, frame.clone());
        }
        assert_eq!(
            (wire.counters(Way::Out).travelling, wire.overflowed(Way::Out)),
            (32_768, 40_000 - 32_768)
        );
    });
}
