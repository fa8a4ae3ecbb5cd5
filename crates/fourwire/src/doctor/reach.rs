//! From a name to an open connection, and a certificate that is believed.

use std::net::SocketAddr;
use std::time::Duration;

use client::Proxy;
use host::{Network, Runtime, timeout_at};
use kernel::KernelHost;
use tls::Stream;

use super::Patient;
use super::finding::{Report, milliseconds};

/// A connection to the server, plain or inside TLS.
pub(super) type Way = Stream<<KernelHost as Network>::Connection>;

/// Addresses that are tried one by one.
const ADDRESSES: usize = 8;

/// A certificate that ends sooner should have been renewed: those who lend them for 90 days renew them 30 before.
const RENEWED_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Whether there is a way to the server.
pub(super) async fn examine(patient: &Patient<'_>, report: &mut Report) -> bool {
    let addresses = match &patient.dialer.proxy {
        Some(proxy) => {
            let Proxy { host, port, .. } = proxy;
            report.well(
                "proxy",
                format_args!("the environment names {host}:{port}, which looks the server up"),
            );
            names(patient, report, &proxy.host, proxy.port).await
        }
        None => names(patient, report, &patient.url.host, patient.url.port).await,
    };
    let Some(addresses) = addresses else { return false };
    each(patient, report, &addresses).await && (!patient.url.secure || certificate(patient, report).await)
}

/// A new connection, as a client makes it.
pub(super) async fn open(patient: &Patient<'_>) -> Result<Way, String> {
    let deadline = patient.deadline();
    let connected = patient.dialer.connect(patient.host, &patient.url, deadline).await;
    connected.map_err(|error| error.to_string())
}

async fn names(patient: &Patient<'_>, report: &mut Report, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = name.parse() {
        return Some(vec![SocketAddr::new(address, port)]);
    }
    let began = patient.host.now();
    let resolver = patient.dialer.resolver.as_ref()?;
    let remedy =
        "look at the spelling, at /etc/resolv.conf and /etc/hosts; `fourwire get --name-server` asks another";
    match timeout_at(patient.host, patient.deadline(), resolver(name, port)).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => {
            let took = milliseconds(patient.host.now().since(began));
            let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            report.well("name", format_args!("{name} is {} ({took})", list.join(", ")));
            return Some(addresses);
        }
        Ok(Ok(_)) => report.ill("name", format_args!("{name} has no address"), remedy),
        Ok(Err(error)) => report.ill("name", format_args!("{name}: {error}"), remedy),
        Err(_) => report.ill("name", format_args!("nobody says what {name} is"), remedy),
    }
    None
}

/// Each address by itself: a browser hides that one of two families leads nowhere, and pays for it with waiting.
async fn each(patient: &Patient<'_>, report: &mut Report, addresses: &[SocketAddr]) -> bool {
    let mut failures = Vec::new();
    let mut reached = 0;
    for &address in addresses.iter().take(ADDRESSES) {
        let began = patient.host.now();
        match timeout_at(patient.host, patient.deadline(), patient.host.connect(address)).await {
            Ok(Ok(_)) => {
                reached += 1;
                let took = milliseconds(patient.host.now().since(began));
                report.well("connect", format_args!("{address} in {took}"));
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer; a firewall drops what is sent there")),
        }
    }
    for failure in failures {
        if reached > 0 {
            let remedy =
                "clients find the others after a while; take it out of the name's addresses, or mend it";
            report.doubtful("connect", failure, remedy);
        } else {
            let remedy = "is the server running, at this port, on an address that others reach (--listen)?";
            report.ill("connect", failure, remedy);
        }
    }
    reached > 0
}

async fn certificate(patient: &Patient<'_>, report: &mut Report) -> bool {
    let began = patient.host.now();
    let secured = match open(patient).await {
        Ok(Stream::Tls(secured)) => secured,
        Ok(Stream::Plain(_)) => return true,
        Err(error) => {
            let remedy = "the server must send its certificate with all that stand between it and one the system believes;\n\
                          --ca FILE believes others";
            report.ill("tls", error, remedy);
            return false;
        }
    };
    let took = milliseconds(patient.host.now().since(began));
    let peer = secured.peer();
    let version = peer.version;
    let Some(until) = peer.not_after else {
        report.well("tls", format_args!("{version} in {took}"));
        return true;
    };
    let left = until.since(patient.host.wall_clock());
    let days = left.as_secs() / (24 * 3600);
    let found = format!("{version} in {took}; the certificate is good for {days} days");
    if left < RENEWED_BEFORE {
        report.doubtful("tls", found, "renew it now, and see why nobody did");
    } else {
        report.well("tls", found);
    }
    true
}
