//! The handshake, until it is done or has failed.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use host::{Instant, Runtime, timeout_at};

use crate::Connection;
use crate::room::Half;

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the client was asked to reach is neither a name nor an address.
    #[error("{0:?} is no name that a certificate could have")]
    Name(String),
    /// The peer's certificate, or something that it said, is not acceptable.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
    /// The peer's certificate is one of an authority, and not of a server: what `openssl req -x509` makes unless told
    /// otherwise.
    #[error(
        "its certificate is an authority's own, with CA:TRUE; one for a server needs basicConstraints=CA:FALSE"
    )]
    Authority,
    /// The peer hung up in the middle.
    #[error("the peer hung up during the TLS handshake; does it speak TLS on this port?")]
    HungUp,
    /// The connection failed.
    #[error("the connection failed during the TLS handshake: {0}")]
    Transport(io::Error),
    /// It took too long.
    #[error("the TLS handshake took too long")]
    Late,
}

impl Error {
    /// A word for it, for counting.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Refused(_) | Self::Authority => "refused",
            Self::HungUp => "hung_up",
            Self::Transport(_) => "transport",
            Self::Late => "late",
        }
    }
}

/// Shakes hands until `deadline`.
pub(crate) async fn shake<C: host::Connection, R: Runtime>(
    transport: C,
    session: impl Into<rustls::Connection>,
    runtime: &R,
    deadline: Instant,
) -> Result<Connection<C>, Error> {
    let mut connection = Connection::new(transport, session.into());
    let shaking = poll_fn(|context| poll(&mut connection, context));
    match timeout_at(runtime, deadline, shaking).await {
        Ok(outcome) => outcome.map(|()| connection),
        Err(_) => Err(Error::Late),
    }
}

fn poll<C: host::Connection>(
    connection: &mut Connection<C>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    loop {
        ready!(connection.poll_hand_down(context, Half::Writing)).map_err(Error::Transport)?;
        if !connection.session.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        match connection.take_up() {
            Ok(0) => return Poll::Ready(Err(Error::HungUp)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ready!(connection.transport.poll_readable(context)).map_err(Error::Transport)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(failure(error))),
        }
    }
}

/// rustls' own errors come wrapped in those of a read.
fn failure(error: io::Error) -> Error {
    match error.downcast::<rustls::Error>() {
        Ok(refused) if is_authority(&refused) => Error::Authority,
        Ok(refused) => Error::Refused(refused),
        Err(error) => Error::Transport(error),
    }
}

fn is_authority(refused: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = refused else {
        return false;
    };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
