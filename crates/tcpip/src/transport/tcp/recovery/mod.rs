//! Loss recovery: what was sent, what arrived, what to send again, and when.
