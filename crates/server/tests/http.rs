//! The whole server by its HTTP door, on the operating system's sockets.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use application::http::client::Client;
use bytes::Bytes;
use fourwire_server as server;
use host::{Network, Runtime, timeout_at};
use http::Request;
use hub::store::Memory;
use kernel::{KernelConnection, KernelHost};
use server::{Config, Shutdown, stations};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs `visit` against a server on one shard.
fn with<F, T>(config: Config, visit: impl Fn(KernelHost, SocketAddr) -> F + Send + Sync) -> T
where
    F: Future<Output = T>,
    T: Send,
{
    let (config, visit) = (&config, &visit);
    let outcomes = kernel::run(1, |host| async move {
        let (trigger, shutdown) = Shutdown::new();
        let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..config.clone() };
        let station = stations(config, Box::new(Memory::new()), 1).remove(0);
        let listening = station.listening();
        let serving = host.clone();
        let task = host.spawn(async move { station.serve(serving, shutdown).await.expect("it listens") });
        let address = listening.addresses().await[0];
        let deadline = host.now() + Duration::from_secs(10);
        let outcome = timeout_at(&host, deadline, visit(host.clone(), address)).await.expect("in time");
        trigger.pull();
        timeout_at(&host, host.now() + Duration::from_secs(5), task).await.expect("the server ends");
        outcome
    });
    outcomes.unwrap().remove(0)
}

async fn call(
    client: &mut Client<KernelConnection>,
    address: SocketAddr,
    method: &str,
    body: &str,
) -> String {
    let request = Request::post(format!("http://{address}/api/{method}"))
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let response = client.send(request, 1 << 20).await.unwrap();
    format!("{} {}", response.status().as_u16(), std::str::from_utf8(response.body()).unwrap().trim_end())
}

async fn get(host: &KernelHost, address: SocketAddr, path: &str) -> String {
    let mut client = Client::new(host.connect(address).await.unwrap()).await.unwrap();
    let request = Request::get(format!("http://{address}{path}")).body(Bytes::new()).unwrap();
    String::from_utf8(client.send(request, 1 << 20).await.unwrap().into_body().into()).unwrap()
}

/// Sends `bytes` and reads until the server closes.
async fn send(host: &KernelHost, address: SocketAddr, bytes: &str) -> String {
    let mut connection = host.connect(address).await.unwrap();
    let _ = connection.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_is_published_is_history_under_its_key_once() {
    with(Config::default(), |host, address| async move {
        let mut client = Client::new(host.connect(address).await.unwrap()).await.unwrap();
        let publish = r#"{"channel":"lobby","data":{"text":"hi"},"idempotency_key":"k"}"#;
        let first = call(&mut client, address, "publish", publish).await;
        assert!(first.starts_with(r#"200 {"result":{"offset":1,"epoch":""#), "{first}");
        assert_eq!(call(&mut client, address, "publish", publish).await, first);
        let history = call(&mut client, address, "history", r#"{"channel":"lobby","limit":10}"#).await;
        assert_eq!(history.matches("\"offset\"").count(), 2, "one publication and the position: {history}");
        assert!(history.contains(r#""data":{"text":"hi"}"#), "{history}");
        let rooms = call(&mut client, address, "rooms", r#"{"pattern":"lob*"}"#).await;
        assert_eq!(rooms, r#"200 {"result":{"channels":{"lobby":{"num_clients":0}}}}"#);
        let presence = call(&mut client, address, "presence", r#"{"channel":"lobby"}"#).await;
        assert_eq!(presence, r#"200 {"result":{"presence":{}}}"#);
        let info = call(&mut client, address, "info", "").await;
        assert!(info.contains(r#""num_clients":0"#), "{info}");
    });
}

#[test]
fn malformed_slow_and_idle_requests_are_answered_and_counted() {
    let mut config = Config::default();
    config.http.limits.head_time = Duration::from_millis(200);
    config.http.limits.idle_time = Duration::from_millis(200);
    config.http.limits.request_time = Duration::from_millis(300);
    config.http.limits.linger_time = Duration::from_millis(100);
    with(config, |host, address| async move {
        let flood = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(10_000));
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(20_000));
        let table = [
            ("nonsense\r\n\r\n", "400", "request_line"),
            ("GET / HTTP/1.1\r\n\r\n", "400", "host"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505", "version"),
            ("GET / HTTP/1.1\r\nHo", "408", "head_timeout"),
            (&flood, "431", "too_many_fields"),
            (&long, "431", "head_too_large"),
            (
                "POST /api/info HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
                "408",
                "body_timeout",
            ),
        ];
        for (request, status, _) in table {
            let answer = send(&host, address, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        assert_eq!(send(&host, address, "").await, "");
        let answer = send(&host, address, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let metrics = get(&host, address, "/metrics").await;
        for (_, _, reason) in table {
            let line = format!("fourwire_http_failures_total{{reason=\"{reason}\"}} 1\n");
            assert!(metrics.contains(&line), "{line}{metrics}");
        }
        assert!(metrics.contains("\nfourwire_connections 1\n"), "{metrics}");
    });
}

#[test]
fn a_handshake_leads_to_the_websocket_door() {
    with(Config::default(), |host, address| async move {
        let mut connection = host.connect(address).await.unwrap();
        let handshake = format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        // With the first frame right behind it: a close frame, masked with zeros.
        let close = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8];
        connection.write_all(&[handshake.as_bytes(), &close].concat()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        assert!(answer.ends_with(&[0x88, 2, 3, 0xe8]), "{answer:?}");
        drop(connection);
        let accepted = "fourwire_websocket_handshakes_total{outcome=\"accepted\"} 1\n";
        let ended = "fourwire_websocket_ends_total{how=\"closed_by_peer\",code=\"1000\"} 1\n";
        loop {
            let metrics = get(&host, address, "/metrics").await;
            assert!(metrics.contains(accepted), "{metrics}");
            if metrics.contains(ended) {
                break;
            }
            host::sleep(&host, Duration::from_millis(10)).await;
        }
    });
}
