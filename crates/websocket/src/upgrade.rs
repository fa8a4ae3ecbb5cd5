//! The WebSocket of a request that an HTTP server has read: hyper, and axum on top of it.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use kernel::KernelHost;

use crate::deflate::Agreed;
use crate::handshake::server::{Options, Rejected, respond};
use crate::stream::Io;
use crate::{Limits, Role, WebSocket};

/// A WebSocket over a connection that was hyper's.
pub type UpgradedSocket = WebSocket<Io<TokioIo<Upgraded>>, KernelHost>;

/// Checks a client's opening handshake (RFC 6455, section 4.2). What is returned are the response to send, with status
/// 101, and the promise of a WebSocket, which is kept once that was sent.
///
/// ```
/// use http::{Request, Response};
/// use hyper::body::Incoming;
/// use websocket::handshake::server::{Options, Rejected};
/// use websocket::Limits;
///
/// async fn handle(mut request: Request<Incoming>) -> Response<String> {
///     match websocket::upgrade::upgrade(&mut request, &Options::default()) {
///         Ok((response, upgrade)) => {
///             tokio::spawn(async move {
///                 let Ok(mut socket) = upgrade.websocket(Limits::default()).await else { return };
///                 while let Ok(Some(message)) = socket.next().await {
///                     if socket.send(message).await.is_err() {
///                         break;
///                     }
///                 }
///             });
///             response.map(|()| String::new())
///         }
///         Err(rejected) => rejected.response(),
///     }
/// }
/// ```
///
/// # Errors
///
/// [`Rejected`], which knows the response that goes with it.
pub fn upgrade<B>(
    request: &mut http::Request<B>,
    options: &Options,
) -> Result<(http::Response<()>, Upgrade), Rejected> {
    let accepted = respond(request, options)?;
    let upgrade = Upgrade {
        connection: hyper::upgrade::on(request),
        subprotocol: accepted.subprotocol,
        deflate: accepted.deflate,
    };
    Ok((accepted.response, upgrade))
}

/// The promise of a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    connection: OnUpgrade,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<String>,
    /// The compression that was chosen.
    pub deflate: Option<Agreed>,
}

impl Upgrade {
    /// Waits until the response was sent. To be called in a task of its own, inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the connection ended before, or the server does not serve upgrades (`serve_connection(..).with_upgrades()`).
    pub async fn websocket(self, limits: impl Into<Arc<Limits>>) -> Result<UpgradedSocket, hyper::Error> {
        let connection = Io::new(TokioIo::new(self.connection.await?));
        let runtime = KernelHost::current();
        Ok(WebSocket::new(connection, runtime, Role::Server, limits, self.deflate, Bytes::new()))
    }
}

/// An extractor for axum.
///
/// ```
/// use axum::Router;
/// use axum::response::Response;
/// use axum::routing::any;
/// use websocket::upgrade::WebSocketUpgrade;
///
/// async fn talk(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(|mut socket| async move {
///         while let Ok(Some(message)) = socket.next().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// let app: Router = Router::new().route("/talk", any(talk));
/// ```
#[cfg(feature = "axum")]
#[derive(Debug)]
#[must_use = "an upgrade that is not answered is none"]
pub struct WebSocketUpgrade {
    request: http::Request<()>,
    /// What is accepted; to be changed before [`on_upgrade`](Self::on_upgrade).
    pub options: Options,
    /// The connection's limits.
    pub limits: Arc<Limits>,
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut request = http::Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        if let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() {
            request.extensions_mut().insert(upgrade);
        }
        Ok(Self { request, options: Options::default(), limits: Arc::default() })
    }
}

#[cfg(feature = "axum")]
impl WebSocketUpgrade {
    /// The response: 101, after which `talk` gets the WebSocket in a task of its own; or why the request does not become
    /// one.
    pub fn on_upgrade<F, T>(mut self, talk: F) -> axum_core::response::Response
    where
        F: FnOnce(UpgradedSocket) -> T + Send + 'static,
        T: Future<Output = ()> + Send,
    {
        use axum_core::body::Body;
        use host::Runtime;

        match upgrade(&mut self.request, &self.options) {
            Ok((response, upgrade)) => {
                KernelHost::current().spawn_detached(async move {
                    // A client that is gone by now is nobody's error.
                    if let Ok(socket) = upgrade.websocket(self.limits).await {
                        talk(socket).await;
                    }
                });
                response.map(|()| Body::empty())
            }
            Err(rejected) => rejected.response().map(Body::from),
        }
    }
}
