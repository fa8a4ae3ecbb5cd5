//! Following messages: down the layers, over each hop, up the other side.

#[allow(dead_code)]
mod log;
#[allow(dead_code, unreachable_pub)]
mod stream;
mod websocket;

pub(crate) use log::Log;
