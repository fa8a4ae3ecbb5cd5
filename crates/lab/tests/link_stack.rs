//! What links do to real TCP connections.

use std::time::Duration;

use host::{ListenOptions, Listener, Network as _, Runtime, sleep};
use lab::units::{Limit, Rate, Size};
use lab::{
    Codel, Counters, Discipline, Duplex, FqCodel, Impairments, Lab, LinkPlan, Loss, Network, NodeHost,
    NodePlan, Topology,
};
use tcpip::StackConfig;
use tcpip::transport::tcp::Ecn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BULK: u16 = 9;
const ECHO: u16 = 7;

/// Two hosts on one cable, each with a program that swallows all and one that gives all back.
fn pair(lab: &Lab, duplex: Duplex, impairments: Impairments) -> Network {
    let mut stack = StackConfig::default();
    stack.settings.ecn = Ecn::On;
    let network = Topology::new()
        .link(
            LinkPlan::point_to_point("line")
                .network("10.0.0.0/24".parse().unwrap())
                .duplex(duplex)
                .impair(impairments),
        )
        .node(NodePlan::host("ann").on("line").stack(stack.clone()))
        .node(NodePlan::host("bob").on("line").stack(stack))
        .build(lab)
        .unwrap();
    for node in ["ann", "bob"] {
        network.run(node, |host| serve(host, BULK)).unwrap();
        network.run(node, |host| serve(host, ECHO)).unwrap();
    }
    network
}

async fn serve(host: NodeHost, port: u16) {
    let mut listener = host.listen(([0, 0, 0, 0], port).into(), ListenOptions::default()).await.unwrap();
    while let Ok(mut connection) = listener.accept().await {
        host.spawn_detached(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = connection.read(&mut buffer).await {
                if port == ECHO && connection.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Sends from one node to the other without end.
fn pour(network: &Network, from: &str, to: &str) {
    let host = network.host(from).unwrap();
    let to = (network.address(to).unwrap(), BULK).into();
    host.clone().spawn_detached(async move {
        let mut connection = host.connect(to).await.unwrap();
        while connection.write_all(&[7; 16 << 10]).await.is_ok() {}
    });
}

/// Bytes a second that cross the line, all headers counted: a second from now, for two seconds.
fn throughput(lab: &Lab, network: &Network) -> u64 {
    let delivered = |node| network.sent("line", node).unwrap().delivered_bytes;
    lab.run_for(Duration::from_secs(1));
    let before = delivered("ann") + delivered("bob");
    lab.run_for(Duration::from_secs(2));
    (delivered("ann") + delivered("bob") - before) / 2
}

/// A line of 10 Mbit/s, 5 ms long, with room for twice the bandwidth-delay product.
fn line() -> Impairments {
    Impairments {
        rate: Some(Rate::mbit(10)),
        delay: Duration::from_millis(5),
        queue: Discipline::DropTail(Limit::Bytes(Size::kib(25))),
        ..Impairments::default()
    }
}

#[test]
fn a_bulk_transfer_fills_the_rate_and_no_more() {
    let lab = Lab::new(1);
    let network = pair(&lab, Duplex::Full, line());
    pour(&network, "ann", "bob");
    let rate = throughput(&lab, &network);
    // 1.25 MB/s one way, and acknowledgements the other.
    assert!((1_225_000..1_330_000).contains(&rate), "{rate} bytes a second");
}

#[test]
fn half_duplex_shares_what_full_duplex_doubles() {
    let rate = |duplex| {
        let lab = Lab::new(1);
        let network = pair(&lab, duplex, line());
        pour(&network, "ann", "bob");
        pour(&network, "bob", "ann");
        let rate = throughput(&lab, &network);
        (rate, network.sent("line", "ann").unwrap().collisions)
    };
    let (full, none) = rate(Duplex::Full);
    let (half, collisions) = rate(Duplex::Half);
    assert!(full > 1_800_000, "{full} bytes a second both ways at once");
    assert!((900_000..1_250_000).contains(&half), "{half} bytes a second by turns");
    assert!(none == 0 && collisions > 100, "{collisions} collisions");
}

/// The median of fifty echoes beside a bulk transfer, and what became of the frames.
fn echo_beside_bulk(queue: Discipline) -> (Duration, Counters) {
    let lab = Lab::new(1);
    let line = Impairments { rate: Some(Rate::mbit(2)), queue, ..line() };
    let network = pair(&lab, Duplex::Full, line);
    pour(&network, "ann", "bob");
    lab.run_for(Duration::from_secs(5));
    let host = network.host("ann").unwrap();
    let to = (network.address("bob").unwrap(), ECHO).into();
    let median = lab.block_on(async move {
        let mut connection = host.connect(to).await.unwrap();
        let mut times = Vec::new();
        for _ in 0..50 {
            let sent = host.now();
            connection.write_all(b"?").await.unwrap();
            connection.read_u8().await.unwrap();
            times.push(host.now().since(sent));
            sleep(&host, Duration::from_millis(20)).await;
        }
        times.sort_unstable();
        times[times.len() / 2]
    });
    (median, network.sent("line", "ann").unwrap())
}

#[test]
fn a_long_queue_makes_everybody_wait_and_managed_ones_do_not() {
    let (bloated, _) = echo_beside_bulk(Discipline::DropTail(Limit::Bytes(Size::kib(256))));
    assert!(bloated > Duration::from_millis(200), "{bloated:?} behind a long queue");
    let (codel, counters) = echo_beside_bulk(Discipline::Codel(Codel::default()));
    assert!(codel < Duration::from_millis(40), "{codel:?} behind CoDel");
    assert!(counters.lost(lab::Lost::Stale) > 0);
    let (codel, counters) = echo_beside_bulk(Discipline::Codel(Codel { ecn: true, ..Codel::default() }));
    assert!(codel < Duration::from_millis(40), "{codel:?} behind CoDel that marks");
    assert!(counters.marked > 0 && counters.lost_in_all() == 0, "{counters:?}");
    let (fair, _) = echo_beside_bulk(Discipline::FqCodel(FqCodel::default()));
    // One frame of the other flow is on the wire: 6 ms; and there and back are 10.
    assert!(fair < Duration::from_millis(25), "{fair:?} beside the other flow");
}

#[test]
fn bursts_of_loss_and_damage_are_survived() {
    let lab = Lab::new(1);
    let loss: Loss = "gemodel 0.5% 20%".parse().unwrap();
    let network =
        pair(&lab, Duplex::Full, Impairments { loss, corruption: "0.5%".parse().unwrap(), ..line() });
    let host = network.host("ann").unwrap();
    let to = (network.address("bob").unwrap(), ECHO).into();
    let whole = lab.block_on(async move {
        let (mut reading, mut writing) = tokio::io::split(host.connect(to).await.unwrap());
        let sent: Vec<u8> = (0..200_000_u32).map(|number| ((number * 31) >> 3) as u8).collect();
        let expected = sent.clone();
        let writes = host.spawn(async move {
            writing.write_all(&sent).await.unwrap();
            writing.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        reading.read_to_end(&mut back).await.unwrap();
        writes.await;
        back == expected
    });
    assert!(whole, "every byte came back as it was");
    let counters = network.sent("line", "ann").unwrap();
    assert!(counters.corrupted > 0 && counters.lost(lab::Lost::Chance) > 0, "{counters:?}");
}
