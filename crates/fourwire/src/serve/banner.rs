//! What the person at the terminal is told.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::args::Settings;

/// Says where to go, where the data is, and who may come in.
pub(super) fn greet(addresses: &[SocketAddr], settings: &Settings) {
    let mut out = std::io::stdout();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let strong = |text: String| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text };
    let mut text = String::from("Fourwire is ready.\n\n");
    for address in addresses {
        let scheme = if settings.certificate.is_some() { "https" } else { "http" };
        let label = if text.ends_with("\n\n") { "open" } else { "" };
        text += &format!("  {label:<6}{}\n", strong(format!("{scheme}://{}/", reachable(*address))));
    }
    let data = match &settings.data {
        Some(directory) => format!("{}", directory.display()),
        None => "in memory: rooms are forgotten when this process ends".into(),
    };
    text += &format!("  data  {data}\n  mode  {}\n\nCtrl-C ends it.\n", mode(addresses, settings));
    // A closed standard output is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says that the end has begun.
pub(super) fn goodbye(grace: Duration) {
    eprintln!(
        "fourwire: closing connections, for at most {} s; again Ctrl-C ends it at once",
        grace.as_secs()
    );
}

fn mode(addresses: &[SocketAddr], settings: &Settings) -> &'static str {
    if settings.token_secret.is_some() {
        "clients need a token"
    } else if addresses.iter().all(|address| address.ip().is_loopback()) {
        "development: anybody on this machine may read and write every room"
    } else {
        "INSECURE: anybody who reaches this address may read and write every room"
    }
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
