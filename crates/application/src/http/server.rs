//! The server's side of one connection.

mod progress;
mod watched;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use host::{Connection, Runtime, Timer, timeout_at};
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HOST};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Version};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::progress::{Phase, Progress};
use self::watched::{Outgoing, Watched};
use super::{Body, Problem, RequestBody, date};

/// What one connection may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head: request line and header fields. More is answered with 431 (or 414).
    pub head_bytes: usize,
    /// Header fields of a request. More is answered with 431.
    pub head_fields: usize,
    /// From the first byte of a head (or from the start of the connection) to its last. Then 408.
    pub head_time: Duration,
    /// How long a connection may wait between two requests. Then it is closed.
    pub idle_time: Duration,
    /// From the end of the head to the handler's answer, the reading of the body included. Then 408 or 503.
    pub request_time: Duration,
    /// How long the peer may leave us with bytes that it does not take. Then the connection is thrown away.
    pub stall_time: Duration,
    /// How long we wait, after our last answer, for the peer to close as well.
    pub linger_time: Duration,
    /// How many bytes we read and throw away meanwhile.
    pub linger_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            head_fields: 64,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            request_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
            linger_time: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
        }
    }
}

/// What a handler makes of a request. `U` is whatever it wants to find again beside the upgraded connection.
pub enum Answer<U = Infallible> {
    /// An ordinary response.
    Response(Response<Body>),
    /// From here on the connection speaks another protocol.
    Upgrade {
        /// 101, with the fields of the new protocol's handshake.
        response: Response<()>,
        /// Comes back in [`Upgraded::then`].
        then: U,
    },
}

impl<U> From<Response<Body>> for Answer<U> {
    fn from(response: Response<Body>) -> Self {
        Self::Response(response)
    }
}

/// A connection that HTTP is done with.
#[derive(Debug)]
pub struct Upgraded<C, U> {
    /// Bare: nothing of HTTP hangs on it any more.
    pub connection: C,
    /// Bytes that came behind the request's head, and belong to the new protocol.
    pub already_read: Bytes,
    /// What the handler gave along.
    pub then: U,
}

/// Why a connection ended, other than in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request was refused by the protocol itself (and answered so, where the peer could still hear it).
    #[error("a request was refused with {status}: {0}", status = .0.status())]
    Refused(Problem),
    /// The peer took none of our bytes for [`Limits::stall_time`].
    #[error("the peer does not read: none of the response was taken for too long")]
    Stalled,
    /// The peer closed in the middle of a message.
    #[error("the peer closed in the middle of a message")]
    Incomplete,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Lost(#[source] io::Error),
    /// What hyper alone knows.
    #[error("HTTP failed: {0}")]
    Protocol(#[source] hyper::Error),
}

impl Error {
    /// A word for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(problem) => problem.label(),
            Self::Stalled => "stalled",
            Self::Incomplete => "incomplete",
            Self::Lost(_) => "lost",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// Serves the requests of `connection`, one after the other, until it ends or one of them upgrades it. Once `stop` is
/// ready, the request under way is still answered, and then the connection is closed.
///
/// What the handler answers gets a `Date`. The handler need not check `Host` for presence and form, nor keep the time
/// of the request: see [`Problem`].
///
/// # Errors
///
/// [`Error`] when the connection did not end in order. There is nothing left to do then but to count it.
pub async fn serve_connection<C, R, H, F, U>(
    connection: C,
    runtime: &R,
    limits: &Limits,
    handler: H,
    stop: impl Future<Output = ()>,
) -> Result<Option<Upgraded<C, U>>, Error>
where
    C: Connection,
    R: Runtime,
    H: Fn(Request<RequestBody>) -> F,
    F: Future<Output = Answer<U>> + Send + 'static,
    U: Send + 'static,
{
    let progress = Arc::new(Progress::default());
    let upgrade = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        progress.enter(Phase::Busy);
        let unread = Arc::new(AtomicBool::new(false));
        let request = request.map(|incoming| RequestBody::new(incoming, unread.clone()));
        let answer = match check_host(&request) {
            Ok(()) => Ok(handler(request)),
            Err(problem) => Err(problem),
        };
        let exchange = Exchange {
            progress: progress.clone(),
            upgrade: upgrade.clone(),
            unread,
            runtime: runtime.clone(),
            request_time: limits.request_time,
        };
        Box::pin(exchange.answer(answer)) as Pin<Box<dyn Future<Output = _> + Send>>
    });
    let watched = Watched::new(connection, runtime.clone(), limits.stall_time, progress.clone());
    let mut http = http1::Builder::new()
        .auto_date_header(false)
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(limits.head_fields)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(64 * 1024))
        .serve_connection(watched, service);

    let mut stop = pin!(stop);
    let mut stopping = false;
    let mut timer = runtime.timer();
    let mut seen = None;
    let ended = poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            Pin::new(&mut http).graceful_shutdown();
        }
        if let Poll::Ready(result) = http.poll_without_shutdown(context) {
            return Poll::Ready(Some(result));
        }
        let (phase, change) = progress.look();
        if seen.replace(change) != Some(change) {
            let patience = match phase {
                Phase::Head => Some(limits.head_time),
                Phase::Idle => Some(limits.idle_time),
                Phase::Busy | Phase::Ending => None,
            };
            timer.set(patience.map(|patience| runtime.now() + patience));
        }
        timer.poll_expired(context).map(|()| None)
    })
    .await;

    let parts = http.into_parts();
    let swallowed = parts.io.swallowed();
    let mut connection = parts.io.into_inner();
    let problem = match ended {
        Some(Ok(())) => {
            if let Some(then) = lock(&upgrade).take() {
                return Ok(Some(Upgraded { connection, already_read: parts.read_buf, then }));
            }
            progress.problem()
        }
        Some(Err(_)) if progress.is_stalled() => {
            connection.abort();
            return Err(Error::Stalled);
        }
        Some(Err(error)) if error.is_parse() => {
            let problem = Problem::of_head(&error, &parts.read_buf, limits.head_fields, limits.head_bytes);
            if swallowed || error.is_parse_version_h2() {
                write_refusal(&mut connection, runtime, limits, problem).await;
            }
            Some(problem)
        }
        Some(Err(error)) => return Err(from_hyper(error)),
        None if parts.read_buf.is_empty() => None,
        None => {
            write_refusal(&mut connection, runtime, limits, Problem::HeadTimeout).await;
            Some(Problem::HeadTimeout)
        }
    };
    linger(connection, runtime, limits).await;
    problem.map_or(Ok(None), |problem| Err(Error::Refused(problem)))
}

