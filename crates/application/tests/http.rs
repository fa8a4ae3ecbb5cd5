//! The HTTP server over real connections: what it answers, what it refuses and why, and what it costs to be slow.

use std::future::{Future, pending};
use std::time::Duration;

use bytes::Bytes;
use fourwire_application::http::server::{Answer, Error, Limits, Upgraded, serve_connection};
use fourwire_application::http::{Body, Problem, RequestBody, client};
use host::{ListenOptions, Listener, Network, Runtime, sleep, timeout_at};
use http::{Method, Request, Response, StatusCode};
use kernel::{KernelConnection, KernelHost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Outcome = Result<Option<Upgraded<KernelConnection, &'static str>>, Error>;

fn quick() -> Limits {
    Limits {
        head_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(300),
        request_time: Duration::from_millis(400),
        stall_time: Duration::from_millis(300),
        linger_time: Duration::from_millis(200),
        ..Limits::default()
    }
}

async fn handler(request: Request<RequestBody>) -> Answer<&'static str> {
    let response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/hello") => Response::new(Body::whole("hello")),
        (&Method::GET, "/large") => Response::new(Body::whole(vec![b'x'; 64 << 20])),
        (&Method::GET, "/never") => pending().await,
        (&Method::POST, "/ignored") => Response::new(Body::whole("did not look")),
        (&Method::POST, "/echo") => match request.into_body().collect(1000).await {
            Ok(body) => Response::new(Body::whole(body)),
            Err(error) => {
                let mut response = Response::new(Body::whole(error.to_string()));
                *response.status_mut() = error.status();
                response
            }
        },
        (&Method::GET, "/upgrade") => {
            let response = Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "shout");
            return Answer::Upgrade { response: response.body(()).unwrap(), then: "shout" };
        }
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap(),
    };
    Answer::Response(response)
}

/// Runs `client` against a server that serves one connection; gives back what both came to.
fn with<F, T>(
    limits: Limits,
    client: impl Fn(KernelHost, KernelConnection) -> F + Send + Sync,
) -> (T, Outcome)
where
    F: Future<Output = T>,
    T: Send,
{
    let client = &client;
    let limits = &limits;
    let outcomes = kernel::run(1, |host| async move {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut listener = host.listen(address, ListenOptions::default()).await.unwrap();
        let connection = host.connect(listener.local_address()).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (runtime, limits) = (host.clone(), limits.clone());
        host.spawn_detached(async move {
            let _ = sender.send(serve_connection(accepted, &runtime, &limits, handler, pending()).await);
        });
        let answer = client(host.clone(), connection).await;
        let deadline = host.now() + Duration::from_secs(5);
        let outcome = timeout_at(&host, deadline, receiver).await.expect("the server ends").unwrap();
        (answer, outcome)
    });
    outcomes.unwrap().remove(0)
}

/// Sends `request` and reads until the server closes.
fn exchange(request: impl AsRef<[u8]> + Send + Sync) -> (String, Outcome) {
    let request = &request;
    with(quick(), |_, mut connection| async move {
        // A server that has refused may close before it has read all.
        let _ = connection.write_all(request.as_ref()).await;
        read_all(&mut connection).await
    })
}

async fn read_all(connection: &mut KernelConnection) -> String {
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn refusal(outcome: Outcome) -> Option<Problem> {
    match outcome {
        Err(Error::Refused(problem)) => Some(problem),
        _ => None,
    }
}

#[test]
fn malformed_requests_get_their_status_and_reason() {
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000));
    let long_field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let many_fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(64));
    let flood = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(100_000));
    let table: &[(&str, u16, Problem)] = &[
        ("nonsense\r\n\r\n", 400, Problem::RequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Problem::RequestLine),
        ("G\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Problem::RequestLine),
        ("GET / FTP/1.1\r\nHost: a\r\n\r\n", 400, Problem::RequestLine),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}", 400, Problem::RequestLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, Problem::Version),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, Problem::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Problem::Version),
        ("GET / HTTP/1.1\r\n\r\n", 400, Problem::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, Problem::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, Problem::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, Problem::HeaderField),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400, Problem::HeaderField),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", 400, Problem::HeaderField),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\na", 400, Problem::Framing),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", 400, Problem::Framing),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
            Problem::Framing,
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, Problem::Framing),
        ("POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, Problem::Framing),
        (&long_line, 414, Problem::TargetTooLong),
        (&long_field, 431, Problem::HeadTooLarge),
        (&many_fields, 431, Problem::TooManyFields),
        (&flood, 431, Problem::TooManyFields),
    ];
    for (request, status, problem) in table {
        let shown = &request[..request.len().min(70)];
        let (answer, outcome) = exchange(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?} -> {answer:?}");
        assert!(answer.contains("\r\ndate: ") && answer.contains("\r\nconnection: close\r\n"), "{answer:?}");
        assert!(answer.ends_with(&format!("\r\n\r\n{problem}\n")), "{shown:?} -> {answer:?}");
        assert_eq!(refusal(outcome), Some(*problem), "{shown:?}");
    }
}

