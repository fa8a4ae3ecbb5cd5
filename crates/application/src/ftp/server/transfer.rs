//! The bytes of one transfer, over its data connection.

use bytes::{Bytes, BytesMut};
use host::{Connection, Runtime, WallTime, timeout_at};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Limits;
use super::effect::{Form, Outcome};
use super::files::{FileError, Source, Target};
use crate::ftp::listing::Entry;

/// What goes to the client.
pub(super) enum Outgoing<S> {
    Listing(Bytes),
    File(S),
}

impl<S: Source> Outgoing<S> {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Listing(text) => text.len() as u64,
            Self::File(source) => source.left(),
        }
    }

    async fn next(&mut self, limit: usize) -> Result<Bytes, FileError> {
        match self {
            Self::Listing(text) => Ok(text.split_to(limit.min(text.len()))),
            Self::File(source) => source.read(limit).await,
        }
    }
}

/// The text of a listing.
pub(super) fn listing(entries: &[Entry], form: Form, now: WallTime) -> Bytes {
    let mut text = String::new();
    for entry in entries {
        text += &match form {
            Form::List => entry.list_line(now),
            Form::Facts => entry.facts() + &entry.name,
            Form::Names | Form::Retrieve(_) | Form::Store(_) => entry.name.clone(),
        };
        text += "\r\n";
    }
    text.into()
}

/// Sends all of `outgoing`.
pub(super) async fn send<C: Connection, R: Runtime, S: Source>(
    mut connection: C,
    runtime: &R,
    limits: &Limits,
    mut outgoing: Outgoing<S>,
) -> Outcome {
    loop {
        let chunk = match outgoing.next(limits.chunk_bytes).await {
            Ok(chunk) => chunk,
            Err(error) => {
                // The end of the connection would say that this was the whole file.
                connection.abort();
                return Outcome::Failed(error);
            }
        };
        let deadline = runtime.now() + limits.stall_time;
        let sent = timeout_at(runtime, deadline, async {
            if chunk.is_empty() { connection.shutdown().await } else { connection.write_all(&chunk).await }
        });
        match sent.await {
            Ok(Ok(())) if chunk.is_empty() => return Outcome::Done,
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                connection.abort();
                return Outcome::Lost;
            }
        }
    }
}

/// Receives until the client ends the connection.
pub(super) async fn receive<C: Connection, R: Runtime, T: Target>(
    mut connection: C,
    runtime: &R,
    limits: &Limits,
    target: &mut T,
) -> Outcome {
    loop {
        let mut chunk = BytesMut::with_capacity(limits.chunk_bytes);
        let deadline = runtime.now() + limits.stall_time;
        let mut ended = false;
        match timeout_at(runtime, deadline, connection.read_buf(&mut chunk)).await {
            Ok(Ok(0)) => return Outcome::Done,
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Outcome::Lost,
        }
        // What else is there already goes along: each write is a visit to the disk.
        let mut more = vec![0; limits.chunk_bytes - chunk.len().min(limits.chunk_bytes)];
        let mut filled = 0;
        while filled < more.len() {
            match connection.try_read(&mut more[filled..]) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return Outcome::Lost,
            }
        }
        chunk.extend_from_slice(&more[..filled]);
        if let Err(error) = target.write(chunk.freeze()).await {
            return Outcome::Failed(error);
        }
        if ended {
            return Outcome::Done;
        }
    }
}
