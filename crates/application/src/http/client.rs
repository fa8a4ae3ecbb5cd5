//! The client's side: requests over a connection that somebody has made.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use host::{Connection, Instant, Runtime, timeout_at};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Body as HttpBody;
use hyper::client::conn::http1::{self, SendRequest};

use super::io::Io;

/// A connection to a server, kept open from one request to the next.
pub struct Client<C: Connection> {
    sender: SendRequest<Full<Bytes>>,
    connection: http1::Connection<Io<C>, Full<Bytes>>,
}

impl<C: Connection> Client<C> {
    /// Speaks HTTP/1.1 on `connection` from now on.
    ///
    /// # Errors
    ///
    /// None in practice: nothing is sent yet.
    pub async fn new(connection: C) -> Result<Self, Error> {
        let (sender, connection) = http1::handshake(Io(connection)).await?;
        Ok(Self { sender, connection })
    }

    /// Sends `request` and reads the whole response, whose body may have `limit` bytes.
    ///
    /// `Host` is taken from the request's address when it is not among the fields. Dropping the future leaves the
    /// connection in the middle of an exchange: drop the client as well then.
    ///
    /// # Errors
    ///
    /// [`Error`]; the connection is of no more use then.
    pub async fn send(&mut self, request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, Error> {
        let request = in_origin_form(request)?;
        let Self { sender, connection } = self;
        let mut exchange = pin!(async {
            sender.ready().await?;
            let (head, mut body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            let mut whole = BytesMut::new();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                let Ok(data) = frame?.into_data() else { continue };
                if whole.len() + data.len() > limit {
                    return Err(Error::TooLarge { limit });
                }
                whole.extend_from_slice(&data);
            }
            Ok(Response::from_parts(head, whole.freeze()))
        });
        let mut over = false;
        poll_fn(|context| {
            if let Poll::Ready(outcome) = exchange.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            if over {
                return Poll::Pending;
            }
            match Pin::new(&mut *connection).poll(context) {
                Poll::Ready(outcome) => {
                    over = true;
                    // The exchange may have its answer already, even if the connection failed behind it.
                    match (exchange.as_mut().poll(context), outcome) {
                        (Poll::Ready(outcome), _) => Poll::Ready(outcome),
                        (Poll::Pending, Err(error)) => Poll::Ready(Err(error.into())),
                        (Poll::Pending, Ok(())) => Poll::Ready(Err(Error::Closed)),
                    }
                }
                Poll::Pending => exchange.as_mut().poll(context),
            }
        })
        .await
    }
}

/// One request on a connection of its own, answered before `deadline`.
///
/// # Errors
///
/// As [`Client::send`], and [`Error::Late`].
pub async fn send<C: Connection, R: Runtime>(
    connection: C,
    runtime: &R,
    deadline: Instant,
    request: Request<Bytes>,
    limit: usize,
) -> Result<Response<Bytes>, Error> {
    let exchange = async { Client::new(connection).await?.send(request, limit).await };
    timeout_at(runtime, deadline, exchange).await.unwrap_or(Err(Error::Late))
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request says nowhere whom it is for.
    #[error("the request has neither a Host field nor a host in its address: add one")]
    NoHost,
    /// The response's body is too long.
    #[error("the response is longer than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The server closed before it answered.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The deadline passed.
    #[error("the server did not answer in time")]
    Late,
    /// The connection failed, or the response is not HTTP/1.
    #[error("the exchange failed: {0}")]
    Failed(#[from] hyper::Error),
}

/// `http://host/path` becomes `/path` with `Host: host` (RFC 9112 section 3.2.1).
fn in_origin_form(mut request: Request<Bytes>) -> Result<Request<Bytes>, Error> {
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().ok_or(Error::NoHost)?;
        // Never user:password@.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::try_from(host).map_err(|_| Error::NoHost)?;
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Ok(request)
}
