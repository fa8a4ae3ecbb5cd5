//! The application layer's protocols over any Fourwire host.
//!
//! Each protocol is a module with a server side and a client side, generic over [`host::Host`], and knows nothing of
//! rooms: what a request means is the business of the doors in the `server` crate.

pub mod dns;
pub mod ftp;
pub mod http;
pub mod smtp;
