//! What the person at the terminal is told.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use server::Doors;

use super::args::Settings;

/// Says where to go, where the data is, and who may come in.
pub(super) fn greet(addresses: &[SocketAddr], doors: &Doors, here: &[IpAddr], settings: &Settings) {
    let mut out = std::io::stdout();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let strong = |text: String| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text };
    let mut text = String::from("Fourwire is ready.\n\n");
    for address in addresses.iter().flat_map(|&address| reachable(address, here)) {
        let scheme = if settings.certificate.is_some() { "https" } else { "http" };
        let label = if text.ends_with("\n\n") { "open" } else { "" };
        text += &format!("  {label:<6}{}\n", strong(format!("{scheme}://{}/", address)));
    }
    text += &table(doors, here, settings);
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
    if !settings.tokens.is_empty() {
        "clients need a token"
    } else if addresses.iter().all(|address| address.ip().is_loopback()) {
        "development: anybody on this machine may read and write every room"
    } else {
        "INSECURE: anybody who reaches this address may read and write every room"
    }
}

/// For each door beside HTTP, a line to paste.
fn table(doors: &Doors, here: &[IpAddr], settings: &Settings) -> String {
    let lines = |name: &str, addresses: &[SocketAddr], line: &dyn Fn(SocketAddr) -> String| {
        let reachable = addresses.iter().flat_map(|&address| reachable(address, here));
        reachable.map(|address| format!("  {name:<6}{}\n", line(address))).collect::<String>()
    };
    let domain = settings.doors.smtp.as_ref().and_then(|smtp| smtp.domains.first());
    let domain = domain.map_or("localhost", String::as_str);
    let zone = &settings.doors.zone;
    lines("ftp", &doors.ftp, &|address| format!("curl -T cat.jpg ftp://{address}/rooms/lobby/"))
        + &lines("smtp", &doors.smtp, &|address| format!("swaks --to lobby@{domain} --server {address}"))
        + &lines("dns", &doors.dns, &|address| format!("dig @{} -p {} {zone}", address.ip(), address.port()))
}

/// Addresses that a browser can open: on this machine, or those of a host of our own.
fn reachable(address: SocketAddr, here: &[IpAddr]) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let here = if here.is_empty() { &loopback } else { here };
    let alike = here.iter().filter(|own| own.is_ipv4() == address.is_ipv4());
    alike.map(|&own| SocketAddr::new(own, address.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_shown_as_what_can_be_opened() {
        let shown = |address: &str, here: &[IpAddr]| {
            let shown = reachable(address.parse().unwrap(), here).into_iter();
            shown.map(|address| address.to_string()).collect::<Vec<_>>()
        };
        let ours = [[10, 9, 0, 2].into(), "fd09::2".parse().unwrap()];
        assert_eq!(shown("0.0.0.0:80", &[]), ["127.0.0.1:80"]);
        assert_eq!(shown("[::]:80", &[]), ["[::1]:80"]);
        assert_eq!(shown("0.0.0.0:80", &ours), ["10.9.0.2:80"]);
        assert_eq!(shown("[::]:80", &ours), ["[fd09::2]:80"]);
        assert_eq!(shown("10.9.0.2:80", &[]), ["10.9.0.2:80"]);
    }
}
