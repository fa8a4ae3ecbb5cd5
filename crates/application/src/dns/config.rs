//! Whom to ask, and how: what `resolv.conf` and `hosts` say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// Domains in which a short name is looked for.
    pub search: Vec<String>,
    /// A name with at least that many dots is tried as it stands first.
    pub dots: usize,
    /// How long one server has to answer one question.
    pub timeout: Duration,
    /// How often all servers are asked before giving up.
    pub attempts: u32,
    /// Names whose addresses are known already, in lower case.
    pub hosts: Vec<(String, IpAddr)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            hosts: Vec::new(),
        }
    }
}

impl Config {
    /// More servers and domains than these are not listened to, as other resolvers do.
    const SERVERS: usize = 3;
    const DOMAINS: usize = 6;
    /// A hosts file may be long, but not without end.
    const HOSTS: usize = 100_000;

    /// What the texts of `resolv.conf` and `hosts` say. A line that is not understood is passed over.
    pub fn parse(resolv_conf: &str, hosts: &str) -> Self {
        let mut config = Self::default();
        for line in resolv_conf.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                    config.servers.truncate(Self::SERVERS);
                }
                // The last of the two counts.
                Some("search" | "domain") => {
                    config.search = words.map(|domain| domain.trim_end_matches('.').to_owned()).collect();
                    config.search.retain(|domain| !domain.is_empty());
                    config.search.truncate(Self::DOMAINS);
                }
                Some("options") => words.for_each(|option| config.set(option)),
                _ => {}
            }
        }
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            if let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) {
                config.hosts.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
            }
        }
        config.hosts.truncate(Self::HOSTS);
        config
    }

    fn set(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.dots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order, when somebody says `name`.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut candidates: Vec<_> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let as_it_stands = if name.matches('.').count() >= self.dots { 0 } else { candidates.len() };
        candidates.insert(as_it_stands, name.to_owned());
        candidates
    }

    /// The addresses of `name` that are known without asking anybody.
    pub(super) fn known(&self, name: &str) -> Vec<IpAddr> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.hosts.iter().filter(|(known, _)| *known == name).map(|&(_, address)| address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_files_are_read_as_others_read_them() {
        let config = Config::parse(
            "# comment\nnameserver 10.9.0.1\nnameserver fe80::1 ; link\nnameserver nonsense\ndomain old.example\n\
             search example.net. lab.example\noptions ndots:2 timeout:99 attempts:3 rotate\n",
            "127.0.0.1 localhost\n10.9.0.2\tDoor door.lab # the door\nnot an address\n",
        );
        assert_eq!(config.servers, ["10.9.0.1:53".parse().unwrap(), "[fe80::1]:53".parse().unwrap()]);
        assert_eq!(config.search, ["example.net", "lab.example"]);
        assert_eq!((config.dots, config.timeout, config.attempts), (2, Duration::from_secs(30), 3));
        assert_eq!(config.known("DOOR."), ["10.9.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.known("window"), [] as [IpAddr; 0]);
    }

    #[test]
    fn short_names_are_looked_for_in_the_search_domains_first() {
        let config = Config { search: vec!["a.example".into(), "b.example".into()], ..Config::default() };
        assert_eq!(config.candidates("door"), ["door.a.example", "door.b.example", "door"]);
        assert_eq!(config.candidates("door.lab"), ["door.lab", "door.lab.a.example", "door.lab.b.example"]);
        assert_eq!(config.candidates("door."), ["door"]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_configuration(resolv_conf: String, hosts: String) {
            let config = Config::parse(&resolv_conf, &hosts);
            prop_assert!(config.servers.len() <= Config::SERVERS);
        }
    }
}
