//! Names, as this machine is told to resolve them.

use std::fs;
use std::io;
use std::net::SocketAddr;

use application::dns::{Config, Error, Resolver};
use host::Host;

use crate::network::Learned;

/// Where to ask for names, in place of what the system says.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Name server to ask, as an address with an optional port; may be repeated [default: those that
    /// DHCP or a router told, else those of /etc/resolv.conf]
    #[arg(long = "name-server", value_name = "ADDRESS", value_parser = server)]
    name_servers: Vec<SocketAddr>,
}

impl Args {
    /// A resolver that asks from `host`, by default those servers that its network told.
    ///
    /// # Errors
    ///
    /// When the system's files are there and cannot be read.
    pub(crate) fn resolver<H: Host>(&self, host: H, learned: &Learned) -> io::Result<Resolver<H>> {
        let mut config = Config::parse(&read("/etc/resolv.conf")?, &read("/etc/hosts")?);
        if !learned.name_servers.is_empty() {
            let servers = learned.name_servers.iter();
            config.servers = servers.map(|&server| SocketAddr::new(server, 53)).collect();
            config.search.clone_from(&learned.domains);
        }
        if !self.name_servers.is_empty() {
            config.servers.clone_from(&self.name_servers);
        }
        Ok(Resolver::new(host, config))
    }
}

/// The addresses of `host`, which is a name or an address, each with `port`.
///
/// # Errors
///
/// As [`Resolver::resolve`].
pub(crate) async fn addresses<H: Host>(
    resolver: &Resolver<H>,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Error> {
    let addresses = resolver.resolve(host).await?;
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// A file that need not be there.
fn read(path: &str) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_| format!("{text:?} is no address; write 9.9.9.9, 9.9.9.9:53 or [2620:fe::fe]:53"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_come_with_its_port() {
        for (text, address) in
            [("9.9.9.9", "9.9.9.9:53"), ("9.9.9.9:5353", "9.9.9.9:5353"), ("fe80::1", "[fe80::1]:53")]
        {
            assert_eq!(server(text), Ok(address.parse().unwrap()));
        }
        assert!(server("dns.example").is_err());
    }
}
