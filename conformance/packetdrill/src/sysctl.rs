//! The settings of the kernel that scripts change, as far as our stack has them too.
//!
//! Scripts write them with `sysctl` to the network namespace in which they run. What they find there when they make their
//! first socket is how the stack is to behave.

use std::fs;

use tcpip::transport::tcp::{Ecn, Settings};

/// What connections begin with.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    if let Some(&[_, _, most]) = numbers("tcp_rmem").as_deref() {
        settings.receive_buffer = most;
    }
    if let Some(&[_, _, most]) = numbers("tcp_wmem").as_deref() {
        settings.send_buffer = most;
    }
    if let Some(&[ecn]) = numbers("tcp_ecn").as_deref() {
        settings.ecn = match ecn {
            0 => Ecn::Off,
            1 => Ecn::On,
            _ => Ecn::Passive,
        };
    }
    if let Some(&[restart]) = numbers("tcp_slow_start_after_idle").as_deref() {
        settings.restart_after_idle = restart != 0;
    }
    if let Some(&[timestamps]) = numbers("tcp_timestamps").as_deref() {
        settings.timestamps = timestamps != 0;
    }
    settings
}

fn numbers(name: &str) -> Option<Vec<usize>> {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}
