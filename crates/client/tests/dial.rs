//! Reaching servers: over several addresses, TLS, proxies and redirects, in virtual time.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fourwire_client::{DialError, Dialer, Proxy, Url};
use host::{ListenOptions, Listener, Network, Runtime};
use http::header::{AUTHORIZATION, HOST};
use lab::{Lab, LabHost, Machine};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use websocket::handshake::server::{self, Options};
use websocket::{Limits, Message};

struct World {
    lab: Lab,
    client: Machine,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new(7);
        let client = lab.machine("client", "10.0.0.99".parse().unwrap(), 1);
        Self { lab, client }
    }

    fn machine(&self, name: &str, address: &str) -> Machine {
        self.lab.machine(name, address.parse::<IpAddr>().unwrap(), 1)
    }

    fn dial(&self, dialer: &Dialer, url: &str) -> (Result<String, DialError>, Duration) {
        let host = self.client.host();
        let begun = host.now();
        let heard = self.lab.block_on(async {
            let url: Url = url.parse().unwrap();
            let mut socket = dialer.dial(&host, &url, Limits::default()).await?.socket;
            socket.send("hello").await.unwrap();
            let heard = socket.next().await.unwrap().unwrap();
            Ok(heard.as_text().unwrap().to_owned())
        });
        (heard, host.now().since(begun))
    }
}

/// Echoes one message of each client, behind what the client called the server.
fn echo(machine: &Machine, port: u16, tls: Option<tls::Server>) {
    let host = machine.host();
    host.clone().spawn_detached(async move {
        let mut listener = host.listen(any(port), ListenOptions::default()).await.unwrap();
        loop {
            let connection = listener.accept().await.unwrap();
            let (host, tls) = (host.clone(), tls.clone());
            host.clone().spawn_detached(async move {
                let connection = match tls {
                    None => tls::Stream::Plain(connection),
                    Some(tls) => {
                        let deadline = host.now() + Duration::from_secs(5);
                        let Ok(connection) = tls.accept(&host, connection, deadline).await else { return };
                        tls::Stream::Tls(Box::new(connection))
                    }
                };
                let opened = server::accept(connection, &host, &Options::default()).await.unwrap();
                let field =
                    |name| opened.head.headers().get(name).map_or("-", |value| value.to_str().unwrap());
                let seen = format!("{} {}", field(HOST), field(AUTHORIZATION));
                let mut socket = opened.websocket(host, Limits::default());
                let said = socket.next().await.unwrap().unwrap();
                let text = format!("{seen} {}", said.as_text().unwrap());
                socket.send(Message::text(text)).await.unwrap();
                let _ = socket.next().await;
            });
        }
    });
}

/// Answers whatever comes with `answer`.
fn answers(machine: &Machine, port: u16, answer: String) {
    let host = machine.host();
    host.clone().spawn_detached(async move {
        let mut listener = host.listen(any(port), ListenOptions::default()).await.unwrap();
        loop {
            let mut connection = listener.accept().await.unwrap();
            let answer = answer.clone();
            host.spawn_detached(async move {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(answer.as_bytes()).await;
            });
        }
    });
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

/// A resolver for which every name has these addresses.
fn all_are(addresses: &'static [&'static str]) -> Dialer {
    let resolver = move |_: &str, port| {
        let ips = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap());
        let found: Vec<_> = ips.map(|ip| SocketAddr::new(ip, port)).collect();
        Box::pin(async move { Ok(found) }) as fourwire_client::Resolving
    };
    Dialer { resolver: Some(Arc::new(resolver)), ..Dialer::default() }
}

#[test]
fn a_dead_address_costs_a_quarter_of_a_second_and_a_refusal_nothing() {
    let world = World::new();
    let alive = world.machine("alive", "10.0.0.2");
    let dead = world.machine("dead", "10.0.0.1");
    world.machine("closed", "10.0.0.3");
    echo(&alive, 80, None);
    world.lab.cut(&dead, &world.client);
    let (heard, took) = world.dial(&all_are(&["10.0.0.1", "10.0.0.2"]), "ws://door.lab");
    assert_eq!(heard.unwrap(), "door.lab - hello");
    assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(300), "{took:?}");
    let (heard, took) = world.dial(&all_are(&["10.0.0.3", "10.0.0.2"]), "ws://door.lab");
    heard.unwrap();
    assert!(took < Duration::from_millis(50), "{took:?}");
    let (refused, took) = world.dial(&all_are(&["10.0.0.3", "10.0.0.1"]), "ws://door.lab");
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("10.0.0.3:80: ") && told.contains("10.0.0.1:80 took too long"), "{told}");
    assert_eq!(took, Duration::from_secs(10));
}

