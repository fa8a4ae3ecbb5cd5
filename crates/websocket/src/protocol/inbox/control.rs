//! Pings, pongs and close frames (RFC 6455, section 5.5).

use std::time::Duration;

use host::Instant;

use super::{Busy, Closed, Frame, Inbox, Surroundings};
use crate::protocol::Handler;
use crate::protocol::frame::Opcode;
use crate::{CloseCode, Fault};

impl Inbox {
    /// Counts one control frame against the rate (the generic cell rate algorithm: a burst may use up one second).
    pub(super) fn count_control(&mut self, now: Instant, per_second: u32) -> Result<(), Fault> {
        const SECOND: Duration = Duration::from_secs(1);
        self.control_earned = self.control_earned.max(now) + SECOND / per_second.max(1);
        if self.control_earned > now + SECOND { Err(Fault::ControlFlood) } else { Ok(()) }
    }
}

impl Busy {
    pub(super) fn control<H: Handler>(
        &mut self,
        frame: Frame,
        chunk: &[u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<Option<Closed>, Fault> {
        if frame.left == 0 && self.control.is_empty() {
            return complete(frame.opcode, chunk, around);
        }
        self.control.extend_from_slice(chunk);
        if frame.opcode == Opcode::Close {
            check_close(&self.control, frame.len)?;
        }
        if frame.left > 0 {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        complete(frame.opcode, &payload, around)
    }
}

fn complete<H: Handler>(
    opcode: Opcode,
    payload: &[u8],
    around: &mut Surroundings<'_, H>,
) -> Result<Option<Closed>, Fault> {
    match opcode {
        Opcode::Ping => {
            around.outbox.pong(payload);
            around.handler.ping(payload);
        }
        Opcode::Pong => {
            around.outbox.heard_pong(around.now, payload);
            around.handler.pong(payload);
        }
        _ => {
            check_close(payload, payload.len() as u64)?;
            let (code, reason) = match payload.split_first_chunk() {
                None => (None, &[][..]),
                Some((&code, reason)) => (Some(CloseCode(u16::from_be_bytes(code))), reason),
            };
            let reason = std::str::from_utf8(reason).map_err(|_| Fault::InvalidUtf8)?;
            return Ok(Some(Closed { code, reason: reason.into() }));
        }
    }
    Ok(None)
}

/// Checks what has come of a close frame's payload of `len` bytes.
fn check_close(payload: &[u8], len: u64) -> Result<(), Fault> {
    if len == 1 {
        return Err(Fault::CloseTooShort);
    }
    let Some((&code, reason)) = payload.split_first_chunk() else { return Ok(()) };
    let code = u16::from_be_bytes(code);
    if !CloseCode(code).is_allowed_on_wire() {
        return Err(Fault::CloseCode(code));
    }
    match std::str::from_utf8(reason) {
        Err(error) if error.error_len().is_some() => Err(Fault::InvalidUtf8),
        _ => Ok(()),
    }
}
