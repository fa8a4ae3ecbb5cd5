//! The HTTP server on simulated machines: every deadline is kept on the host's clock, nothing comes from elsewhere, and no
//! bytes bring it down.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fourwire_application::http::server::{Answer, Error, Limits, serve_connection};
use fourwire_application::http::{Body, RequestBody};
use host::{ListenOptions, Listener, Network, Runtime, sleep};
use http::{Request, Response};
use lab::{Lab, LabHost, Transcript};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LATENCY: Duration = Duration::from_millis(5);

/// What a visit came to.
#[derive(Debug, PartialEq)]
struct Seen {
    answer: String,
    /// From the connection's start to its end, as the client sees it.
    took: Duration,
    /// How the server saw it: a label, or `upgraded` or `in order`.
    end: &'static str,
}

/// Writes each piece after its pause, and reads until the server closes. What the server wrote is limited by its bytes,
/// what the lab wrote of it comes along.
fn visit(pieces: &[(Duration, Vec<u8>)]) -> (Seen, Transcript) {
    visit_until(None, pieces)
}

/// As [`visit`]; the server is asked to stop after a while.
fn visit_until(stop: Option<Duration>, pieces: &[(Duration, Vec<u8>)]) -> (Seen, Transcript) {
    let lab = Lab::new(1);
    let server = lab.machine("server", [10, 0, 0, 1].into(), 1);
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1);
    lab.set_latency(&client, &server, LATENCY);
    let end = Arc::new(Mutex::new("running"));

    let (host, ended) = (server.host(), end.clone());
    server.host().spawn_detached(async move {
        let mut listener =
            host.listen("0.0.0.0:80".parse().unwrap(), ListenOptions::default()).await.unwrap();
        let connection = listener.accept().await.unwrap();
        let limits = Limits::default();
        let stop = async {
            match stop {
                Some(after) => sleep(&host, after).await,
                None => pending().await,
            }
        };
        let outcome = serve_connection(connection, &host, &limits, handler(host.clone()), stop).await;
        *ended.lock().unwrap() = match &outcome {
            Ok(None) => "in order",
            Ok(Some(_)) => "upgraded",
            Err(error) => error.label(),
        };
    });

    let host = client.host();
    let (answer, took) = lab.block_on(async {
        let mut connection = host.connect("10.0.0.1:80".parse().unwrap()).await.unwrap();
        let start = host.now();
        for (pause, piece) in pieces {
            if !pause.is_zero() {
                sleep(&host, *pause).await;
            }
            if connection.write_all(piece).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), host.now().since(start))
    });
    // The server may linger.
    lab.run_for(Duration::from_secs(120));
    let end = *end.lock().unwrap();
    (Seen { answer, took, end }, lab.transcript())
}

fn handler(
    host: LabHost,
) -> impl Fn(Request<RequestBody>) -> std::pin::Pin<Box<dyn Future<Output = Answer<()>> + Send>> {
    move |request| {
        let host = host.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match head.uri.path() {
                "/upgrade" => {
                    let response =
                        Response::builder().status(101).header("upgrade", "shout").body(()).unwrap();
                    return Answer::Upgrade { response, then: () };
                }
                "/slow" => sleep(&host, Duration::from_secs(3_600)).await,
                "/while" => sleep(&host, Duration::from_secs(20)).await,
                "/unread" => return Response::new(Body::whole("unread")).into(),
                _ => {}
            }
            let mut response = Response::new(Body::empty());
            match body.collect(64).await {
                Ok(body) => *response.body_mut() = Body::whole(body),
                Err(error) => *response.status_mut() = error.status(),
            }
            response.into()
        })
    }
}

fn at_once(text: &str) -> Vec<(Duration, Vec<u8>)> {
    vec![(Duration::ZERO, text.into())]
}

#[test]
fn deadlines_are_kept_on_the_hosts_clock() {
    let there_and_back = LATENCY * 2;
    let table = [
        ("GET / HT", "HTTP/1.1 408 ", Duration::from_secs(10), "head_timeout"),
        ("", "", Duration::from_secs(10), "in order"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", Duration::from_secs(60), "in order"),
        (
            "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 503 ",
            Duration::from_secs(30),
            "handler_timeout",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na",
            "HTTP/1.1 408 ",
            Duration::from_secs(30),
            "body_timeout",
        ),
        ("GET / HTTP/2\r\n\r\n", "HTTP/1.1 505 ", Duration::ZERO, "version"),
    ];
    for (request, status, took, end) in table {
        let (seen, _) = visit(&at_once(request));
        assert!(seen.answer.starts_with(status), "{request:?}: {seen:?}");
        assert_eq!(seen.end, end, "{request:?}");
        // The clock of a connection that says nothing starts when the server accepts it.
        let wait = seen.took.saturating_sub(took);
        assert!(wait <= there_and_back, "{request:?} took {:?}, not {took:?}", seen.took);
    }
}

#[test]
fn a_stop_ends_who_waits_at_once_and_who_is_served_after_the_answer() {
    let second = Duration::from_secs(1);
    let idle = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let busy = "GET /while HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let table = [("", 0, second), (idle, 1, second), ("GET / HT", 1, second * 10), (busy, 1, second * 20)];
    for (request, answers, took) in table {
        let (seen, _) = visit_until(Some(second), &at_once(request));
        assert_eq!(seen.answer.matches("HTTP/1.1 ").count(), answers, "{request:?}: {seen:?}");
        assert!(seen.took.saturating_sub(took) <= LATENCY * 2, "{request:?}: {seen:?}");
    }
}

#[test]
fn the_date_is_that_of_the_hosts_wall_clock_and_one_seed_is_one_transcript() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n";
    let (seen, first) = visit(&at_once(request));
    let (again, second) = visit(&at_once(request));
    assert_eq!(seen, again);
    assert_eq!(first.hash(), second.hash(), "{:?}", first.first_difference(&second));
    assert_eq!(seen.answer.matches("\r\ndate: ").count(), 2, "{}", seen.answer);
}

/// Pieces of requests, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "GET / HTTP/1.1\r\n",
        "POST /unread HTTP/1.1\r\n",
        "HEAD /slow HTTP/1.0\r\n",
        "GET /upgrade HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "Host: a\r\n",
        "Connection: upgrade, close\r\n",
        "Upgrade: shout\r\n",
        "Expect: 100-continue\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "5\r\nhello\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n\r\n",
        "Trailer: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "X: y\r\n",
    ];
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => Just(vec![b'x'; 20_000]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_bring_the_server_down(pieces in prop::collection::vec((0_u64..2_000, piece()), 0..12)) {
        let pieces: Vec<_> =
            pieces.into_iter().map(|(millis, piece)| (Duration::from_millis(millis), piece)).collect();
        let (seen, _) = visit(&pieces);
        prop_assert_ne!(seen.end, "running", "the server has not let go: {:?}", seen);
        prop_assert!(seen.answer.is_empty() || seen.answer.starts_with("HTTP/1."), "{:?}", seen);
        // Whatever ended in a refusal was told so, unless nobody could hear it.
        let lost = Error::Incomplete.label();
        prop_assert!(!seen.answer.is_empty() || ["in order", lost].contains(&seen.end), "{:?}", seen);
    }
}
