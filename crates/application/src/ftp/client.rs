//! The client's side: logs in, and fetches, stores and lists over passive data connections.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use host::{Connection, Elapsed, Host, Instant, timeout_at};
use tls::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::address::{parse_extended_port, parse_port};
use super::reply::{Replies, Reply, ReplyError};

/// Bytes of a line of a reply.
const LINE: usize = 8192;

/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(Reply),
    /// What it said is no FTP.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// It closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// A connection failed.
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    /// TLS came to nothing.
    #[error("no TLS with the server: {0}")]
    Tls(#[from] tls::Error),
    /// It took too long.
    #[error("the server did not answer in time")]
    Late,
    /// There is more than was to be taken.
    #[error("the file is longer than {0} bytes")]
    TooLong(usize),
    /// A name that cannot be said in a command.
    #[error("a name may have no line breaks")]
    Name,
}

impl From<Elapsed> for Error {
    fn from(_: Elapsed) -> Self {
        Self::Late
    }
}

/// A session with a server.
///
/// Everything it does ends at its deadline. After an error other than [`Error::Refused`] there is no way on.
pub struct Client<H: Host> {
    host: H,
    server: SocketAddr,
    control: Option<Stream<H::Connection>>,
    replies: Replies,
    deadline: Instant,
    /// The TLS of data connections, and the server's name.
    tls: Option<(tls::Client, String)>,
}

