//! Both ends of TLS, in virtual time.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host::{Connection as _, ListenOptions, Listener, Network, Runtime, sleep};
use lab::{Lab, LabConnection, Machine};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use tls::{Client, Error, PemError, Roots, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate for `names`, valid in 2026 alone, and its key, both in PEM.
fn certificate(names: &[&str]) -> (String, String) {
    certificate_with(names, IsCa::NoCa)
}

fn certificate_with(names: &[&str], is_ca: IsCa) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

struct World {
    lab: Lab,
    client: Machine,
    server: Machine,
}

fn world(config: lab::Config) -> World {
    let lab = Lab::with(config);
    let machine = |name, address: &str| lab.machine(name, address.parse::<IpAddr>().unwrap(), 1);
    let (server, client) = (machine("server", "10.0.0.1"), machine("client", "10.0.0.2"));
    World { lab, client, server }
}

fn address() -> SocketAddr {
    "10.0.0.1:443".parse().unwrap()
}

impl World {
    /// Has the server serve one connection over TLS with `serve`.
    fn serve<F>(&self, tls: Server, serve: impl FnOnce(tls::Connection<LabConnection>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let host = self.server.host();
        host.clone().spawn_detached(async move {
            let mut listener = host.listen(address(), ListenOptions::default()).await.unwrap();
            let transport = listener.accept().await.unwrap();
            if let Ok(connection) = tls.accept(&host, transport, host.now() + PATIENCE).await {
                serve(connection).await;
            }
        });
    }

    async fn connect(&self, client: &Client, name: &str) -> Result<tls::Connection<LabConnection>, Error> {
        let host = self.client.host();
        let transport = host.connect(address()).await.unwrap();
        client.connect(&host, transport, name, host.now() + PATIENCE).await
    }

    fn client(&self, trusted: &str) -> Client {
        let mut roots = Roots::none();
        roots.add_pem(trusted.as_bytes()).unwrap();
        Client::new(&self.client.host(), roots, &["http/1.1"])
    }

    fn server(&self, (chain, key): &(String, String)) -> Server {
        Server::new(chain.as_bytes(), key.as_bytes(), &["http/1.1"]).unwrap()
    }
}

async fn echo(connection: tls::Connection<LabConnection>) {
    let (mut from, mut to) = tokio::io::split(connection);
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Small buffers below, so that both ends wait for room all the time.
#[test]
fn every_byte_comes_back_however_little_the_transport_takes() {
    for segment in [1_000, 64 * 1024] {
        let config = lab::Config { send_buffer: 3_000, receive_buffer: 3_000, segment, ..Default::default() };
        let world = world(config);
        let certificate = certificate(&["door.lab"]);
        world.serve(world.server(&certificate), echo);
        let said: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let heard = world.lab.block_on(async {
            let connection = world.connect(&world.client(&certificate.0), "door.lab").await.unwrap();
            assert_eq!(connection.alpn(), Some(&b"http/1.1"[..]));
            let (mut from, mut to) = tokio::io::split(connection);
            let saying = said.clone();
            world.client.host().spawn_detached(async move {
                to.write_all(&saying).await.unwrap();
                to.shutdown().await.unwrap();
            });
            let mut heard = Vec::new();
            from.read_to_end(&mut heard).await.unwrap();
            heard
        });
        assert!(heard == said, "{} bytes came back of {}", heard.len(), said.len());
    }
}

/// What was taken leaves without another write, for whoever only reads from then on.
#[test]
fn who_waits_for_an_answer_sends_the_rest_of_the_question() {
    let world = world(lab::Config { send_buffer: 2_000, receive_buffer: 2_000, ..Default::default() });
    let certificate = certificate(&["door.lab"]);
    world.serve(world.server(&certificate), |mut connection| async move {
        let mut question = vec![0; 50_000];
        connection.read_exact(&mut question).await.unwrap();
        connection.write_all(b"yes").await.unwrap();
        connection.flush().await.unwrap();
        sleep_forever(&connection).await;
    });
    world.lab.block_on(async {
        let mut connection = world.connect(&world.client(&certificate.0), "door.lab").await.unwrap();
        let taken = connection.try_write_vectored(&[io::IoSlice::new(&[7; 50_000])]).unwrap();
        assert_eq!(taken, 50_000, "rustls has room for that much");
        assert!(connection.unsent() >= 48_000, "and the transport has not: {}", connection.unsent());
        let mut answer = [0; 3];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"yes");
    });
}

async fn sleep_forever<T>(_: &T) {
    std::future::pending::<()>().await;
}

#[test]
fn who_cannot_show_who_it_is_is_refused() {
    let ours = certificate(&["door.lab"]);
    let others = certificate(&["door.lab"]);
    let authority = certificate_with(&["door.lab"], IsCa::Ca(BasicConstraints::Unconstrained));
    let refusal = |trusted: &(String, String), name: &str, after: Duration| {
        let world = world(lab::Config::default());
        // Whoever trusts an authority's own certificate is shown that, all others ours.
        world.serve(world.server(if trusted.0 == authority.0 { &authority } else { &ours }), echo);
        world.lab.block_on(async {
            sleep(&world.client.host(), after).await;
            world.connect(&world.client(&trusted.0), name).await.err().map(|error| error.to_string())
        })
    };
    let soon = Duration::ZERO;
    assert_eq!(refusal(&ours, "door.lab", soon), None);
    let said = |refusal: Option<String>, word: &str| {
        let refusal = refusal.expect("a refusal");
        assert!(refusal.contains(word), "{refusal}");
    };
    said(refusal(&ours, "gate.lab", soon), "not valid for name");
    said(refusal(&others, "door.lab", soon), "invalid peer certificate");
    said(refusal(&ours, "door.lab", Duration::from_secs(366 * 86_400)), "expired");
    said(refusal(&authority, "door.lab", soon), "CA:FALSE");
    said(refusal(&ours, "no name", soon), "no name that a certificate could have");
}

#[test]
fn who_speaks_no_tls_is_told_apart() {
    let world = world(lab::Config::default());
    let certificate = certificate(&["door.lab"]);
    let host = world.server.host();
    host.clone().spawn_detached(async move {
        let mut listener = host.listen(address(), ListenOptions::default()).await.unwrap();
        let mut first = listener.accept().await.unwrap();
        first.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let second = listener.accept().await.unwrap();
        drop(second);
        let third = listener.accept().await.unwrap();
        sleep_forever(&(first, third)).await;
    });
    world.lab.block_on(async {
        let client = world.client(&certificate.0);
        let refused = world.connect(&client, "door.lab").await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
        let gone = world.connect(&client, "door.lab").await;
        assert!(matches!(gone, Err(Error::HungUp)), "{gone:?}");
        let late = world.connect(&client, "door.lab").await;
        assert!(matches!(late, Err(Error::Late)), "{late:?}");
    });
}

#[test]
fn an_end_that_was_cut_off_is_no_end() {
    let world = world(lab::Config::default());
    let certificate = certificate(&["door.lab"]);
    world.serve(world.server(&certificate), |mut connection| async move {
        connection.write_all(b"half of").await.unwrap();
        connection.flush().await.unwrap();
        // The transport ends below TLS, as whoever sits between could make it.
        drop(connection);
    });
    world.lab.block_on(async {
        let mut connection = world.connect(&world.client(&certificate.0), "door.lab").await.unwrap();
        let mut heard = Vec::new();
        let error = connection.read_to_end(&mut heard).await.unwrap_err();
        assert_eq!((heard.as_slice(), error.kind()), (&b"half of"[..], ErrorKind::UnexpectedEof));
    });
}

#[test]
fn another_certificate_is_shown_from_the_next_connection_on() {
    let world = world(lab::Config::default());
    let (old, new) = (certificate(&["door.lab"]), certificate(&["door.lab"]));
    let server = world.server(&old);
    assert!(matches!(server.change(old.0.as_bytes(), new.1.as_bytes()), Err(PemError::Unusable(_))));
    assert!(matches!(server.change(b"", new.1.as_bytes()), Err(PemError::NoCertificate)));
    assert!(matches!(server.change(new.0.as_bytes(), b"nothing"), Err(PemError::NoKey)));
    server.change(new.0.as_bytes(), new.1.as_bytes()).unwrap();
    world.serve(server, echo);
    world.lab.block_on(async {
        world.connect(&world.client(&new.0), "door.lab").await.unwrap();
    });
}

/// What somebody between puts into the stream ends it, and what came before is heard.
#[test]
fn damage_is_found() {
    let world = world(lab::Config::default());
    let certificate = certificate(&["door.lab"]);
    let host = world.server.host();
    let tls = world.server(&certificate);
    host.clone().spawn_detached(async move {
        let mut listener = host.listen(address(), ListenOptions::default()).await.unwrap();
        loop {
            let transport = listener.accept().await.unwrap();
            if let Ok(mut connection) = tls.accept(&host, transport, host.now() + PATIENCE).await {
                let _ = connection.write_all(b"hello").await;
                let _ = connection.flush().await;
                // A record that was never encrypted.
                let _ = connection.into_transport().write_all(b"\x17\x03\x03\x00\x05hello").await;
            }
        }
    });
    world.lab.block_on(async {
        let mut connection = world.connect(&world.client(&certificate.0), "door.lab").await.unwrap();
        let mut heard = Vec::new();
        let error = connection.read_to_end(&mut heard).await.unwrap_err();
        assert_eq!((heard.as_slice(), error.kind()), (&b"hello"[..], ErrorKind::InvalidData));
    });
}
