//! What the WebSocket does: whether it opens, whether the server takes us, how long the way is, and whether silence is
//! cut.

use std::time::Duration;

use client::{DialError, Socket};
use host::{Runtime, timeout_at};
use http::StatusCode;
use kernel::KernelHost;
use serde::Deserialize;
use websocket::handshake;
use websocket::{CloseCode, End, Limits};

use super::Patient;
use super::finding::{Report, milliseconds};

/// Round trips that are measured.
const ROUND_TRIPS: usize = 5;

/// What nginx needs to pass WebSocket on; other proxies need the same in their own words.
const UPGRADE: &str = "a proxy does not pass the upgrade on; nginx needs in its location:\n\
                       proxy_http_version 1.1;\n\
                       proxy_set_header Upgrade $http_upgrade;\n\
                       proxy_set_header Connection upgrade;";

/// A reply of the server, as far as it matters here.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Reply {
    connect: Option<Connected>,
    error: Option<Refusal>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Connected {
    /// Between the server's pings, in seconds.
    ping: u64,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u32,
    message: String,
}

pub(super) async fn examine(patient: &Patient<'_>, report: &mut Report) {
    let Some(mut socket) = upgrade(patient, report).await else { return };
    let Some(ping) = enter(patient, report, &mut socket).await else { return };
    round_trips(patient, report, &mut socket).await;
    silence(patient, report, &mut socket, ping).await;
    socket.close(CloseCode::NORMAL, "").await;
}

async fn upgrade(patient: &Patient<'_>, report: &mut Report) -> Option<Socket<KernelHost>> {
    let began = patient.host.now();
    // Pings of our own would break the silence that is to be watched.
    let limits = Limits { keepalive: None, ..Limits::default() };
    match patient.dialer.dial(patient.host, &patient.url, limits).await {
        Ok(dialed) => {
            let took = milliseconds(patient.host.now().since(began));
            let led = if dialed.url == patient.url { String::new() } else { format!(", at {}", dialed.url) };
            report.well("upgrade", format_args!("a WebSocket in {took}{led}"));
            Some(dialed.socket)
        }
        Err(error) => {
            report.ill("upgrade", &error, refused(&error));
            None
        }
    }
}

/// What to do about it.
fn refused(error: &DialError) -> &'static str {
    match error {
        DialError::Handshake(_, handshake::Error::Status(answer)) => match answer.status() {
            StatusCode::UNAUTHORIZED => "somebody on the way wants to know who we are before the server does",
            StatusCode::FORBIDDEN => {
                "the server refuses the page that the clients come from: --origin here, and allow it there"
            }
            StatusCode::NOT_FOUND => "is the path right? Fourwire's is /connection/websocket",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                "the server has as many connections as it may, or is about to stop"
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                "a proxy answers, and cannot reach the server: is it running, at the port the proxy has?"
            }
            _ => UPGRADE,
        },
        DialError::Handshake(_, handshake::Error::Answer(_)) => UPGRADE,
        _ => "it answered a moment ago: is something on the way overloaded?",
    }
}

/// Says who we are, as every client does; the seconds between the server's pings.
async fn enter(patient: &Patient<'_>, report: &mut Report, socket: &mut Socket<KernelHost>) -> Option<u64> {
    let began = patient.host.now();
    let command = connect_command(patient.args.token.as_deref());
    let exchange = async {
        socket.send(command.as_str()).await?;
        socket.next().await
    };
    let answer = timeout_at(patient.host, patient.deadline(), exchange).await;
    let took = milliseconds(patient.host.now().since(began));
    let closed = match answer {
        Ok(Ok(Some(message))) => {
            let text = message.as_text().unwrap_or_default();
            return match serde_json::from_str(text.lines().next().unwrap_or_default()) {
                Ok(Reply { connect: Some(connected), .. }) => {
                    let every = connected.ping;
                    let pings =
                        if every == 0 { "without pings".into() } else { format!("a ping every {every} s") };
                    report.well("connect", format_args!("the server took us in {took}; {pings}"));
                    Some(every)
                }
                Ok(Reply { error: Some(Refusal { code, message }), .. }) => {
                    let remedy = "give a token with --token, or a better one";
                    report.ill("connect", format_args!("the server says {message} ({code})"), remedy);
                    None
                }
                _ => {
                    let remedy =
                        "is this a Fourwire server? It should speak the Centrifuge protocol at this path";
                    report.ill("connect", "the server's answer is not one", remedy);
                    None
                }
            };
        }
        Ok(Ok(None)) => socket.end().cloned(),
        Ok(Err(end)) => Some(end),
        Err(_) => None,
    };
    match closed {
        Some(end) => {
            report.ill(
                "connect",
                &end,
                "a token that is not good is closed with 3500: give another with --token",
            );
        }
        None => {
            let remedy = "the WebSocket opened, and nothing comes through it: a proxy holds back what should pass at once";
            report.ill("connect", "the server does not answer", remedy);
        }
    }
    None
}