#[test]
fn a_refusal_follows_the_answers_before_it() {
    let (answer, outcome) = exchange("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("hello"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert_eq!(refusal(outcome), Some(Problem::RequestLine));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let head = "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let last = "GET /missing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (answer, outcome) = exchange(format!("{head}{post}{last}"));
    let answers: Vec<_> = answer.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 3, "{answer}");
    assert!(answers[0].contains("content-length: 5\r\n") && answers[0].ends_with("\r\n\r\n"), "{answer}");
    assert!(answers[1].ends_with("\r\n\r\nabc"), "{answer}");
    assert!(answers[2].starts_with("404 "), "{answer}");
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn a_slow_head_gets_408_and_an_idle_connection_nothing() {
    let (answer, outcome) = exchange("GET / HTTP/1.1\r\nHos");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(refusal(outcome), Some(Problem::HeadTimeout));

    let (answer, outcome) = exchange("");
    assert_eq!(answer, "");
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");

    let (answer, outcome) = exchange("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn trickling_does_not_buy_time() {
    let (taken, outcome) = with(quick(), |host, mut connection| async move {
        let start = host.now();
        // A field of which there is always more.
        connection.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
        while host::Connection::try_read(&mut connection, &mut [0; 12]).is_err() {
            let _ = connection.write_all(b"y").await;
            sleep(&host, Duration::from_millis(20)).await;
        }
        host.now().since(start)
    });
    assert!(taken < Duration::from_secs(2), "{taken:?}");
    assert_eq!(refusal(outcome), Some(Problem::HeadTimeout));
}

#[test]
fn bodies_are_bounded_in_size_and_time() {
    let (answer, _) = exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"), "{answer}");
    let chunk = "100\r\n".to_owned() + &"x".repeat(256) + "\r\n";
    let (answer, _) = exchange(format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(40)
    ));
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"), "{answer}");
    let (answer, _) =
        exchange("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (answer, outcome) = exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(refusal(outcome), Some(Problem::BodyTimeout));
    let (answer, outcome) = exchange("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(refusal(outcome), Some(Problem::HandlerTimeout));
}

#[test]
fn the_answer_to_an_upload_that_nobody_reads_still_arrives() {
    let request =
        format!("POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n{}", "x".repeat(700_000));
    let (answer, outcome) = exchange(request);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("did not look"), "{answer}");
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn expectations_are_met_only_when_the_body_is_wanted() {
    let (answer, _) = with(quick(), |_, mut connection| async move {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        connection.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        connection.write_all(b"abc").await.unwrap();
        read_all(&mut connection).await
    });
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("abc"), "{answer}");
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n";
    let (answer, _) = exchange(head);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_peer_that_does_not_read_is_thrown_away() {
    let (_, outcome) = with(quick(), |host, mut connection| async move {
        connection.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        sleep(&host, Duration::from_millis(1_000)).await;
    });
    assert!(matches!(outcome, Err(Error::Stalled)), "{outcome:?}");
}

#[test]
fn a_peer_that_closes_in_the_middle_is_told_apart() {
    let (_, outcome) = with(quick(), |_, mut connection| async move {
        connection.write_all(b"GET / HT").await.unwrap();
    });
    assert!(matches!(outcome, Err(Error::Incomplete)), "{outcome:?}");
    let (_, outcome) = with(quick(), |_, connection| async move { drop(connection) });
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn one_who_ends_sending_still_gets_the_answer() {
    let (answer, outcome) = with(quick(), |_, mut connection| async move {
        connection.write_all(b"GET /hello HTTP/1.0\r\n\r\n").await.unwrap();
        connection.shutdown().await.unwrap();
        read_all(&mut connection).await
    });
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("hello"), "{answer}");
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn an_upgraded_connection_comes_back_with_what_was_read_too_far() {
    let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nHEY";
    let (_, outcome) = with(quick(), |_, mut connection| async move {
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 34];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101 Switching Protocols\r\n");
    });
    let upgraded = outcome.unwrap().expect("upgraded");
    assert_eq!((upgraded.already_read.as_ref(), upgraded.then), (b"HEY".as_slice(), "shout"));

    let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: shout\r\nContent-Length: 3\r\n\r\n";
    let (answer, outcome) = exchange(head);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(refusal(outcome), Some(Problem::Framing));
}

#[test]
fn the_client_asks_again_and_again_on_one_connection() {
    let (_, outcome) = with(quick(), |_, connection| async move {
        let mut client = client::Client::new(connection).await.unwrap();
        for body in ["", "abc", "abcdef"] {
            let request = Request::post("http://user@host:80/echo").body(Bytes::from(body)).unwrap();
            let response = client.send(request, 1000).await.unwrap();
            assert_eq!((response.status(), response.body().as_ref()), (StatusCode::OK, body.as_bytes()));
            assert!(response.headers().contains_key("date"));
        }
        let request = Request::get("/hello").header("host", "a").body(Bytes::new()).unwrap();
        let error = client.send(request, 4).await.unwrap_err();
        assert!(matches!(error, client::Error::TooLarge { limit: 4 }), "{error}");
    });
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn the_client_does_not_wait_for_ever() {
    let (_, outcome) = with(quick(), |host, connection| async move {
        let deadline = host.now() + Duration::from_millis(50);
        let request = Request::get("http://a/never").body(Bytes::new()).unwrap();
        let error = client::send(connection, &host, deadline, request, 10).await.unwrap_err();
        assert!(matches!(error, client::Error::Late), "{error}");
    });
    assert_eq!(refusal(outcome), Some(Problem::HandlerTimeout));
}
