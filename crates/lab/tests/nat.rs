//! Homes behind translators of addresses.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use host::{Datagrams, ListenOptions, Listener, Network as _, Runtime, sleep, timeout_at};
use lab::{Change, Impairments, Lab, LinkPlan, Network, NodeHost, NodePlan, Topology, TopologyError};
use stack::EchoAnswer;
use tcpip::internet::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Two homes with the same network inside, and a server in the world.
fn homes(lab: &Lab) -> Network {
    let home = |name: &str| LinkPlan::ethernet(name).network("192.168.1.0/24".parse().unwrap());
    let delay = Impairments { delay: Duration::from_millis(10), ..Impairments::default() };
    let network = Topology::new()
        .link(home("ann's"))
        .link(home("bob's"))
        .link(LinkPlan::ethernet("world").network("203.0.113.0/24".parse().unwrap()).impair(delay))
        .node(NodePlan::router("ann's box").on("ann's").on("world").translating("world"))
        .node(NodePlan::router("bob's box").on("bob's").on("world").translating("world"))
        .node(NodePlan::host("ann").on("ann's"))
        .node(NodePlan::host("bob").on("bob's"))
        .node(NodePlan::host("server").on("world"))
        .build(lab)
        .unwrap();
    network.run("server", tell_address).unwrap();
    network.run("server", tell_sender).unwrap();
    network
}

/// Tells each caller, line by line, from where it calls.
async fn tell_address(host: NodeHost) {
    let mut listener = host.listen("0.0.0.0:7".parse().unwrap(), ListenOptions::default()).await.unwrap();
    while let Ok(mut connection) = listener.accept().await {
        let peer = host::Connection::peer_address(&connection);
        host.spawn_detached(async move {
            let mut byte = [0];
            while let Ok(1) = connection.read(&mut byte).await {
                let _ = connection.write_all(format!("{peer}\n").as_bytes()).await;
            }
        });
    }
}

/// The same for datagrams.
async fn tell_sender(host: NodeHost) {
    let mut socket = host.bind("0.0.0.0:9".parse().unwrap()).await.unwrap();
    let mut buffer = [0; 100];
    while let Ok((_, from)) = poll_fn(|context| socket.poll_receive(context, &mut buffer)).await {
        let text = from.to_string();
        let _ = poll_fn(|context| socket.poll_send(context, text.as_bytes(), from)).await;
    }
}

async fn line(connection: &mut impl host::Connection) -> io::Result<String> {
    connection.write_all(b"?").await?;
    let mut line = String::new();
    loop {
        let byte = connection.read_u8().await?;
        if byte == b'\n' {
            return Ok(line);
        }
        line.push(byte.into());
    }
}

async fn ask(host: &NodeHost, socket: &mut impl Datagrams, to: SocketAddr) -> Option<String> {
    poll_fn(|context| socket.poll_send(context, b"?", to)).await.ok()?;
    let mut buffer = [0; 100];
    let answer = poll_fn(|context| socket.poll_receive(context, &mut buffer));
    let (length, _) = timeout_at(host, host.now() + Duration::from_secs(3), answer).await.ok()?.ok()?;
    String::from_utf8(buffer[..length].to_vec()).ok()
}

fn server(network: &Network, port: u16) -> SocketAddr {
    (network.address("server").unwrap(), port).into()
}

#[test]
fn both_families_of_homes_call_the_server_from_their_boxes() {
    let lab = Lab::new(1);
    let network = homes(&lab);
    for name in ["ann", "bob"] {
        assert_eq!(network.address(name).unwrap().to_string(), "192.168.1.2");
        let host = network.host(name).unwrap();
        let outside = network.addresses(&format!("{name}'s box")).unwrap()[1].address;
        lab.block_on(async {
            let mut connection = host.connect(server(&network, 7)).await.unwrap();
            let seen: SocketAddr = line(&mut connection).await.unwrap().parse().unwrap();
            assert_eq!(seen.ip(), outside);
            let mut socket = host.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
            let seen: SocketAddr =
                ask(&host, &mut socket, server(&network, 9)).await.unwrap().parse().unwrap();
            assert_eq!(seen.ip(), outside);
        });
    }
}