fn connect_command(token: Option<&str>) -> String {
    let mut connect = serde_json::json!({ "name": "fourwire-doctor" });
    if let Some(token) = token {
        connect["token"] = token.into();
    }
    serde_json::json!({ "id": 1, "connect": connect }).to_string()
}

async fn round_trips(patient: &Patient<'_>, report: &mut Report, socket: &mut Socket<KernelHost>) {
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let before = socket.counters().received.wire_bytes;
        socket.ping(b"fourwire");
        let deadline = patient.deadline();
        // A pong is no message: look whether something came, now and then.
        while socket.counters().received.wire_bytes == before && patient.host.now() < deadline {
            let soon = patient.host.now() + Duration::from_millis(5);
            let _ = timeout_at(patient.host, soon, socket.next()).await;
        }
        times.extend(socket.counters().round_trip);
    }
    times.sort_unstable();
    let (Some(&least), Some(&median), Some(&most)) =
        (times.first(), times.get(times.len() / 2), times.last())
    else {
        let remedy = "somebody on the way does not pass WebSocket's own pings on";
        return report.doubtful("round trip", "no pong came back", remedy);
    };
    let [least, median, most] = [least, median, most].map(milliseconds);
    report.well("round trip", format_args!("{median}, between {least} and {most}"));
}

/// Says nothing until the server has broken the silence twice: whoever cuts what is silent for so long has done it then.
async fn silence(patient: &Patient<'_>, report: &mut Report, socket: &mut Socket<KernelHost>, ping: u64) {
    let hold = Duration::from_secs(patient.args.hold.into());
    if hold.is_zero() {
        return;
    }
    let waiting = Waiting::begin(hold);
    let until = patient.host.now() + hold;
    let mut spoken = patient.host.now();
    let mut pings = 0;
    while pings < 2 {
        let tick = (patient.host.now() + Duration::from_secs(1)).min(until);
        match timeout_at(patient.host, tick, socket.next()).await {
            Ok(Ok(Some(message))) => {
                spoken = patient.host.now();
                if message.as_text() == Some("{}") {
                    pings += 1;
                    let _ = socket.send("{}").await;
                }
            }
            Ok(ended) => {
                waiting.end();
                let end = ended.err().or_else(|| socket.end().cloned());
                return cut(report, end.as_ref(), patient.host.now().since(spoken), ping);
            }
            Err(_) if patient.host.now() >= until => break,
            Err(_) => {}
        }
    }
    waiting.end();
    if pings == 2 {
        report.well("silence", format_args!("of {ping} s between the server's pings is not cut"));
    } else {
        report.well("silence", format_args!("of {} s is not cut", hold.as_secs()));
    }
}

fn cut(report: &mut Report, end: Option<&End>, silent: Duration, ping: u64) {
    let why = end.map_or_else(String::new, End::to_string);
    match end {
        Some(End::EndOfStream | End::Transport(_)) => {
            let found = format!("was cut after {} s: {why}", silent.as_secs());
            let remedy = format!(
                "a proxy's idle limit, most likely (nginx: proxy_read_timeout). Raise it above the {ping} s between the\n\
                 server's pings, or have the server ping more often"
            );
            report.ill("silence", found, &remedy);
        }
        _ => report.ill("silence", why, "the server let go of us; its log says more"),
    }
}

/// Tells a person who waits that something is going on.
struct Waiting(indicatif::ProgressBar);

impl Waiting {
    fn begin(hold: Duration) -> Self {
        let bar = indicatif::ProgressBar::new_spinner();
        bar.set_message(format!("silent, for at most {} s, to see whether it is cut", hold.as_secs()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    fn end(self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_who_we_are() {
        assert_eq!(connect_command(None), r#"{"connect":{"name":"fourwire-doctor"},"id":1}"#);
        assert!(connect_command(Some("a.b.c")).contains(r#""token":"a.b.c""#));
    }

    #[test]
    fn replies_are_read_as_far_as_they_matter() {
        let reply: Reply =
            serde_json::from_str(r#"{"id":1,"connect":{"client":"x","ping":25,"pong":true}}"#).unwrap();
        assert_eq!(reply.connect, Some(Connected { ping: 25 }));
        let reply: Reply =
            serde_json::from_str(r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#).unwrap();
        assert_eq!(reply.error.map(|refusal| refusal.code), Some(109));
    }
}
