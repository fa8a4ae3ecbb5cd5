//! Why was it disconnected? Causes injected from outside, in virtual time, and what the HTTP API says of them after.

use std::net::SocketAddr;
use std::time::Duration;

use application::http::client::Client;
use bytes::Bytes;
use fourwire_server as server;
use host::{Connection, Network, Runtime};
use http::Request;
use hub::store::Memory;
use lab::{Lab, LabConnection, LabHost};
use serde_json::Value;
use server::{Config, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8000))
}

/// What is said of the last connection that is over, after `story` and a moment.
fn told<F>(change: impl FnOnce(&mut Config), story: impl FnOnce(LabHost) -> F + Send + 'static) -> Value
where
    F: Future<Output = ()> + Send,
{
    told_of("{\"limit\": 1}", change, story)
}

/// The same, of the connections that `filter` asks for.
fn told_of<F>(
    filter: &'static str,
    change: impl FnOnce(&mut Config),
    story: impl FnOnce(LabHost) -> F + Send + 'static,
) -> Value
where
    F: Future<Output = ()> + Send,
{
    let lab = Lab::new(1);
    let server = lab.machine("server", address().ip(), 1);
    let mut config = Config { listen: vec![address()], ..Config::default() };
    config.http.api_key = Some("key".into());
    change(&mut config);
    let (_trigger, shutdown) = Shutdown::new();
    let station = server::stations(config, Box::new(Memory::new()), 1).pop().expect("one shard");
    let host = server.host();
    let _shard = host.clone().spawn(async move { station.serve(host, shutdown).await.expect("it listens") });
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1).host();
    lab.block_on(async move {
        story(client.clone()).await;
        host::sleep(&client, Duration::from_secs(1)).await;
        let connection = client.connect(address()).await.expect("somebody listens");
        let request =
            Request::post(format!("http://{}/api/disconnects", address())).header("x-api-key", "key");
        let mut http = Client::new(connection).await.expect("HTTP");
        let body = Bytes::from_static(filter.as_bytes());
        let response = http.send(request.body(body).expect("a request"), 1 << 20).await.expect("an answer");
        let told: Value = serde_json::from_slice(response.body()).expect("JSON");
        told["result"]["disconnects"][0].clone()
    })
}

/// A client without manners.
struct Raw(LabConnection);

