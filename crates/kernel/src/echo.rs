//! ICMP echo requests of the operating system: ping.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// Asks other hosts whether they are there: by a socket for just that where the system gives one to everybody
/// (`ping_group_range`, `icmp(7)`), else by a raw one.
#[derive(Debug)]
pub struct KernelEcho {
    socket: AsyncFd<Socket>,
    v6: bool,
    /// Our own, on a raw socket; else the kernel has chosen one, and sees to it.
    identifier: Option<u16>,
    buffer: Vec<u8>,
}

/// What came of an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EchoAnswer {
    /// The host is there.
    Reply {
        /// Who answers.
        source: IpAddr,
        /// Which request.
        sequence: u16,
        /// Its TTL or hop limit as it arrived, where the system says it.
        ttl: Option<u8>,
        /// What came back.
        data: Vec<u8>,
    },
    /// The request did not get there.
    Failed {
        /// Who sent the ICMP error.
        reporter: IpAddr,
        /// The error's type.
        kind: u8,
        /// The error's code.
        code: u8,
        /// Which MTU its sender has, where that is the trouble.
        info: u32,
        /// Which request.
        sequence: u16,
    },
}

/// Type, code, checksum, identifier and sequence number.
const HEADER: usize = 8;
/// An IP packet.
const LONGEST: usize = 65_536;

impl KernelEcho {
    /// A socket for the family of `destination`. Must run inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, with what to do about it, where this process may do neither; else what the system has against
    /// it.
    pub fn open(destination: IpAddr) -> io::Result<Self> {
        let v6 = destination.is_ipv6();
        let (domain, protocol) = match v6 {
            false => (Domain::IPV4, Protocol::ICMPV4),
            true => (Domain::IPV6, Protocol::ICMPV6),
        };
        let (socket, identifier) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(denied)?;
                (socket, Some(std::process::id() as u16))
            }
            socket => (socket?, None),
        };
        socket.set_nonblocking(true)?;
        sys::report_errors(&socket, v6)?;
        // Its error queue as well.
        let socket = sys::watch(socket, Interest::READABLE | Interest::ERROR)?;
        Ok(Self { socket, v6, identifier, buffer: vec![0; LONGEST] })
    }

    /// Sends one request with `data`, at `ttl` routers' distance at most.
    ///
    /// # Errors
    ///
    /// What the system has against it.
    pub fn send(
        &mut self,
        destination: IpAddr,
        sequence: u16,
        ttl: Option<u8>,
        data: &[u8],
    ) -> io::Result<()> {
        let socket = self.socket.get_ref();
        if let Some(ttl) = ttl {
            match self.v6 {
                false => socket.set_ttl_v4(ttl.into())?,
                true => socket.set_unicast_hops_v6(ttl.into())?,
            }
        }
        let mut message = vec![if self.v6 { 128 } else { 8 }, 0, 0, 0];
        message.extend(self.identifier.unwrap_or(0).to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend(data);
        // For all but raw sockets of IPv4 the kernel does it.
        let checksum = checksum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let to = SocketAddr::new(destination, 0).into();
        match socket.send_to(&message, &to) {
            // What an earlier request met comes up here as well; it is told by `receive`.
            Err(error)
                if error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::InvalidInput =>
            {
                socket.send_to(&message, &to).map(drop)
            }
            sent => sent.map(drop),
        }
    }

    /// The next answer. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// What ended the socket.
    pub async fn receive(&mut self) -> io::Result<EchoAnswer> {
        loop {
            let mut ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
            let mut empty = 0;
            for errors in [true, false] {
                match sys::receive(ready.get_inner(), &mut self.buffer, errors) {
                    Ok(message) => {
                        let bytes = &self.buffer[..message.len];
                        let answer = match errors {
                            true => failure(bytes, &message),
                            false => reply(bytes, &message, self.v6, self.identifier.is_some()),
                        };
                        let ours = |identifier| self.identifier.is_none_or(|own| own == identifier);
                        if let Some((_, answer)) = answer.filter(|(identifier, _)| ours(*identifier)) {
                            return Ok(answer);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => empty += 1,
                    // The error that the queue has told already.
                    Err(_) => {}
                }
            }
            if empty == 2 {
                ready.clear_ready();
            }
        }
    }
}

fn reply(bytes: &[u8], message: &sys::Message, v6: bool, raw: bool) -> Option<(u16, EchoAnswer)> {
    // A raw socket of IPv4 gives the IP header too.
    let header = if raw && !v6 { usize::from(bytes.first()? & 0xf) * 4 } else { 0 };
    let bytes = bytes.get(header..)?;
    let (identifier, sequence) = numbers(bytes, if v6 { 129 } else { 0 })?;
    let source = message.source?;
    let data = bytes[HEADER..].to_vec();
    Some((identifier, EchoAnswer::Reply { source, sequence, ttl: message.ttl, data }))
}

fn failure(bytes: &[u8], message: &sys::Message) -> Option<(u16, EchoAnswer)> {
    let (identifier, sequence) = numbers(bytes, 8).or_else(|| numbers(bytes, 128))?;
    let sys::Origin { kind, code, info, reporter, .. } = message.origin?;
    Some((identifier, EchoAnswer::Failed { reporter: reporter?, kind, code, info, sequence }))
}

/// Identifier and sequence number of an echo message of a type.
fn numbers(bytes: &[u8], kind: u8) -> Option<(u16, u16)> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let [first, _, _, _, identifier @ .., high, low] = header;
    (*first == kind).then_some((u16::from_be_bytes(*identifier), u16::from_be_bytes([*high, *low])))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + folded) as u16
}

fn denied(error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    io::Error::new(
        ErrorKind::PermissionDenied,
        "this system lets this user send no pings. As root, allow them to everybody:\n  \
         sysctl -w net.ipv4.ping_group_range='0 2147483647'\n\
         or give the program the capability CAP_NET_RAW.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_answers_itself_or_says_what_is_missing() {
        crate::run(1, |_| ask_ourselves()).unwrap();
    }

    async fn ask_ourselves() {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let mut echo = match KernelEcho::open(address) {
                Ok(echo) => echo,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    assert!(error.to_string().contains("ping_group_range"), "{error}");
                    continue;
                }
                // A machine without IPv6.
                Err(_) if address.is_ipv6() => continue,
                Err(error) => panic!("{error}"),
            };
            if let Err(error) = echo.send(address, 7, Some(5), b"hello") {
                assert!(address.is_ipv6(), "{error}");
                continue;
            }
            let EchoAnswer::Reply { source, sequence, ttl, data } = echo.receive().await.unwrap() else {
                panic!("a failure")
            };
            assert_eq!((source, sequence, &data[..]), (address, 7, &b"hello"[..]));
            assert_eq!(ttl, Some(64));
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_internet() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[8, 0, 0, 0, 0, 1, 0, 1, 7]), !(0x0800 + 2 + 0x0700));
    }

    #[test]
    fn what_is_no_echo_message_is_nobody_s() {
        let message = sys::Message { source: Some([127, 0, 0, 1].into()), ..sys::Message::default() };
        for len in 0..HEADER {
            assert_eq!(reply(&vec![0x45; len], &message, false, true), None, "{len}");
        }
        assert_eq!(reply(&[0x4f; 20], &message, false, true), None, "a header beyond the end");
        assert_eq!(failure(&[8, 0, 0, 0, 0, 1, 0, 2], &message), None, "no error");
    }
}