/// One request on its way through the handler.
struct Exchange<R, U> {
    progress: Arc<Progress>,
    upgrade: Arc<Mutex<Option<U>>>,
    unread: Arc<AtomicBool>,
    runtime: R,
    request_time: Duration,
}

impl<R: Runtime, U> Exchange<R, U> {
    async fn answer(
        self,
        answer: Result<impl Future<Output = Answer<U>>, Problem>,
    ) -> Result<Response<Outgoing>, Infallible> {
        let deadline = self.runtime.now() + self.request_time;
        let answer = match answer {
            Ok(answer) => timeout_at(&self.runtime, deadline, answer).await.map_err(|_| self.late()),
            Err(problem) => Err(problem),
        };
        let mut response = match answer {
            Ok(Answer::Response(response)) => response,
            // The new protocol's bytes would be taken for the body.
            Ok(Answer::Upgrade { .. }) if self.is_unread() => self.refuse(Problem::Framing),
            Ok(Answer::Upgrade { response, then }) => {
                *lock(&self.upgrade) = Some(then);
                response.map(|()| Body::empty())
            }
            Err(problem) => self.refuse(problem),
        };
        let headers = response.headers_mut();
        headers.entry(DATE).or_insert_with(|| date(self.runtime.wall_clock()));
        if self.is_unread() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Outgoing::new(body, self.progress)))
    }

    fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    fn late(&self) -> Problem {
        if self.is_unread() { Problem::BodyTimeout } else { Problem::HandlerTimeout }
    }

    fn refuse(&self, problem: Problem) -> Response<Body> {
        self.progress.set_problem(problem);
        let mut response = Response::new(Body::whole(format!("{problem}\n")));
        *response.status_mut() = problem.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// RFC 9112 section 3.2: exactly one `Host` in HTTP/1.1, at most one before, and of the right form.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (Some(host), None) if host.is_empty() || Authority::try_from(host.as_bytes()).is_ok() => Ok(()),
        _ => Err(Problem::Host),
    }
}

/// Answers in hyper's place.
async fn write_refusal<C: Connection, R: Runtime>(
    connection: &mut C,
    runtime: &R,
    limits: &Limits,
    problem: Problem,
) {
    let status = problem.status();
    let text = format!("{problem}\n");
    let answer = format!(
        "HTTP/1.1 {} {}\r\ndate: {}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\n\r\n{text}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        date(runtime.wall_clock()).to_str().unwrap_or_default(),
        text.len(),
    );
    // Whoever does not take even this much has lost the right to an answer.
    let deadline = runtime.now() + limits.stall_time;
    let _ = timeout_at(runtime, deadline, connection.write_all(answer.as_bytes())).await;
}

/// Ends our direction and waits a moment for the peer to end its own, so that no reset overtakes the last answer
/// (RFC 9112 section 9.6).
async fn linger<C: Connection, R: Runtime>(mut connection: C, runtime: &R, limits: &Limits) {
    let drain = async {
        connection.shutdown().await?;
        let mut thrown_away = 0;
        let mut chunk = [0; 4096];
        while thrown_away < limits.linger_bytes {
            match connection.read(&mut chunk).await? {
                0 => break,
                count => thrown_away += count,
            }
        }
        Ok::<_, io::Error>(())
    };
    let _ = timeout_at(runtime, runtime.now() + limits.linger_time, drain).await;
}

fn from_hyper(error: hyper::Error) -> Error {
    if error.is_incomplete_message() {
        return Error::Incomplete;
    }
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    match source {
        Some(source) => Error::Lost(io::Error::new(source.kind(), source.to_string())),
        None => Error::Protocol(error),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