#[test]
fn a_ping_and_an_error_come_back_through_it() {
    let lab = Lab::new(1);
    let network = homes(&lab);
    let ann = network.host("ann").unwrap();
    let destination = network.address("server").unwrap();
    lab.block_on(async {
        let mut echo = ann.echo().unwrap();
        echo.send(destination, 1, None, b"ping").unwrap();
        let answer = poll_fn(|context| echo.poll_receive(context)).await;
        let EchoAnswer::Reply { source, sequence, data, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((source, sequence, &data[..]), (destination, 1, &b"ping"[..]));
        // The first router gives it up, and says so inside.
        echo.send(destination, 2, Some(1), b"ping").unwrap();
        let answer = poll_fn(|context| echo.poll_receive(context)).await;
        let EchoAnswer::Failed { reporter, problem, sequence } = answer else { panic!("{answer:?}") };
        assert_eq!(
            (reporter.to_string().as_str(), problem, sequence),
            ("192.168.1.1", Problem::TimeExceeded, 2)
        );
    });
    // Nobody is at that port, and the datagram's sender hears of it.
    let refused = lab.block_on(async {
        let mut socket = ann.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        poll_fn(|context| socket.poll_send(context, b"?", server(&network, 99))).await.unwrap();
        let mut buffer = [0; 10];
        let answer = poll_fn(|context| socket.poll_receive(context, &mut buffer));
        timeout_at(&ann, ann.now() + Duration::from_secs(3), answer).await
    });
    assert_eq!(refused.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_rebinding_moves_datagrams_and_breaks_connections() {
    let lab = Lab::new(1);
    let network = homes(&lab);
    let ann = network.host("ann").unwrap();
    lab.block_on(async {
        let mut socket = ann.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
        let before = ask(&ann, &mut socket, server(&network, 9)).await.unwrap();
        let mut connection = ann.connect(server(&network, 7)).await.unwrap();
        line(&mut connection).await.unwrap();
        network.apply(&Change::Rebind { node: "ann's box".into() }).unwrap();
        let after = ask(&ann, &mut socket, server(&network, 9)).await.unwrap();
        assert_ne!(before, after, "the same socket, seen at another port");
        // The server knows of no connection from that port.
        let error = line(&mut connection).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let mut connection = ann.connect(server(&network, 7)).await.unwrap();
        line(&mut connection).await.unwrap();
    });
    let wrong = network.apply(&Change::Rebind { node: "server".into() });
    assert!(matches!(wrong, Err(TopologyError::NoTranslator { .. })));
}

#[test]
fn what_the_server_sends_after_a_rebinding_is_lost_without_a_word() {
    let lab = Lab::new(1);
    let network = homes(&lab);
    network
        .run("server", |host| async move {
            let at = "0.0.0.0:8".parse().unwrap();
            let mut listener = host.listen(at, ListenOptions::default()).await.unwrap();
            let mut connection = listener.accept().await.unwrap();
            loop {
                let _ = connection.write_all(b"tick").await;
                sleep(&host, Duration::from_secs(1)).await;
            }
        })
        .unwrap();
    let bob = network.host("bob").unwrap();
    lab.block_on(async {
        let mut connection = bob.connect(server(&network, 8)).await.unwrap();
        let mut tick = [0; 4];
        connection.read_exact(&mut tick).await.unwrap();
        // Until it has been acknowledged: whatever bob sends shows the server another port.
        sleep(&bob, Duration::from_millis(500)).await;
        network.apply(&Change::Rebind { node: "bob's box".into() }).unwrap();
        let deadline = bob.now() + Duration::from_secs(60);
        let half_open =
            timeout_at(&bob, deadline, async { while connection.read_exact(&mut tick).await.is_ok() {} });
        assert!(half_open.await.is_err(), "neither an end nor an error");
    });
}
