//! What follows the head of a message.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// The body of a response.
pub struct Body(Inner);

enum Inner {
    Whole(Full<Bytes>),
    Stream(UnsyncBoxBody<Bytes, Infallible>),
    Live(UnsyncBoxBody<Bytes, Infallible>),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is in memory already.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Whole(Full::new(bytes.into())))
    }

    /// A body that comes bit by bit.
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self(Inner::Stream(UnsyncBoxBody::new(body)))
    }

    /// A body that goes on as long as the peer listens: a peer that ends its direction has gone, and the body is dropped
    /// then. (Of any other body the peer is told to the end.)
    pub fn live(body: impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self(Inner::Live(UnsyncBoxBody::new(body)))
    }

    /// Whether it ends with the peer's direction.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.0, Inner::Live(_))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Inner::Whole(body) => Pin::new(body).poll_frame(context),
            Inner::Stream(body) | Inner::Live(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(body) => body.is_end_stream(),
            Inner::Stream(body) | Inner::Live(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(body) => body.size_hint(),
            Inner::Stream(body) | Inner::Live(body) => body.size_hint(),
        }
    }
}

/// The body of a request, not read yet. What the handler does not read closes the connection after the response.
pub struct RequestBody {
    incoming: Incoming,
    /// Shared with the server: whether a part was not read yet.
    unread: Arc<AtomicBool>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, unread: Arc<AtomicBool>) -> Self {
        unread.store(!incoming.is_end_stream(), Ordering::Relaxed);
        Self { incoming, unread }
    }

    /// Reads the whole body, at most `limit` bytes. One that says beforehand that it is longer is not read at all.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLarge`] when it is longer than `limit`, [`BodyError::Broken`] when it ends early or its chunks
    /// are malformed.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        if self.size_hint().lower() > limit as u64 {
            return Err(BodyError::TooLarge { limit });
        }
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await
        {
            let Ok(data) = frame?.into_data() else { continue };
            if first.len() + whole.len() + data.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            // Most bodies come in one piece, which need not be copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.unread.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Why a request's body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the handler takes.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// It ended early, or its chunks are malformed.
    #[error("the body is incomplete or its chunks are malformed")]
    Broken(#[source] hyper::Error),
}

impl BodyError {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}
