//! What HTTP says: who answers, and what time it is there.

use std::time::{Duration, UNIX_EPOCH};

use application::http::client;
use bytes::Bytes;
use host::{Runtime, WallTime};
use http::header::{DATE, HeaderMap, HeaderName, SERVER, VIA};
use http::{Request, Response, Uri};

use super::finding::{Report, milliseconds};
use super::{Patient, reach};

/// Clocks that are further apart make tokens valid too late or too long.
const SKEW: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// Headers by which proxies betray themselves.
const BETRAYERS: [HeaderName; 6] = [
    VIA,
    SERVER,
    HeaderName::from_static("cf-ray"),
    HeaderName::from_static("x-amz-cf-id"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-served-by"),
];

/// Whether somebody speaks HTTP there.
pub(super) async fn examine(patient: &Patient<'_>, report: &mut Report) -> bool {
    let asked = patient.host.wall_clock();
    let began = patient.host.now();
    let response = match health(patient).await {
        Ok(response) => response,
        Err(error) => {
            let remedy =
                "whoever listens there speaks no HTTP, or TLS where none is expected (ws:// or wss://?)";
            report.ill("http", error, remedy);
            return false;
        }
    };
    let took = patient.host.now().since(began);
    let status = response.status();
    let found =
        format!("/health answered {status} in {}{}", milliseconds(took), betrayed(response.headers()));
    match status.as_u16() {
        200 => report.well("http", found),
        404 => {
            report.doubtful("http", found, "is it a Fourwire server, and does the proxy pass /health to it?");
        }
        502..=504 => {
            report.ill(
                "http",
                found,
                "a proxy answers, and cannot reach the server: is it running, at the port the proxy has?",
            );
        }
        _ => report.doubtful("http", found, "look at the server's log"),
    }
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    if let Some(theirs) = date.and_then(parse) {
        clock(report, asked, took, theirs);
    }
    true
}

async fn health(patient: &Patient<'_>) -> Result<Response<Bytes>, String> {
    let way = reach::open(patient).await?;
    let url = &patient.url;
    let scheme = if url.secure { "https" } else { "http" };
    let uri: Uri =
        format!("{scheme}://{}/health", url.authority()).parse().map_err(|error| format!("{error}"))?;
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = uri;
    let response = client::send(way, patient.host, patient.deadline(), request, LIMIT).await;
    response.map_err(|error| error.to_string())
}

fn betrayed(headers: &HeaderMap) -> String {
    let said: Vec<String> = BETRAYERS
        .iter()
        .filter_map(|name| Some(format!("{name}: {}", headers.get(name)?.to_str().ok()?)))
        .collect();
    if said.is_empty() { String::new() } else { format!(", with {}", said.join(", ")) }
}

fn parse(date: &str) -> Option<WallTime> {
    let since = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(WallTime::from_unix_millis(since.as_millis().try_into().ok()?))
}

/// The header says whole seconds, cut off, and was written at some time between question and answer.
fn clock(report: &mut Report, asked: WallTime, took: Duration, theirs: WallTime) {
    let second = Duration::from_secs(1);
    let ahead = theirs.since(asked).saturating_sub(took);
    let behind = asked.since(theirs).saturating_sub(second);
    let remedy = "set both by NTP: tokens carry times, and each is judged by the server's clock";
    match (ahead, behind) {
        (ahead, _) if ahead > SKEW => {
            report.doubtful(
                "clock",
                format_args!("the server's is {} s ahead of ours", ahead.as_secs()),
                remedy,
            );
        }
        (_, behind) if behind > SKEW => {
            report.doubtful(
                "clock",
                format_args!("the server's is {} s behind ours", behind.as_secs()),
                remedy,
            );
        }
        _ => report.well("clock", "the server's and ours agree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_known_by_their_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(betrayed(&headers), "");
        headers.insert(VIA, "1.1 varnish".parse().unwrap());
        headers.insert(SERVER, "nginx/1.22.1".parse().unwrap());
        assert_eq!(betrayed(&headers), ", with via: 1.1 varnish, server: nginx/1.22.1");
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(WallTime::from_unix_millis(784_111_777_000)));
        assert_eq!(parse("yesterday"), None);
    }
}
