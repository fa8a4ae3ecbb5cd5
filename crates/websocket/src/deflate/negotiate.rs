//! Negotiating the extension's parameters (RFC 7692, section 7.1).

use std::fmt::Write as _;

use super::{Agreed, Direction, NAME, Options};
use crate::handshake::extensions::Extension;

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The largest window, in bits: what holds where nothing is said.
const LARGEST_WINDOW_BITS: u8 = 15;

/// One offer of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The server must not take its context over.
    pub server_no_context_takeover: bool,
    /// The client will not take its context over, whatever the answer.
    pub client_no_context_takeover: bool,
    /// The largest window that the server may compress with.
    pub server_max_window_bits: Option<u8>,
    /// The client understands being limited; the inner value is the largest window that it will use anyway.
    pub client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// Reads an offer. `None` when a server must decline it: a parameter that is not known, not valid, or there twice
    /// (section 7).
    pub fn parse(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != NAME {
            return None;
        }
        let parameters = Parameters::parse(extension).ok()?;
        Some(Self {
            server_no_context_takeover: parameters.server_no_context_takeover,
            client_no_context_takeover: parameters.client_no_context_takeover,
            server_max_window_bits: match parameters.server_max_window_bits {
                None => None,
                Some(bits) => Some(bits?),
            },
            client_max_window_bits: parameters.client_max_window_bits,
        })
    }
}

/// Why a client cannot live with a server's answer (section 7.1): the connection fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's permessage-deflate answer is not valid: {0}")]
pub struct InvalidResponse(String);

impl Options {
    /// The server's side: answers an offer, which always can be granted. The second value is what stands in
    /// Sec-WebSocket-Extensions.
    pub fn accept(&self, offer: &Offer) -> (Agreed, String) {
        let limits = self.clamped();
        let server = Direction {
            context_takeover: limits.server_context_takeover && !offer.server_no_context_takeover,
            window_bits: limits
                .server_max_window_bits
                .min(offer.server_max_window_bits.unwrap_or(LARGEST_WINDOW_BITS)),
        };
        let client = Direction {
            context_takeover: limits.client_context_takeover && !offer.client_no_context_takeover,
            window_bits: match offer.client_max_window_bits {
                // It would not understand a limit.
                None => LARGEST_WINDOW_BITS,
                Some(hint) => limits.client_max_window_bits.min(hint.unwrap_or(LARGEST_WINDOW_BITS)),
            },
        };
        let mut answer = String::from(NAME);
        if !server.context_takeover {
            flag(&mut answer, SERVER_NO_CONTEXT_TAKEOVER);
        }
        if !client.context_takeover {
            flag(&mut answer, CLIENT_NO_CONTEXT_TAKEOVER);
        }
        if offer.server_max_window_bits.is_some() || server.window_bits < LARGEST_WINDOW_BITS {
            bits(&mut answer, SERVER_MAX_WINDOW_BITS, server.window_bits);
        }
        if client.window_bits < LARGEST_WINDOW_BITS {
            bits(&mut answer, CLIENT_MAX_WINDOW_BITS, client.window_bits);
        }
        (Agreed { server, client, level: limits.level, threshold: limits.threshold }, answer)
    }

    /// The client's side: what stands in Sec-WebSocket-Extensions.
    pub fn offer(&self) -> String {
        let limits = self.clamped();
        let mut offer = String::from(NAME);
        if !limits.server_context_takeover {
            flag(&mut offer, SERVER_NO_CONTEXT_TAKEOVER);
        }
        if !limits.client_context_takeover {
            flag(&mut offer, CLIENT_NO_CONTEXT_TAKEOVER);
        }
        if limits.server_max_window_bits < LARGEST_WINDOW_BITS {
            bits(&mut offer, SERVER_MAX_WINDOW_BITS, limits.server_max_window_bits);
        }
        if limits.client_max_window_bits < LARGEST_WINDOW_BITS {
            bits(&mut offer, CLIENT_MAX_WINDOW_BITS, limits.client_max_window_bits);
        } else {
            flag(&mut offer, CLIENT_MAX_WINDOW_BITS);
        }
        offer
    }

