//! Messages that are read and written in pieces, without ever being whole in memory.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use host::{Connection, Runtime};

use super::WebSocket;
use super::plain::Part;
use crate::{CloseCode, End, Kind, Refused};

impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// The next message, to be read in pieces as they come, of `most_bytes` at most: a longer one is refused with 1009 as
    /// soon as a header says so. `None` once the connection was closed by a close handshake.
    ///
    /// ```
    /// # async fn doc<C: host::Connection, R: host::Runtime>(
    /// #     mut socket: websocket::WebSocket<C, R>,
    /// #     mut store: impl FnMut(&[u8]),
    /// # ) -> Result<(), websocket::End> {
    /// // A message of up to a gigabyte, of which never more than some 64 KiB are in memory.
    /// if let Some(mut message) = socket.read(1 << 30).await? {
    ///     while let Some(piece) = message.next().await? {
    ///         store(&piece);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the connection ended otherwise.
    pub async fn read(&mut self, most_bytes: u64) -> Result<Option<Reading<'_, C, R>>, End> {
        let first = poll_fn(|context| self.poll_piece(context, most_bytes)).await?;
        Ok(first.map(|Part { kind, bytes, is_last }| Reading {
            socket: self,
            kind,
            most_bytes,
            first: Some(bytes),
            is_over: is_last,
        }))
    }

    /// Begins a message whose pieces follow. With `len`, its length in bytes, it is one frame; without, each piece is a
    /// frame, so that pings and pongs go between them. It is not compressed.
    ///
    /// ```
    /// # async fn doc<C: host::Connection, R: host::Runtime>(
    /// #     mut socket: websocket::WebSocket<C, R>,
    /// #     pieces: Vec<Vec<u8>>,
    /// # ) -> Result<(), websocket::stream::PieceError> {
    /// use websocket::Kind;
    ///
    /// let mut message = socket.write(Kind::Binary, None).await?;
    /// for piece in pieces {
    ///     message.send(piece).await?;
    /// }
    /// message.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is about to.
    pub async fn write(&mut self, kind: Kind, len: Option<u64>) -> Result<Writing<'_, C, R>, End> {
        poll_fn(|context| self.poll_room(context, 0)).await?;
        if self.outbox().begin(kind, len).is_err() {
            return Err(self.expected_end());
        }
        Ok(Writing { socket: self })
    }

    fn poll_piece(&mut self, context: &mut Context<'_>, most_bytes: u64) -> Poll<Result<Option<Part>, End>> {
        loop {
            if let Some(part) = self.received.next_part() {
                return Poll::Ready(Ok(Some(part)));
            }
            if let Some(end) = ready!(self.poll_collect(context, Some(most_bytes)))
                && self.received.is_empty()
            {
                return Poll::Ready(if end.is_clean() { Ok(None) } else { Err(end) });
            }
        }
    }
}

/// A message that is being read. When it is dropped before its end, the rest is skipped.
#[must_use = "what is not read is skipped"]
pub struct Reading<'a, C: Connection, R: Runtime> {
    socket: &'a mut WebSocket<C, R>,
    kind: Kind,
    most_bytes: u64,
    first: Option<Bytes>,
    is_over: bool,
}

impl<C: Connection, R: Runtime> Reading<'_, C, R> {
    /// What its bytes are. Text is valid as far as it has come, but a piece may end in the middle of a character.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next piece; `None` at the message's end. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Why the connection ended before the message did.
    pub async fn next(&mut self) -> Result<Option<Bytes>, End> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Ok(Some(first));
        }
        while !self.is_over {
            let next = poll_fn(|context| self.socket.poll_piece(context, self.most_bytes)).await?;
            let Some(Part { bytes: piece, is_last, .. }) = next else {
                return Err(self.socket.end().cloned().unwrap_or(End::EndOfStream));
            };
            self.is_over = is_last;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

impl<C: Connection, R: Runtime> Drop for Reading<'_, C, R> {
    fn drop(&mut self) {
        self.socket.received.skipping = !self.is_over;
    }
}

/// A message that is being written. When it is dropped before [`finish`](Self::finish), the connection is closed with
/// 1011, for what was sent cannot be taken back.
#[must_use = "a message that is not finished closes the connection"]
pub struct Writing<'a, C: Connection, R: Runtime> {
    socket: &'a mut WebSocket<C, R>,
}

/// Why a piece was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// The connection ended, or is about to.
    #[error(transparent)]
    Ended(#[from] End),
    /// The piece does not fit the length with which the message was begun.
    #[error(transparent)]
    Refused(Refused),
}

impl<C: Connection, R: Runtime> Writing<'_, C, R> {
    /// Sends the next piece: waits for room in the queue, and until the transport took it.
    ///
    /// # Errors
    ///
    /// As [`PieceError`] has it.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> Result<(), PieceError> {
        self.piece(piece.into(), false).await
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// As [`PieceError`] has it: also when bytes are missing of the announced length.
    pub async fn finish(mut self) -> Result<(), PieceError> {
        // One of announced length is finished with its last byte.
        if self.socket.outbox().is_in_pieces() {
            self.piece(Bytes::new(), true).await?;
        }
        Ok(())
    }

    async fn piece(&mut self, piece: Bytes, is_last: bool) -> Result<(), PieceError> {
        let len = piece.len();
        poll_fn(|context| {
            self.socket.poll_until(context, |socket| socket.outbox().check_piece(len, is_last))
        })
        .await?;
        self.socket.outbox().piece(piece, is_last).map_err(PieceError::Refused)?;
        Ok(self.socket.flush().await?)
    }
}

impl<C: Connection, R: Runtime> Drop for Writing<'_, C, R> {
    fn drop(&mut self) {
        if self.socket.outbox().is_in_pieces() {
            self.socket.start_close(CloseCode::INTERNAL_ERROR, "a message was begun and not finished");
        }
    }
}
