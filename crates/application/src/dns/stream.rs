//! Messages over a stream: each behind its length (RFC 7766).

use std::io;

use host::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) async fn write_message<C: AsyncWrite + Unpin>(
    connection: &mut C,
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend_from_slice(message);
    connection.write_all(&framed).await
}

pub(super) async fn read_message<C: AsyncRead + Unpin>(connection: &mut C) -> io::Result<Vec<u8>> {
    let length = connection.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    connection.read_exact(&mut message).await?;
    Ok(message)
}
