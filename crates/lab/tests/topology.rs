//! Networks from plans: who reaches whom, and what happens to them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::{Connection, Instant, ListenOptions, Listener, Network as _, Runtime, sleep, timeout_at};
use lab::{
    Change, Duplex, Flows, Impairments, Jump, Lab, LinkPlan, Lost, Network, NodeHost, NodePlan, Topology,
    TopologyError, Way,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn seconds(seconds: u64) -> Instant {
    Instant::ORIGIN + Duration::from_secs(seconds)
}

fn delay(millis: u64) -> Impairments {
    Impairments { delay: Duration::from_millis(millis), ..Impairments::default() }
}

/// Two offices and a line between them, of both families.
fn offices() -> Topology {
    let lan = |name: &str, number: u8| {
        LinkPlan::ethernet(name)
            .network(format!("10.{number}.0.0/24").parse().unwrap())
            .network(format!("fd00:{number}::/64").parse().unwrap())
    };
    let wan = LinkPlan::point_to_point("wan")
        .network("192.0.2.0/30".parse().unwrap())
        .network("fd00:ffff::/127".parse().unwrap())
        .impair(delay(20));
    Topology::new()
        .link(lan("a", 1))
        .link(wan)
        .link(lan("b", 2))
        .node(NodePlan::router("r1").on("a").on("wan"))
        .node(NodePlan::router("r2").on("wan").on("b"))
        .node(NodePlan::host("alice").on("a"))
        .node(NodePlan::host("bob").on("b"))
}

/// Answers each line with the same line.
async fn echo(host: NodeHost, at: SocketAddr) {
    let mut listener = host.listen(at, ListenOptions::default()).await.unwrap();
    while let Ok(mut connection) = listener.accept().await {
        host.spawn_detached(async move {
            let mut buffer = [0; 100];
            while let Ok(read @ 1..) = connection.read(&mut buffer).await {
                if connection.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        });
    }
}

fn serve(network: &Network) {
    for address in ["0.0.0.0:7", "[::]:7"] {
        network.run("bob", move |host| echo(host, address.parse().unwrap())).unwrap();
    }
}

async fn ask<C: Connection>(connection: &mut C) -> io::Result<()> {
    connection.write_all(b"hello").await?;
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

async fn call(from: NodeHost, to: SocketAddr) -> io::Result<Duration> {
    let mut connection = from.connect(to).await?;
    let before = from.now();
    ask(&mut connection).await?;
    Ok(from.now().since(before))
}

fn built(seed: u64) -> (Lab, Network) {
    let lab = Lab::new(seed);
    let network = offices().build(&lab).unwrap();
    serve(&network);
    (lab, network)
}

#[test]
fn both_families_find_their_way_over_two_routers() {
    let (lab, network) = built(1);
    let addresses: Vec<_> =
        network.addresses("bob").unwrap().iter().map(|cidr| cidr.address.to_string()).collect();
    assert_eq!(addresses, ["10.2.0.2", "fd00:2::2"]);
    for cidr in network.addresses("bob").unwrap() {
        let alice = network.host("alice").unwrap();
        let round_trip = lab.block_on(call(alice, (cidr.address, 7).into())).unwrap();
        assert_eq!(round_trip, Duration::from_millis(40));
    }
    let routes = network.host("alice").unwrap().with_stack(|stack, _, _| stack.internet().routes().to_vec());
    let routes: Vec<_> = routes.iter().map(|route| (route.network.to_string(), route.gateway)).collect();
    assert_eq!(
        routes,
        [
            ("0.0.0.0/0".into(), Some("10.1.0.1".parse().unwrap())),
            ("::/0".into(), Some("fd00:1::1".parse().unwrap()))
        ]
    );
}

#[test]
fn the_cheapest_way_is_taken() {
    // r1 - r2 by "slow", and by r3 over "one" and "two".
    let line = |name: &str, number: u8| {
        LinkPlan::point_to_point(name).network(format!("192.0.2.{}/30", number * 4).parse().unwrap())
    };
    let topology = |cost| {
        Topology::new()
            .link(LinkPlan::ethernet("a").network("10.1.0.0/24".parse().unwrap()))
            .link(line("slow", 0).cost(cost).impair(delay(50)))
            .link(line("one", 1).impair(delay(1)))
            .link(line("two", 2).impair(delay(1)))
            .link(LinkPlan::ethernet("b").network("10.2.0.0/24".parse().unwrap()))
            .node(NodePlan::router("r1").on("a").on("slow").on("one"))
            .node(NodePlan::router("r2").on("slow").on("two").on("b"))
            .node(NodePlan::router("r3").on("one").on("two"))
            .node(NodePlan::host("alice").on("a"))
            .node(NodePlan::host("bob").on("b"))
    };
    for (cost, round_trip) in [(1, 100), (5, 4)] {
        let lab = Lab::new(1);
        let network = topology(cost).build(&lab).unwrap();
        serve(&network);
        let to = (network.address("bob").unwrap(), 7).into();
        let took = lab.block_on(call(network.host("alice").unwrap(), to)).unwrap();
        assert_eq!(took, Duration::from_millis(round_trip));
    }
}

#[test]
fn a_route_that_was_chosen_is_the_one() {
    let mut topology = offices();
    let alice = NodePlan::host("alice").on("a");
    let nowhere = "10.9.0.0/16".parse().unwrap();
    topology.nodes[2] = alice.clone().route(nowhere, "10.1.0.1".parse().unwrap());
    let lab = Lab::new(1);
    let network = topology.build(&lab).unwrap();
    let to = (network.address("bob").unwrap(), 7).into();
    let refused = lab.block_on(call(network.host("alice").unwrap(), to)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable);
    let mut topology = offices();
    topology.nodes[2] = alice.route(nowhere, "10.3.0.1".parse().unwrap());
    assert!(matches!(topology.check(), Err(TopologyError::Gateway { .. })));
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let wrong = |change: &dyn Fn(&mut Topology)| {
        let mut topology = offices();
        change(&mut topology);
        topology.check().unwrap_err().to_string()
    };
    let errors = [
        wrong(&|topology| topology.nodes[1].name = "r1".into()),
        wrong(&|topology| topology.links[0].name = "b".into()),
        wrong(&|topology| topology.nodes[3].links = vec!["c".into()]),
        wrong(&|topology| topology.nodes[3].links = vec![]),
        wrong(&|topology| topology.nodes[3].links = vec!["b".into(), "b".into()]),
        wrong(&|topology| topology.nodes[3].links = vec!["wan".into()]),
        wrong(&|topology| topology.links[2].networks = vec!["10.2.0.0/32".parse().unwrap()]),
        wrong(&|topology| topology.nodes[3].addresses = vec!["10.3.0.1".parse().unwrap()]),
        wrong(&|topology| {
            topology.nodes[1].addresses = vec!["10.2.0.1".parse().unwrap()];
            topology.nodes[3].addresses = vec!["10.2.0.1".parse().unwrap()];
        }),
        wrong(&|topology| topology.links[2].networks = vec![]),
        wrong(&|topology| topology.links[1].sending = vec![("alice".into(), delay(1))]),
    ];
    let expected = [
        "two nodes called \"r1\"",
        "two links called \"b\"",
        "no link called \"c\"; the links are: a, wan, b",
        "on no link",
        "twice",
        "has 3 ends",
        "no address left for \"bob\"",
        "in no network of the link \"b\"",
        "the address of two nodes",
        "\"bob\" has no address",
        "\"alice\" is not on the link \"wan\"",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.contains(expected), "{error:?} should say {expected:?}");
    }
    let (_, network) = built(1);
    let change = Change::CutOneWay { link: "wan".into(), from: "alice".into() };
    assert!(matches!(network.at(seconds(1), change), Err(TopologyError::NotOnLink { .. })));
    assert!(matches!(network.host("carol"), Err(TopologyError::Unknown { .. })));
}

#[test]
fn a_cut_line_carries_nothing_until_it_is_healed() {
    let (lab, network) = built(1);
    let to = (network.address("bob").unwrap(), 7).into();
    network.at(seconds(10), Change::Cut { link: "wan".into() }).unwrap();
    network.at(seconds(15), Change::Heal { link: "wan".into() }).unwrap();
    let alice = network.host("alice").unwrap();
    let took = lab.block_on(async {
        let mut connection = alice.connect(to).await.unwrap();
        ask(&mut connection).await.unwrap();
        sleep(&alice, Duration::from_secs(11)).await;
        let before = alice.now();
        ask(&mut connection).await.unwrap();
        alice.now().since(before)
    });
    // The retransmission timer has backed off meanwhile.
    assert!((Duration::from_millis(3_900)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[test]
fn a_one_way_cut_cuts_one_way() {
    let (lab, network) = built(1);
    network.apply(&Change::CutOneWay { link: "b".into(), from: "bob".into() }).unwrap();
    let heard = Arc::new(Mutex::new(0));
    let counted = heard.clone();
    network
        .run("bob", move |host| {
            let counted = counted.clone();
            async move {
                let mut socket = host.bind("0.0.0.0:9".parse().unwrap()).await.unwrap();
                let mut buffer = [0; 10];
                loop {
                    use host::Datagrams;
                    let receive = std::future::poll_fn(|context| socket.poll_receive(context, &mut buffer));
                    let (length, from) = receive.await.unwrap();
                    *counted.lock().unwrap() += 1;
                    let answer = &buffer[..length];
                    let _ = std::future::poll_fn(|context| socket.poll_send(context, answer, from)).await;
                }
            }
        })
        .unwrap();
    // Whom bob cannot answer, and who cannot ask for bob's address, knows it from before.
    network.apply(&Change::HealOneWay { link: "b".into(), from: "bob".into() }).unwrap();
    let to = (network.address("bob").unwrap(), 7).into();
    lab.block_on(call(network.host("alice").unwrap(), to)).unwrap();
    network.apply(&Change::CutOneWay { link: "b".into(), from: "bob".into() }).unwrap();
    let alice = network.host("alice").unwrap();
    let answered = lab.block_on(async {
        use host::Datagrams;
        let mut socket = alice.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        let to = (network.address("bob").unwrap(), 9).into();
        std::future::poll_fn(|context| socket.poll_send(context, b"there", to)).await.unwrap();
        let mut buffer = [0; 10];
        let answer = std::future::poll_fn(|context| socket.poll_receive(context, &mut buffer));
        timeout_at(&alice, alice.now() + Duration::from_secs(2), answer).await.is_ok()
    });
    assert_eq!((*heard.lock().unwrap(), answered), (1, false));
}

#[test]
fn a_silent_drop_leaves_a_connection_half_open_and_lets_a_new_one_through() {
    let (lab, network) = built(1);
    let to = (network.address("bob").unwrap(), 7).into();
    let alice = network.host("alice").unwrap();
    lab.block_on(async {
        let mut old = alice.connect(to).await.unwrap();
        ask(&mut old).await.unwrap();
        let change = Change::Silence { link: "wan".into(), flows: Flows::Established };
        network.apply(&change).unwrap();
        old.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let deadline = alice.now() + Duration::from_secs(30);
        let heard = timeout_at(&alice, deadline, old.read_exact(&mut answer)).await;
        assert!(heard.is_err(), "nothing comes, and nothing says so");
        call(alice.clone(), to).await.unwrap();
        network.apply(&Change::Speak { link: "wan".into() }).unwrap();
        old.read_exact(&mut answer).await.unwrap();
    });
}

#[test]
fn each_direction_has_its_own_impairments() {
    let ping = |change: &dyn Fn(LinkPlan) -> LinkPlan, later: Option<Change>| {
        let mut topology = offices();
        topology.links[1] = change(topology.links[1].clone());
        let lab = Lab::new(1);
        let network = topology.build(&lab).unwrap();
        serve(&network);
        if let Some(change) = later {
            network.apply(&change).unwrap();
        }
        let to = (network.address("bob").unwrap(), 7).into();
        lab.block_on(call(network.host("alice").unwrap(), to)).unwrap().as_millis()
    };
    assert_eq!(ping(&|wan| wan, None), 40);
    assert_eq!(ping(&|wan| wan.sending("r1", delay(100)), None), 120);
    assert_eq!(ping(&|wan| wan.sending("r2", delay(1)), None), 21);
    assert_eq!(ping(&|wan| wan.receiving("r1", delay(7)), None), 27);
    assert_eq!(ping(&|wan| wan.receiving("r2", delay(3)).sending("r2", delay(4)), None), 7);
    let change = |from: Option<&str>| Change::Impair {
        link: "wan".into(),
        from: from.map(str::to_owned),
        impairments: delay(5),
    };
    assert_eq!(ping(&|wan| wan, Some(change(None))), 10);
    assert_eq!(ping(&|wan| wan, Some(change(Some("r1")))), 25);
    assert_eq!(ping(&|wan| wan, Some(change(Some("r2")))), 25);
    // On a segment what holds for all meets a frame once, before its receiver.
    let mut topology = offices();
    topology.links[0] = topology.links[0].clone().impair(delay(3)).sending("alice", delay(10));
    let lab = Lab::new(1);
    let network = topology.build(&lab).unwrap();
    serve(&network);
    let to = (network.address("bob").unwrap(), 7).into();
    let took = lab.block_on(call(network.host("alice").unwrap(), to)).unwrap();
    assert_eq!(took.as_millis(), 40 + 3 + 3 + 10);
    assert!(network.sent("wan", "r1").unwrap().offered > 0);
    assert!(network.sent("wan", "r2").unwrap().offered > 0);
    assert!(matches!(network.sent("wan", "bob"), Err(TopologyError::NotOnLink { .. })));
}

#[test]
fn a_simplex_line_carries_one_way() {
    let mut topology = offices();
    topology.links[1] = topology.links[1].clone().duplex(Duplex::Simplex(Way::Out));
    let lab = Lab::new(1);
    let network = topology.build(&lab).unwrap();
    lab.block_on(async {
        // Whom r1 asks for its address cannot answer.
        let alice = network.host("alice").unwrap();
        let to = (network.address("bob").unwrap(), 7).into();
        let deadline = alice.now() + Duration::from_secs(2);
        assert!(timeout_at(&alice, deadline, alice.connect(to)).await.is_err());
    });
    assert!(network.sent("wan", "r1").unwrap().delivered > 0);
    let back = network.sent("wan", "r2").unwrap();
    assert_eq!(back.delivered, 0);
    assert_eq!(back.lost(Lost::OneWay), back.offered);
}

#[test]
fn one_flow_is_silenced_and_others_are_not() {
    let (lab, network) = built(1);
    let bob = network.addresses("bob").unwrap();
    let (v4, v6) = (bob[0].address, bob[1].address);
    let one = network.address("alice").unwrap();
    let flows = Flows::Between { one, other: v4, port: Some(7) };
    network.apply(&Change::Silence { link: "a".into(), flows }).unwrap();
    let alice = network.host("alice").unwrap();
    lab.block_on(async {
        let deadline = alice.now() + Duration::from_secs(5);
        assert!(timeout_at(&alice, deadline, call(alice.clone(), (v4, 7).into())).await.is_err());
        // Another port is refused by bob himself, the other family gets through.
        let error = call(alice.clone(), (v4, 8).into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        call(alice.clone(), (v6, 7).into()).await.unwrap();
    });
}

#[test]
fn a_black_hole_takes_long_packets_and_no_others() {
    let (lab, network) = built(1);
    network.apply(&Change::BlackHole { link: "wan".into(), mtu: Some(1_400) }).unwrap();
    let to = (network.address("bob").unwrap(), 7).into();
    let alice = network.host("alice").unwrap();
    let swallowed = || network.sent("wan", "r1").unwrap().lost(Lost::TooLong);
    lab.block_on(async {
        let mut connection = alice.connect(to).await.unwrap();
        ask(&mut connection).await.unwrap();
        assert_eq!(swallowed(), 0);
        connection.write_all(&[b'x'; 5_000]).await.unwrap();
        sleep(&alice, Duration::from_millis(100)).await;
        assert!(swallowed() > 0, "full segments do not get through");
        network.apply(&Change::BlackHole { link: "wan".into(), mtu: None }).unwrap();
        let before = swallowed();
        let mut answer = [0; 5_000];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(swallowed(), before);
    });
}

#[test]
fn a_node_that_crashed_comes_back_with_its_addresses_and_forgets_all_else() {
    let (lab, network) = built(1);
    let to = (network.address("bob").unwrap(), 7).into();
    let alice = network.host("alice").unwrap();
    let mac = || {
        network
            .host("bob")
            .unwrap()
            .with_stack(|stack, _, _| stack.internet().interfaces()[0].config().medium)
    };
    let before = mac();
    lab.block_on(async {
        let mut old = alice.connect(to).await.unwrap();
        ask(&mut old).await.unwrap();
        network.apply(&Change::Crash { node: "bob".into() }).unwrap();
        assert!(matches!(network.host("bob"), Err(TopologyError::State { .. })));
        old.write_all(b"hello").await.unwrap();
        sleep(&alice, Duration::from_secs(1)).await;
        network.apply(&Change::Restart { node: "bob".into() }).unwrap();
        let restarted = lab.now();
        let mut answer = [0; 5];
        let error = old.read_exact(&mut answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        call(alice.clone(), to).await.unwrap();
        // The next retransmission finds it, and no neighbour has to be asked for again.
        assert!(lab.now().since(restarted) < Duration::from_secs(2));
    });
    assert_eq!(before, mac(), "a card keeps its address");
    let twice = network.apply(&Change::Restart { node: "bob".into() });
    assert!(matches!(twice, Err(TopologyError::State { .. })));
}

#[test]
fn a_clock_that_runs_fast_rings_early() {
    let (lab, network) = built(1);
    let bob = network.host("bob").unwrap();
    let wall = bob.wall_clock();
    let skew = |rate, jump| Change::Skew { node: "bob".into(), rate, jump };
    // A minute on a clock that runs at 1.25 times the speed from its half on is 54 seconds.
    network.at(seconds(30), skew(250_000, Jump::Forward(Duration::from_secs(3_600)))).unwrap();
    lab.block_on(sleep(&bob, Duration::from_secs(60)));
    assert_eq!(lab.now(), seconds(54));
    assert_eq!(bob.now(), seconds(60));
    assert_eq!(bob.wall_clock().since(wall), Duration::from_secs(3_660));
    // An end that is slow, and one that is fast, still talk.
    network.apply(&skew(-500_000, Jump::default())).unwrap();
    let to = (network.address("bob").unwrap(), 7).into();
    lab.block_on(call(network.host("alice").unwrap(), to)).unwrap();
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let (lab, network) = built(seed);
        for (at, change) in [
            (1, Change::Impair { link: "wan".into(), from: Some("r1".into()), impairments: delay(70) }),
            (2, Change::Crash { node: "bob".into() }),
            (3, Change::Restart { node: "bob".into() }),
        ] {
            network.at(seconds(at), change).unwrap();
        }
        let to = (network.address("bob").unwrap(), 7).into();
        let alice = network.host("alice").unwrap();
        lab.block_on(async {
            for _ in 0..5 {
                let _ = call(alice.clone(), to).await;
                sleep(&alice, Duration::from_secs(1)).await;
            }
        });
        lab.transcript()
    };
    assert_eq!(run(1).first_difference(&run(1)), None);
    assert_ne!(run(1).hash(), run(2).hash());
}
