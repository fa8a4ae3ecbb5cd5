//! The DNS door: the names under which this server is found.

use std::net::{IpAddr, SocketAddr};

use application::dns::server::{self as dns, RecordError, Zone};
use hickory_proto::rr::Name;

/// How the DNS door is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, for datagrams and streams. Port 0 lets the network choose.
    pub listen: Vec<SocketAddr>,
    /// What is answered.
    pub server: dns::Config,
    /// Connections that may be open at a time.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: Vec::new(), server: dns::Config::default(), connections: 200 }
    }
}

/// A zone that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Its name is none.
    #[error("{0:?} is no name of a zone")]
    Name(String),
    /// One of its records is none.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What the zone of a server has beside the records that somebody wrote.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// The server's addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports, by the name of the service: `http`, `ftp`, `smtp`.
    pub ports: Vec<(&'static str, u16)>,
}

/// The zone called `origin`, with the names of the server's `services` and the `records` that somebody wrote; and the zones
/// that give the addresses their names.
///
/// # Errors
///
/// When the zone has no name, or a record is none.
pub fn zones(origin: &str, services: &Services, records: &[String]) -> Result<Vec<Zone>, ZoneError> {
    let mut name = Name::from_utf8(origin).map_err(|_| ZoneError::Name(origin.to_owned()))?;
    name.set_fqdn(true);
    if name.is_root() {
        return Err(ZoneError::Name(origin.to_owned()));
    }
    let mut zone = Zone::new(name.clone(), name.clone());
    let mut zones = Vec::new();
    for &address in &services.addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        zone.add_line(&format!("@ {kind} {address}"))?;
        zones.push(Zone::reverse(address, name.clone(), name.clone()));
    }
    zone.add_line("www CNAME @")?;
    for (service, port) in &services.ports {
        zone.add_line(&format!("_{service}._tcp SRV 0 0 {port} @"))?;
        if *service == "smtp" {
            zone.add_line("@ MX 10 @")?;
        }
    }
    for record in records {
        zone.add_line(record)?;
    }
    zones.push(zone);
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;
    use application::dns::server::Found;
    use hickory_proto::rr::RecordType;

    #[test]
    fn a_server_is_found_by_its_names() {
        let services = Services {
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            ports: vec![("http", 8000), ("smtp", 2525)],
        };
        let records = ["*.cameras A 10.0.0.9".to_owned()];
        let zones = zones("lab.example", &services, &records).unwrap();
        let find = |text: &str, record| {
            let name = Name::from_ascii(text).unwrap();
            match zones.iter().find_map(|zone| zone.find(&name, record)) {
                Some(Found::Records(records)) => records.last().map(|record| record.data.to_string()),
                _ => None,
            }
        };
        assert_eq!(find("lab.example.", RecordType::A).as_deref(), Some("10.0.0.1"));
        assert_eq!(find("www.lab.example.", RecordType::AAAA).as_deref(), Some("fd00::1"));
        assert_eq!(find("lab.example.", RecordType::MX).as_deref(), Some("10 lab.example."));
        assert_eq!(
            find("_http._tcp.lab.example.", RecordType::SRV).as_deref(),
            Some("0 0 8000 lab.example.")
        );
        assert_eq!(find("1.cameras.lab.example.", RecordType::A).as_deref(), Some("10.0.0.9"));
        assert_eq!(find("1.0.0.10.in-addr.arpa.", RecordType::PTR).as_deref(), Some("lab.example."));
        assert!(matches!(super::zones("..", &services, &[]), Err(ZoneError::Name(_))));
    }
}