impl Raw {
    async fn open(host: &LabHost) -> Self {
        let mut connection = host.connect(address()).await.expect("somebody listens");
        let handshake = format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            address()
        );
        connection.write_all(handshake.as_bytes()).await.expect("open");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.expect("open"));
        }
        let mut raw = Self(connection);
        raw.say(r#"{"id":1,"connect":{"data":{"name":"Ada","key":"ada"}}}"#).await;
        raw
    }

    async fn say(&mut self, text: &str) {
        self.frame(1, text.as_bytes()).await;
    }

    /// A frame under a mask of zeros.
    async fn frame(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend((payload.len() as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        let _ = self.0.write_all(&frame).await;
    }
}

async fn wait(host: &LabHost, seconds: u64) {
    host::sleep(host, Duration::from_secs(seconds)).await;
}

#[test]
fn a_client_that_says_goodbye() {
    let told = told(
        |_| {},
        |host| async move {
            let mut raw = Raw::open(&host).await;
            wait(&host, 3).await;
            raw.frame(8, &1000_u16.to_be_bytes()).await;
            wait(&host, 1).await;
        },
    );
    assert_eq!(told["cause"], "client_close", "{told}");
    assert_eq!((&told["transport"], &told["protocol"]), (&"websocket".into(), &"json".into()));
    assert!(told["client"].as_str().is_some_and(|client| client.len() == 36), "{told}");
    assert!(told["address"].as_str().is_some_and(|address| address.starts_with("10.0.0.2:")), "{told}");
    let frames = told["frames"].as_array().expect("frames");
    assert_eq!(
        (frames.len(), &frames[0]["from"], &frames[1]["from"]),
        (2, &"client".into(), &"server".into())
    );
    assert!(
        frames[0]["text"].as_str().is_some_and(|text| text.starts_with(r#"{"id":1,"connect":"#)),
        "{told}"
    );
    let took = told["ended_at"].as_u64().expect("a time") - told["connected_at"].as_u64().expect("a time");
    assert!((3000..4100).contains(&took), "until the connection is closed, too: {took} ms");
}

#[test]
fn a_client_that_goes_without_a_word() {
    let story = |host: LabHost| async move {
        let mut raw = Raw::open(&host).await;
        wait(&host, 3).await;
        raw.0.shutdown().await.expect("open");
    };
    assert_eq!(told(|_| {}, story)["cause"], "end_without_close");
}

#[test]
fn a_connection_that_is_reset() {
    let story = |host: LabHost| async move {
        let mut raw = Raw::open(&host).await;
        wait(&host, 3).await;
        raw.0.abort();
    };
    assert_eq!(told(|_| {}, story)["cause"], "reset");
}

#[test]
fn a_proxy_that_does_not_bear_silence() {
    let patient = |config: &mut Config| config.hub.ping_interval = Duration::from_secs(1000);
    let told = told(patient, |host| async move {
        let mut raw = Raw::open(&host).await;
        wait(&host, 60).await;
        raw.0.shutdown().await.expect("open");
    });
    assert_eq!((&told["cause"], &told["idle_limit_s"]), (&"proxy_idle".into(), &60.into()), "{told}");
}

#[test]
fn a_client_that_does_not_answer_pings() {
    let told = told(
        |_| {},
        |host| async move {
            let _raw = Raw::open(&host).await;
            wait(&host, 60).await;
        },
    );
    assert_eq!((&told["cause"], &told["code"]), (&"ping_timeout".into(), &3012.into()), "{told}");
}

#[test]
fn a_client_that_does_not_read() {
    let small = |config: &mut Config| {
        config.session_bytes = 256 << 10;
        config.shutdown_grace = Duration::from_secs(1);
    };
    let told = told_of("{\"cause\": \"slow\"}", small, |host| async move {
        let mut slow = Raw::open(&host).await;
        slow.say(r#"{"id":2,"subscribe":{"channel":"lobby"}}"#).await;
        let mut writer = Raw::open(&host).await;
        let data = "x".repeat(32 << 10);
        for id in 3..100 {
            writer.say(&format!(r#"{{"id":{id},"publish":{{"channel":"lobby","data":"{data}"}}}}"#)).await;
            host::sleep(&host, Duration::from_millis(50)).await;
        }
        drop(slow);
        wait(&host, 10).await;
    });
    assert_eq!((&told["cause"], &told["code"]), (&"slow".into(), &3008.into()), "{told}");
    assert!(told["queue_bytes"].as_u64().is_some_and(|bytes| bytes > 256 << 10), "{told}");
    assert!(told["queue_age_ms"].as_u64().is_some_and(|age| age > 100), "{told}");
}

#[test]
fn a_token_that_is_not_valid() {
    let tokens = |config: &mut Config| config.tokens.secret = Some("secret".into());
    let told = told(tokens, |host| async move {
        let _raw = Raw::open(&host).await;
        wait(&host, 3).await;
    });
    assert_eq!((&told["cause"], &told["code"]), (&"token".into(), &3500.into()), "{told}");
}

#[test]
fn a_client_that_asks_too_much() {
    let told = told(
        |_| {},
        |host| async move {
            let mut raw = Raw::open(&host).await;
            for id in 2..1200 {
                raw.say(&format!(r#"{{"id":{id},"ping":{{}}}}"#)).await;
            }
            wait(&host, 3).await;
        },
    );
    assert_eq!((&told["cause"], &told["code"]), (&"limit".into(), &3013.into()), "{told}");
}

#[test]
fn a_client_that_speaks_something_else() {
    let told = told(
        |_| {},
        |host| async move {
            let mut raw = Raw::open(&host).await;
            raw.say("hello").await;
            wait(&host, 3).await;
        },
    );
    assert_eq!((&told["cause"], &told["code"]), (&"client_error".into(), &3501.into()), "{told}");
}

#[test]
fn after_an_hour_it_is_forgotten() {
    let told = told(
        |_| {},
        |host| async move {
            let mut raw = Raw::open(&host).await;
            raw.0.shutdown().await.expect("open");
            drop(raw);
            wait(&host, 3601).await;
        },
    );
    assert_eq!(told, Value::Null);
}