    /// The client's side: checks the server's answer to [`offer`](Self::offer).
    ///
    /// # Errors
    ///
    /// When the answer has a parameter that is unknown, invalid or there twice, or grants less than was asked for.
    pub fn confirm(&self, answer: &Extension<'_>) -> Result<Agreed, InvalidResponse> {
        let limits = self.clamped();
        let parameters = Parameters::parse(answer).map_err(InvalidResponse)?;
        let server_bits = match parameters.server_max_window_bits {
            None => LARGEST_WINDOW_BITS,
            Some(bits) => bits.ok_or_else(|| no_value(SERVER_MAX_WINDOW_BITS))?,
        };
        let client_bits = match parameters.client_max_window_bits {
            None => LARGEST_WINDOW_BITS,
            Some(bits) => bits.ok_or_else(|| no_value(CLIENT_MAX_WINDOW_BITS))?,
        };
        if server_bits > limits.server_max_window_bits {
            return Err(InvalidResponse(format!(
                "its window has {server_bits} bits, but we asked for at most {}",
                limits.server_max_window_bits
            )));
        }
        if !limits.server_context_takeover && !parameters.server_no_context_takeover {
            return Err(InvalidResponse(format!(
                "{SERVER_NO_CONTEXT_TAKEOVER} was asked for and is missing"
            )));
        }
        let server =
            Direction { context_takeover: !parameters.server_no_context_takeover, window_bits: server_bits };
        let client = Direction {
            // What we hinted at we also keep to, though the server did not insist.
            context_takeover: !parameters.client_no_context_takeover && limits.client_context_takeover,
            window_bits: client_bits.min(limits.client_max_window_bits),
        };
        Ok(Agreed { server, client, level: limits.level, threshold: limits.threshold })
    }

    fn clamped(&self) -> Self {
        Self {
            server_max_window_bits: self.server_max_window_bits.clamp(8, LARGEST_WINDOW_BITS),
            client_max_window_bits: self.client_max_window_bits.clamp(8, LARGEST_WINDOW_BITS),
            ..*self
        }
    }
}

/// The parameters as they stand there; a window's inner value is missing where it has none.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    fn parse(extension: &Extension<'_>) -> Result<Self, String> {
        let mut parsed = Self::default();
        for parameter in &extension.parameters {
            let value = parameter.value.as_deref();
            let seen_before = match parameter.name {
                SERVER_NO_CONTEXT_TAKEOVER => take_flag(&mut parsed.server_no_context_takeover, value),
                CLIENT_NO_CONTEXT_TAKEOVER => take_flag(&mut parsed.client_no_context_takeover, value),
                SERVER_MAX_WINDOW_BITS => take_bits(&mut parsed.server_max_window_bits, value),
                CLIENT_MAX_WINDOW_BITS => take_bits(&mut parsed.client_max_window_bits, value),
                _ => Err("unknown"),
            };
            match seen_before {
                Ok(false) => {}
                Ok(true) => return Err(format!("parameter {} is there twice", parameter.name)),
                Err(fault) => return Err(format!("parameter {} is {fault}", parameter.name)),
            }
        }
        Ok(parsed)
    }
}

fn take_flag(flag: &mut bool, value: Option<&str>) -> Result<bool, &'static str> {
    match value {
        Some(_) => Err("not to have a value"),
        None => Ok(std::mem::replace(flag, true)),
    }
}

fn take_bits(bits: &mut Option<Option<u8>>, value: Option<&str>) -> Result<bool, &'static str> {
    let value = match value {
        None => None,
        Some(digits) => Some(window_bits(digits).ok_or("not a number from 8 to 15")?),
    };
    Ok(bits.replace(value).is_some())
}

/// A decimal number without leading zeros, 8 to 15.
fn window_bits(digits: &str) -> Option<u8> {
    match digits.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn no_value(name: &str) -> InvalidResponse {
    InvalidResponse(format!("parameter {name} has no value"))
}

fn flag(list: &mut String, name: &str) {
    list.push_str("; ");
    list.push_str(name);
}

fn bits(list: &mut String, name: &str, bits: u8) {
    write!(list, "; {name}={bits}").expect("writing to a string cannot fail");
}
