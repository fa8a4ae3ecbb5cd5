//! What the simulated network does, beyond what every host owes.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host::{Connection, Instant, ListenOptions, Listener, Network, Runtime, sleep, timeout_at};
use lab::{Config, Crash, Lab, LabConnection, LabHost, Machine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn two_machines(lab: &Lab) -> (Machine, Machine) {
    (lab.machine("a", ip(1), 1), lab.machine("b", ip(2), 1))
}

/// A connection from `a` to `b`.
async fn pair(a: &LabHost, b: &LabHost) -> (LabConnection, LabConnection) {
    let mut listener = b.listen("0.0.0.0:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let address = SocketAddr::new(ip(2), listener.local_address().port());
    let client = a.connect(address).await.unwrap();
    (client, listener.accept().await.unwrap())
}

async fn write(connection: &mut LabConnection, bytes: &[u8]) {
    connection.write_all(bytes).await.unwrap();
}

async fn read(connection: &mut LabConnection) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 20];
    let length = connection.read(&mut buffer).await?;
    buffer.truncate(length);
    Ok(buffer)
}

#[test]
fn each_way_takes_its_latency() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.set_latency(&a, &b, 7 * MS);
    lab.block_on(async {
        let (mut client, mut server) = pair(&a.host(), &b.host()).await;
        assert_eq!(lab.now(), Instant::ORIGIN + 14 * MS);
        write(&mut client, b"hello").await;
        assert_eq!(client.unsent(), 5);
        assert_eq!(read(&mut server).await.unwrap(), b"hello");
        assert_eq!(lab.now(), Instant::ORIGIN + 21 * MS);
        sleep(&a.host(), 7 * MS).await;
        assert_eq!(client.unsent(), 0);
        assert_eq!(client.info().round_trip, Some(14 * MS));
    });
}

#[test]
fn a_shorter_way_lets_nothing_overtake() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (mut client, mut server) = pair(&a.host(), &b.host()).await;
        lab.set_latency(&a, &b, 1000 * MS);
        write(&mut client, b"first").await;
        lab.set_latency(&a, &b, MS);
        write(&mut client, b"second").await;
        client.shutdown().await.unwrap();
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"firstsecond");
    });
}

#[test]
fn a_cut_holds_bytes_and_calls_until_it_heals() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (a_host, b_host) = (a.host(), b.host());
        let (mut client, mut server) = pair(&a_host, &b_host).await;
        write(&mut client, b"on its way ").await;
        lab.cut(&a, &b);
        write(&mut client, b"and later").await;
        client.shutdown().await.unwrap();
        let early = timeout_at(&b_host, lab.now() + Duration::from_secs(60), read(&mut server)).await;
        assert!(early.is_err());
        lab.heal(&b, &a);
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"on its way and later");
    });
}

