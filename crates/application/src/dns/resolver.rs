//! From a name to addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::rr::{Name, RecordType};
use host::{Host, Random};

use super::answer::{Answer, Question};
use super::exchange;
use super::{Config, Error, Servers};

/// Finds the addresses of names. Clones share everything.
#[derive(Clone, Debug)]
pub struct Resolver<H> {
    host: H,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    ids: Mutex<Random>,
}

impl<H: Host> Resolver<H> {
    /// Asks from `host`, as `config` says.
    pub fn new(host: H, config: Config) -> Self {
        let ids = Mutex::new(host.random("dns: identifications"));
        Self { host, shared: Arc::new(Shared { config, ids }) }
    }

    /// The addresses of `name`, of IPv6 before those of IPv4, each kind as the server gave them. Never empty.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        let config = &self.shared.config;
        let known = config.known(name);
        if !known.is_empty() {
            return Ok(known);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        if !is_name(name) {
            return Err(Error::Name(name.to_owned()));
        }
        if config.servers.is_empty() {
            return Err(Error::NoServer);
        }
        for candidate in config.candidates(name).iter().filter(|candidate| is_name(candidate)) {
            let found = self.ask(candidate).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(Error::NotFound(name.to_owned()))
    }

    /// The addresses of exactly this name, none when it has none.
    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let mut fully = Name::from_ascii(name).map_err(|_| Error::Name(name.to_owned()))?;
        fully.set_fqdn(true);
        let config = &self.shared.config;
        let servers = || Servers(config.servers.clone());
        let mut found = [const { None::<Vec<IpAddr>> }; 2];
        let mut last = Error::Silent(servers());
        for _ in 0..config.attempts {
            for &server in &config.servers {
                // What was answered is not asked again.
                let open: Vec<usize> = (0..2).filter(|&kind| found[kind].is_none()).collect();
                let questions: Vec<_> = open
                    .iter()
                    .map(|&kind| self.question(&fully, [RecordType::AAAA, RecordType::A][kind]))
                    .collect();
                let deadline = self.host.now() + config.timeout;
                match exchange::ask(&self.host, server, &questions, deadline).await {
                    Ok(answers) => {
                        for (kind, answer) in open.into_iter().zip(answers) {
                            match answer {
                                Some(Answer::Addresses(addresses)) => found[kind] = Some(addresses),
                                Some(Answer::Failed(code)) => {
                                    last = Error::Failed { code: code.to_string(), servers: servers() };
                                }
                                Some(Answer::Truncated) | None => {}
                            }
                        }
                    }
                    Err(error) => last = Error::Network(error),
                }
                if found.iter().all(Option::is_some) {
                    return Ok(found.into_iter().flatten().flatten().collect());
                }
            }
        }
        // One kind of address is enough to go on with.
        let found: Vec<_> = found.into_iter().flatten().flatten().collect();
        if found.is_empty() { Err(last) } else { Ok(found) }
    }

    fn question(&self, name: &Name, record: RecordType) -> Question {
        let mut ids = self.shared.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Question { id: ids.next_u32() as u16, name: name.clone(), record }
    }
}

/// RFC 6761 section 6.3: never asked of a server.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let ends = name.len().checked_sub(9).and_then(|start| name.get(start..));
    ends.is_some_and(|end| end.eq_ignore_ascii_case("localhost"))
        && (name.len() == 9 || name.as_bytes()[name.len() - 10] == b'.')
}

/// What can be asked for: a host name of RFC 1123 section 2.1, and the underscores that are about.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_a_name_and_all_that_end_with_it() {
        for name in ["localhost", "LocalHost.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["notlocalhost", "localhost.example", "", "ost"] {
            assert!(!is_localhost(name), "{name}");
        }
    }

    #[test]
    fn names_have_labels() {
        for name in ["door", "door.lab.", "_http._tcp.lab", "xn--tr-eka.example"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "a..b", "tür", "a b", &"a".repeat(64), &"a.".repeat(128)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
