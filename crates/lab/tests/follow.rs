//! Following messages over networks that lose some of what carries them.

use std::time::Duration;

use host::{ListenOptions, Listener, Network as _, Runtime, sleep};
use lab::follow::Kind;
use lab::units::Chance;
use lab::{
    CaptureConfig, Change, FollowError, Impairments, Journey, Lab, LinkPlan, Loss, Network, NodeHost,
    NodePlan, Topology,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A home behind a translator, a line, and an office.
fn network(lab: &Lab) -> Network {
    let line = Impairments { delay: Duration::from_millis(20), ..Impairments::default() };
    Topology::new()
        .link(LinkPlan::ethernet("home").network("192.168.1.0/24".parse().unwrap()))
        .link(LinkPlan::point_to_point("line").network("203.0.113.0/30".parse().unwrap()).impair(line))
        .link(LinkPlan::ethernet("office").network("198.51.100.0/24".parse().unwrap()))
        .node(NodePlan::router("box").on("home").on("line").translating("line"))
        .node(NodePlan::router("edge").on("line").on("office"))
        .node(NodePlan::host("alice").on("home"))
        .node(NodePlan::host("server").on("office"))
        .build(lab)
        .unwrap()
}

/// A text message in one frame, masked as clients do it.
fn text(words: &str) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81];
    match words.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(words.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

/// Takes a WebSocket and reads what comes.
async fn serve(host: NodeHost) {
    let mut listener = host.listen("0.0.0.0:80".parse().unwrap(), ListenOptions::default()).await.unwrap();
    while let Ok(mut connection) = listener.accept().await {
        host.spawn_detached(async move {
            let mut head = vec![0; UPGRADE.len()];
            connection.read_exact(&mut head).await.unwrap();
            connection.write_all(SWITCH.as_bytes()).await.unwrap();
            let mut buffer = [0; 4_096];
            while let Ok(1..) = connection.read(&mut buffer).await {}
        });
    }
}

/// Alice says things; `trouble` happens before the second of them.
fn say(lab: &Lab, network: &Network, things: &[&str], trouble: &[Change]) {
    network.run("server", serve).unwrap();
    let to = (network.address("server").unwrap(), 80).into();
    let alice = network.host("alice").unwrap();
    lab.block_on(async {
        let mut connection = alice.connect(to).await.unwrap();
        connection.write_all(UPGRADE.as_bytes()).await.unwrap();
        let mut head = vec![0; SWITCH.len()];
        connection.read_exact(&mut head).await.unwrap();
        for (number, words) in things.iter().enumerate() {
            sleep(&alice, Duration::from_millis(500)).await;
            if number == 1 {
                trouble.iter().for_each(|change| network.apply(change).unwrap());
            }
            connection.write_all(&text(words)).await.unwrap();
        }
        sleep(&alice, Duration::from_secs(5)).await;
    });
}

fn only(lab: &Lab, what: &str) -> Journey {
    let mut journeys = lab.journeys(what).unwrap();
    assert_eq!(journeys.len(), 1);
    journeys.remove(0)
}

#[test]
fn a_message_is_followed_over_each_hop() {
    let lab = Lab::new(1);
    lab.follow(10_000);
    let network = network(&lab);
    say(&lab, &network, &["hello", "and goodbye"], &[]);
    let journey = only(&lab, "hello");
    let message = &journey.message;
    assert_eq!(
        (message.kind, message.from.as_str(), message.to.as_deref()),
        (Kind::Text, "alice", Some("server"))
    );
    assert_eq!(message.shown, b"hello");
    assert_eq!((message.frames[0].header, message.frames[0].payload, message.frames[0].masked), (6, 5, true));
    let start = UPGRADE.len() as u64;
    assert_eq!(message.bytes, start..start + 11);
    let hops: Vec<_> = journey.carriers[0]
        .hops
        .iter()
        .map(|hop| (hop.from.as_str(), hop.link.as_str(), hop.arrived.as_ref().unwrap().1.as_str()))
        .collect();
    assert_eq!(hops, [("alice", "home", "box"), ("box", "line", "edge"), ("edge", "office", "server")]);
    assert_eq!(journey.carriers.len(), 1);
    let took = message.read.unwrap().since(message.written.unwrap());
    assert_eq!(took, Duration::from_millis(20));
    // By number, by sender, by words.
    assert_eq!(only(&lab, &message.number.to_string()).message.number, message.number);
    assert_eq!(only(&lab, "alice:2").message.shown, b"and goodbye");
    assert!(matches!(lab.journeys("nothing like this"), Err(FollowError::NotFound { .. })));
    assert!(matches!(Lab::new(1).journeys("1"), Err(FollowError::Off)));
    let picture = journey.draw(false);
    assert!(picture.lines().all(|line| line.chars().count() <= 100), "{picture}");
    for expected in
        ["alice", "WebSocket   6 + 5", "TCP", "TTL 64", "TTL 62", "──▶ edge", "203.0.113.1:", "server"]
    {
        assert!(picture.contains(expected), "{expected:?} in\n{picture}");
    }
    assert!(!picture.contains('\x1b') && journey.draw(true).contains("\x1b["));
}

#[test]
fn what_was_lost_and_sent_again_is_told_where_it_was() {
    let lab = Lab::new(1);
    lab.follow(10_000);
    let network = network(&lab);
    let cut = Change::CutOneWay { link: "line".into(), from: "box".into() };
    let heal = Change::HealOneWay { link: "line".into(), from: "box".into() };
    network.at(lab.now() + Duration::from_millis(1_400), heal).unwrap();
    say(&lab, &network, &["hello", "are you there?"], &[cut]);
    let journey = only(&lab, "are you there");
    let lost: Vec<_> =
        journey.carriers.iter().map(|carrier| carrier.hops.last().unwrap().lost.is_some()).collect();
    assert!(lost[0] && !lost[lost.len() - 1], "{lost:?}");
    assert!(journey.carriers[1..].iter().all(|carrier| carrier.again));
    let windows: Vec<_> = journey.carriers.iter().map(|carrier| carrier.window.unwrap().0).collect();
    assert!(windows[1] < windows[0], "a timeout makes the sender slow: {windows:?}");
    assert_eq!(journey.carriers[0].hops.last().unwrap().from, "box");
    let picture = journey.draw(false);
    assert!(picture.contains("──✗ lost: the link is cut"), "{picture}");
    assert!(picture.contains("sent again"), "{picture}");
    assert!(journey.message.read.is_some());
}

#[test]
fn a_long_message_is_told_by_what_was_special() {
    let lab = Lab::new(4);
    lab.follow(10_000);
    lab.capture(CaptureConfig::default()).unwrap();
    let network = network(&lab);
    let lossy = Impairments {
        delay: Duration::from_millis(20),
        loss: Loss::Independent(Chance::percent(10)),
        ..Impairments::default()
    };
    let trouble = Change::Impair { link: "line".into(), from: Some("box".into()), impairments: lossy };
    let long = "a long story ".repeat(2_000);
    say(&lab, &network, &["hello", &long[..20_000]], &[trouble]);
    let journey = only(&lab, "a long story");
    assert_eq!(journey.message.frames[0].payload, 20_000);
    assert!(journey.carriers.len() > 14);
    let picture = journey.draw(false);
    assert!(picture.contains("the same way"));
    // Each byte of it was carried, and in the end arrived.
    let mut next = journey.message.bytes.start;
    let mut carriers: Vec<_> =
        journey.carriers.iter().filter(|carrier| carrier.hops.last().unwrap().arrived.is_some()).collect();
    carriers.sort_by_key(|carrier| carrier.bytes.start);
    for carrier in carriers {
        assert!(carrier.bytes.start <= next);
        next = next.max(carrier.bytes.end);
    }
    assert_eq!(next, journey.message.bytes.end);
}

#[test]
fn a_message_waits_for_what_is_before_it_in_the_stream() {
    let lab = Lab::new(1);
    lab.follow(10_000);
    let network = network(&lab);
    network.run("server", serve).unwrap();
    let to = (network.address("server").unwrap(), 80).into();
    let alice = network.host("alice").unwrap();
    let line = |from: &str, heal| match heal {
        true => Change::HealOneWay { link: "line".into(), from: from.into() },
        false => Change::CutOneWay { link: "line".into(), from: from.into() },
    };
    lab.block_on(async {
        let mut connection = alice.connect(to).await.unwrap();
        connection.write_all(UPGRADE.as_bytes()).await.unwrap();
        let mut head = vec![0; SWITCH.len()];
        connection.read_exact(&mut head).await.unwrap();
        network.apply(&line("box", false)).unwrap();
        connection.write_all(&text("lost at first")).await.unwrap();
        sleep(&alice, Duration::from_millis(5)).await;
        network.apply(&line("box", true)).unwrap();
        connection.write_all(&text("in time")).await.unwrap();
        sleep(&alice, Duration::from_secs(5)).await;
    });
    let (first, second) = (only(&lab, "lost at first"), only(&lab, "in time"));
    let gap = second.behind.as_ref().unwrap();
    assert_eq!(gap.bytes, first.message.bytes);
    assert_eq!(second.message.complete.unwrap() + gap.waited, first.message.complete.unwrap());
    assert!(second.draw(false).contains("before it"), "{}", second.draw(false));
    assert_eq!(first.behind, None);
}

#[test]
fn a_datagram_is_followed_too() {
    let lab = Lab::new(1);
    lab.follow(10_000);
    let network = network(&lab);
    let alice = network.host("alice").unwrap();
    let to = (network.address("server").unwrap(), 9).into();
    lab.block_on(async {
        use host::Datagrams;
        let mut socket = alice.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        std::future::poll_fn(|context| socket.poll_send(context, b"position 1", to)).await.unwrap();
        sleep(&alice, Duration::from_secs(1)).await;
    });
    let journey = only(&lab, "position 1");
    assert_eq!((journey.message.kind, journey.message.to.as_deref()), (Kind::Datagram, Some("server")));
    assert_eq!(journey.carriers[0].hops.len(), 3);
    let picture = journey.draw(false);
    assert!(picture.contains("UDP") && picture.contains("delivered in"), "{picture}");
}

#[test]
fn a_message_that_never_arrives_is_told_too() {
    let lab = Lab::new(1);
    lab.follow(10_000);
    let network = network(&lab);
    say(&lab, &network, &["hello", "nobody hears"], &[Change::Cut { link: "office".into() }]);
    let journey = only(&lab, "nobody hears");
    assert_eq!((journey.message.complete, journey.message.read), (None, None));
    let picture = journey.draw(false);
    assert!(picture.contains("not delivered"), "{picture}");
}