#[test]
fn names_need_somebody_who_knows_them() {
    let world = World::new();
    let (refused, _) = world.dial(&Dialer::default(), "ws://door.lab");
    assert!(matches!(refused, Err(DialError::NoResolver(_))), "{refused:?}");
    let (refused, _) = world.dial(&all_are(&[]), "ws://door.lab");
    assert!(matches!(refused, Err(DialError::NoAddress(_))), "{refused:?}");
}

#[test]
fn redirects_are_followed_but_not_for_ever_and_not_out_of_tls() {
    let world = World::new();
    let server = world.machine("server", "10.0.0.1");
    let to = |place: &str| format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {place}\r\n\r\n");
    echo(&server, 80, None);
    answers(&server, 81, to("ws://10.0.0.1/"));
    answers(&server, 82, to("/again"));
    answers(&server, 83, to("gopher://10.0.0.1"));
    let mut dialer = Dialer::default();
    dialer.add_header("Authorization", "Bearer secret").unwrap();
    let heard = |port| world.dial(&dialer, &format!("ws://10.0.0.1:{port}")).0;
    assert_eq!(heard(80).unwrap(), "10.0.0.1 Bearer secret hello");
    assert_eq!(heard(81).unwrap(), "10.0.0.1 - hello", "credentials stay where they belong");
    assert!(matches!(heard(82), Err(DialError::Handshake(..))), "the sixth redirect is the answer");
    assert!(matches!(heard(83), Err(DialError::Redirect(..))));
}

/// A certificate for `door.lab`, and its key, both in PEM.
fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["door.lab".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Makes tunnels to whatever address is asked for, for who knows the password; the door's name is `target`.
fn proxy(machine: &Machine, target: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let host = machine.host();
    host.clone().spawn_detached(async move {
        let mut listener = host.listen(any(3128), ListenOptions::default()).await.unwrap();
        loop {
            let connection = listener.accept().await.unwrap();
            host.spawn_detached(tunnel(host.clone(), connection, target, asked.clone()));
        }
    });
}

async fn tunnel(
    host: LabHost,
    mut connection: lab::LabConnection,
    target: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut request = vec![0; 4096];
    let length = connection.read(&mut request).await.unwrap();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    asked.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
    if !request.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n") {
        let _ = connection.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\nno").await;
        return;
    }
    let mut there = host.connect(target).await.unwrap();
    connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut connection, &mut there).await;
}

#[test]
fn tls_goes_through_a_proxy_to_who_can_show_its_name() {
    let world = World::new();
    let (server, gate) = (world.machine("server", "10.0.0.1"), world.machine("gate", "10.0.0.2"));
    let (chain, key) = certificate();
    let tls = tls::Server::new(chain.as_bytes(), key.as_bytes(), &["http/1.1"]).unwrap();
    echo(&server, 443, Some(tls));
    answers(&server, 444, "HTTP/1.1 400 Bad Request\r\n\r\n".into());
    let asked = Arc::default();
    proxy(&gate, "10.0.0.1:443".parse().unwrap(), Arc::clone(&asked));

    let mut dialer = Dialer::default();
    let (refused, _) = world.dial(&dialer, "wss://10.0.0.1");
    assert!(matches!(refused, Err(DialError::NoTls(_))), "{refused:?}");

    let mut roots = tls::Roots::none();
    roots.add_pem(chain.as_bytes()).unwrap();
    dialer.tls = Some(tls::Client::new(&world.client.host(), roots, &["http/1.1"]));
    dialer.proxy = Some("http://me:secret@10.0.0.2:3128".parse::<Proxy>().unwrap());
    let (heard, _) = world.dial(&dialer, "wss://door.lab");
    assert_eq!(heard.unwrap(), "door.lab - hello", "the proxy looks the name up, not we");
    assert_eq!(*asked.lock().unwrap(), ["CONNECT door.lab:443 HTTP/1.1"]);
    let (refused, _) = world.dial(&dialer, "wss://gate.lab");
    assert!(matches!(refused, Err(DialError::Tls(..))), "{refused:?}");

    dialer.proxy = Some("10.0.0.2:3128".parse().unwrap());
    let (refused, _) = world.dial(&dialer, "wss://door.lab");
    assert!(refused.unwrap_err().to_string().contains("407 Proxy Authentication Required"));

    dialer.proxy = None;
    let (refused, _) = world.dial(&dialer, "wss://10.0.0.1:444");
    assert!(matches!(refused, Err(DialError::Tls(..))), "{refused:?}");
}