#[test]
fn connections_are_dealt_to_the_shards_in_turn() {
    let lab = Lab::new(1);
    let server = lab.machine("server", ip(2), 2);
    let client = lab.machine("client", ip(1), 1).host();
    let address = SocketAddr::new(ip(2), 80);
    let (sender, receiver) = std::sync::mpsc::channel();
    for host in server.hosts() {
        let sender = sender.clone();
        host.clone().spawn_detached(async move {
            let options = ListenOptions { shared: true, ..ListenOptions::default() };
            let mut listener = host.listen(address, options).await.unwrap();
            loop {
                let connection = listener.accept().await.unwrap();
                sender.send((host.shard().index, connection)).unwrap();
            }
        });
    }
    lab.block_on(async {
        for _ in 0..6 {
            drop(client.connect(address).await.unwrap());
        }
    });
    let shards: Vec<_> = receiver.try_iter().map(|(shard, _)| shard).collect();
    assert_eq!(shards, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn a_middlebox_resets_both_ends() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (mut client, mut server) = pair(&a.host(), &b.host()).await;
        lab.reset_connections(&b);
        for end in [&mut client, &mut server] {
            assert_eq!(read(end).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(end.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_crash_takes_the_tasks_and_the_machine_serves_again() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    let (a_host, address) = (a.host(), SocketAddr::new(ip(2), 7));
    let held = std::sync::Arc::new(());
    let serve = |host: LabHost| {
        let held = held.clone();
        host.clone().spawn_detached(async move {
            let _held = held;
            let mut listener = host.listen(address, ListenOptions::default()).await.unwrap();
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
            }
        });
    };
    serve(b.host());
    let mut client = lab.block_on(a_host.connect(address)).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&held), 2);
    lab.crash(&b, Crash::Reset);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
    lab.block_on(async {
        assert_eq!(read(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(a_host.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    serve(b.host());
    assert!(lab.block_on(a_host.connect(address)).is_ok());
}

#[test]
fn a_silent_crash_is_found_out_by_writing() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (mut client, _server) = pair(&a.host(), &b.host()).await;
        lab.crash(&b, Crash::Silent);
        let nothing = timeout_at(&a.host(), lab.now() + Duration::from_secs(3600), read(&mut client)).await;
        assert!(nothing.is_err());
        write(&mut client, b"are you there?").await;
        assert_eq!(read(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_crash_leaves_blocking_work_done_or_not_but_never_answered() {
    let mut done = [0; 2];
    for seed in 0..32 {
        let lab = Lab::new(seed);
        let machine = lab.machine("a", ip(1), 1);
        let host = machine.host();
        let disk = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let written = disk.clone();
        let answered = disk.clone();
        host.clone().spawn_detached(async move {
            host.blocking(move || written.fetch_add(1, std::sync::atomic::Ordering::SeqCst)).await;
            answered.fetch_add(100, std::sync::atomic::Ordering::SeqCst);
        });
        lab.run_for(Duration::from_micros(100));
        lab.crash(&machine, Crash::Reset);
        lab.run_for(Duration::from_secs(1));
        done[disk.load(std::sync::atomic::Ordering::SeqCst)] += 1;
    }
    assert!(done[0] > 4 && done[1] > 4, "{done:?}");
}

#[test]
fn a_full_backlog_makes_callers_try_again() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (a, b) = (a.host(), b.host());
        let options = ListenOptions { backlog: 1, ..ListenOptions::default() };
        let mut listener = b.listen("0.0.0.0:80".parse().unwrap(), options).await.unwrap();
        let address = SocketAddr::new(ip(2), 80);
        let first = a.connect(address).await.unwrap();
        let deadline = a.now() + 500 * MS;
        assert!(timeout_at(&a, deadline, a.connect(address)).await.is_err());
        drop(listener.accept().await.unwrap());
        let third = a.connect(address).await.unwrap();
        drop((first, third));
    });
}

#[test]
fn who_leaves_bytes_unread_resets() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (mut client, mut server) = pair(&a.host(), &b.host()).await;
        write(&mut client, b"unheard").await;
        poll_fn(|context| server.poll_readable(context)).await.unwrap();
        write(&mut server, b"goodbye").await;
        drop(server);
        assert_eq!(read(&mut client).await.unwrap(), b"goodbye");
        assert_eq!(read(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn small_segments_tear_writes_apart() {
    let lab = Lab::with(Config { seed: 1, segment: 3, ..Config::default() });
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (mut client, mut server) = pair(&a.host(), &b.host()).await;
        client.try_write_vectored(&[IoSlice::new(b"four"), IoSlice::new(b"wire")]).unwrap();
        assert_eq!(read(&mut server).await.unwrap(), b"fou");
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"rwire");
    });
}

#[test]
fn a_machine_calls_itself_and_only_itself_at_its_loopback_address() {
    let lab = Lab::new(1);
    let (a, b) = two_machines(&lab);
    lab.block_on(async {
        let (a, b) = (a.host(), b.host());
        let address: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        let listener = a.listen(address, ListenOptions::default()).await.unwrap();
        assert!(a.connect(address).await.unwrap().peer_address().ip().is_loopback());
        assert_eq!(b.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let outside = SocketAddr::new(ip(1), 8000);
        assert_eq!(b.connect(outside).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop(listener);
        let nowhere = SocketAddr::new(ip(99), 80);
        assert_eq!(a.connect(nowhere).await.unwrap_err().kind(), ErrorKind::HostUnreachable);
        let foreign = a.listen(outside_of(&b), ListenOptions::default()).await;
        assert_eq!(foreign.err().unwrap().kind(), ErrorKind::AddrNotAvailable);
    });
    fn outside_of(_b: &LabHost) -> SocketAddr {
        SocketAddr::new(ip(2), 8000)
    }
}
