//! SMTP (RFC 5321, with 8BITMIME, SMTPUTF8, PIPELINING, SIZE, CHUNKING, STARTTLS, AUTH and ENHANCEDSTATUSCODES): mail, as far
//! as it is an envelope and bytes. What the bytes say is somebody else's business.
//!
//! [`server::Session`] is the server's side of one connection as a value, and [`server::serve`] drives it over any
//! [`host::Host`] for whoever implements [`server::Post`].

pub mod server;