impl<H: Host> Client<H> {
    /// Begins a session over `connection`: hears the greeting.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn begin(host: H, connection: H::Connection, deadline: Instant) -> Result<Self, Error> {
        let mut client = Self {
            server: connection.peer_address(),
            control: Some(Stream::Plain(connection)),
            replies: Replies::new(LINE),
            deadline,
            tls: None,
            host,
        };
        match client.reply().await? {
            reply if reply.code == 120 => client.expect_completed().await?,
            reply if reply.is_completed() => reply,
            reply => return Err(Error::Refused(reply)),
        };
        Ok(client)
    }

    /// Goes on inside TLS with a server that shows that it is `name`, and has data connections inside TLS too (RFC 4217).
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn secure(&mut self, tls: &tls::Client, name: &str) -> Result<(), Error> {
        self.ask("AUTH TLS").await?;
        if !self.replies.is_empty() {
            // Said before the handshake, it could be anybody's.
            return Err(Error::Closed);
        }
        let Some(Stream::Plain(plain)) = self.control.take() else { return Err(Error::Closed) };
        let secured = tls.connect(&self.host, plain, name, self.deadline).await?;
        self.control = Some(Stream::Tls(Box::new(secured)));
        self.tls = Some((tls.clone(), name.to_owned()));
        self.ask("PBSZ 0").await?;
        self.ask("PROT P").await?;
        Ok(())
    }

    /// Logs in, and asks for files as they are.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Error> {
        let reply = self.say(&format!("USER {user}")).await?;
        let reply =
            if reply.is_intermediate() { self.say(&format!("PASS {password}")).await? } else { reply };
        if !reply.is_completed() {
            return Err(Error::Refused(reply));
        }
        self.ask("TYPE I").await?;
        Ok(())
    }

    /// The size of a file, in bytes (RFC 3659, section 4).
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn size(&mut self, path: &str) -> Result<u64, Error> {
        let reply = self.ask(&format!("SIZE {path}")).await?;
        reply.text().trim().parse().map_err(|_| Error::Refused(reply))
    }

    /// Fetches a file from byte `from` on, and hands it to `take` piece by piece. Gives back how many bytes came.
    ///
    /// # Errors
    ///
    /// As [`Error`] says, or what `take` says.
    pub async fn fetch(
        &mut self,
        path: &str,
        from: u64,
        take: impl FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let data = self.open_data().await?;
        if from > 0 {
            let reply = self.say(&format!("REST {from}")).await?;
            if !reply.is_intermediate() {
                return Err(Error::Refused(reply));
            }
        }
        self.receive(&format!("RETR {path}"), data, take).await
    }

    /// The names in a directory (NLST).
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn names(&mut self, path: &str, limit: usize) -> Result<Vec<String>, Error> {
        let data = self.open_data().await?;
        let mut text = Vec::new();
        self.receive(&format!("NLST {path}"), data, |bytes| {
            text.extend_from_slice(&bytes);
            if text.len() > limit { Err(Error::TooLong(limit)) } else { Ok(()) }
        })
        .await?;
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Stores a file: `next` gives the pieces, and none at the end. When this returns, the server has said that it has it.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn store(&mut self, path: &str, mut next: impl FnMut() -> Option<Bytes>) -> Result<(), Error> {
        let data = self.open_data().await?;
        let reply = self.say(&format!("STOR {path}")).await?;
        if !reply.is_preliminary() {
            return Err(Error::Refused(reply));
        }
        let mut data = self.protect(data).await?;
        let (host, deadline) = (self.host.clone(), self.deadline);
        let sent = async {
            while let Some(bytes) = next() {
                timeout_at(&host, deadline, data.write_all(&bytes)).await??;
            }
            timeout_at(&host, deadline, data.shutdown()).await??;
            Ok::<_, Error>(())
        };
        // Where sending fails, the server says why.
        let sent = sent.await;
        drop(data);
        self.expect_completed().await?;
        sent
    }

    /// Says goodbye.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn quit(mut self) -> Result<(), Error> {
        self.say("QUIT").await?;
        Ok(())
    }

    async fn receive(
        &mut self,
        command: &str,
        data: H::Connection,
        mut take: impl FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let reply = self.say(command).await?;
        if !reply.is_preliminary() {
            return Err(Error::Refused(reply));
        }
        let mut data = self.protect(data).await?;
        let mut received = 0;
        loop {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            let count = timeout_at(&self.host, self.deadline, data.read_buf(&mut buffer)).await??;
            if count == 0 {
                break;
            }
            received += count as u64;
            take(buffer.freeze())?;
        }
        drop(data);
        // Only the server knows whether that was all.
        self.expect_completed().await?;
        Ok(received)
    }

    /// A data connection: always to the server that we talk to, whatever address it names (RFC 2577).
    async fn open_data(&mut self) -> Result<H::Connection, Error> {
        let reply = self.say("EPSV").await?;
        let port = match reply.is_completed() {
            true => bracketed(&reply).and_then(parse_extended_port),
            false => {
                let reply = self.ask("PASV").await?;
                bracketed(&reply).and_then(parse_port).map(|address| address.port())
            }
        };
        let port = port.ok_or(Error::Refused(reply))?;
        let address = SocketAddr::new(self.server.ip(), port);
        Ok(timeout_at(&self.host, self.deadline, self.host.connect(address)).await??)
    }

    async fn protect(&mut self, data: H::Connection) -> Result<Stream<H::Connection>, Error> {
        let Some((tls, name)) = &self.tls else { return Ok(Stream::Plain(data)) };
        let secured = tls.connect(&self.host, data, name, self.deadline).await?;
        Ok(Stream::Tls(Box::new(secured)))
    }

    /// Says something that the server is to do at once.
    async fn ask(&mut self, command: &str) -> Result<Reply, Error> {
        match self.say(command).await? {
            reply if reply.is_completed() => Ok(reply),
            reply => Err(Error::Refused(reply)),
        }
    }

    async fn say(&mut self, command: &str) -> Result<Reply, Error> {
        if command.contains(['\r', '\n', '\0']) {
            return Err(Error::Name);
        }
        let line = format!("{command}\r\n");
        let control = self.control.as_mut().ok_or(Error::Closed)?;
        timeout_at(&self.host, self.deadline, async {
            control.write_all(line.as_bytes()).await?;
            control.flush().await
        })
        .await??;
        self.reply().await
    }

    async fn expect_completed(&mut self) -> Result<Reply, Error> {
        match self.reply().await? {
            reply if reply.is_completed() => Ok(reply),
            reply => Err(Error::Refused(reply)),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Error> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(reply) = self.replies.next_reply() {
                return Ok(reply?);
            }
            let control = self.control.as_mut().ok_or(Error::Closed)?;
            match timeout_at(&self.host, self.deadline, control.read(&mut buffer)).await?? {
                0 => return Err(Error::Closed),
                count => self.replies.receive(&buffer[..count]),
            }
        }
    }
}

/// What stands in brackets in a reply, or its digits where a server leaves the brackets away (RFC 1123, section 4.1.2.6).
fn bracketed(reply: &Reply) -> Option<&str> {
    let text = reply.text();
    match (text.find('('), text.rfind(')')) {
        (Some(start), Some(end)) if start < end => Some(&text[start + 1..end]),
        _ => text
            .find(|character: char| character.is_ascii_digit())
            .map(|start| text[start..].trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_replies() {
        let found = |text: &str| bracketed(&Reply::new(227, text)).map(str::to_owned);
        assert_eq!(found("Entering Passive Mode (1,2,3,4,5,6).").as_deref(), Some("1,2,3,4,5,6"));
        assert_eq!(found("Passive mode 1,2,3,4,5,6.").as_deref(), Some("1,2,3,4,5,6"));
        assert_eq!(found("Entering Extended Passive Mode (|||6446|)").as_deref(), Some("|||6446|"));
        assert_eq!(found(")("), None);
    }
}
