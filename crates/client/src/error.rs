//! Why a request did not come to its end.

/// What can go wrong with a request, or with starting a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server answered, and its answer is no.
    #[error("the server refused: {message} (code {code})")]
    Refused {
        /// The protocol's error code (103 permission denied, 108 not available, …).
        code: u32,
        /// The server's words.
        message: String,
    },
    /// The time for the request ran out. It may have reached the server; a publication with an id may be sent again
    /// under the same id without harm.
    #[error("no answer in time; the request may or may not have been carried out")]
    Timeout,
    /// The connection broke before the answer, and the request is not safe to repeat.
    #[error("the connection was lost before the answer; the request may or may not have been carried out")]
    Lost,
    /// The client has ended, by [`Client::close`](crate::Client::close) or by the server's final word.
    #[error("the client is closed: {0}")]
    Closed(String),
    /// The answer is not what the protocol says it is.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
    /// What was to be sent, or what came, does not fit the type asked for.
    #[error("the data does not fit: {0}")]
    Data(String),
    /// One message may not be as long as this.
    #[error(
        "the message has {length} bytes, more than the limit of {limit}; send less or raise Config::max_message"
    )]
    TooLarge {
        /// Bytes of the whole command.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The address of the server cannot be used.
    #[error("{0}")]
    Url(String),
}
