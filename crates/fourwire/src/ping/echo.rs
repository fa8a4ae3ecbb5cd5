//! Who sends the requests: the operating system, or our own stack.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;

use host::Runtime;
use stack::{Device, StackEcho};
use tcpip::internet::Problem;

/// Sends echo requests, and tells what came of them.
pub(super) trait Echo {
    /// Sends one.
    fn send(&mut self, to: IpAddr, sequence: u16, ttl: Option<u8>, data: &[u8]) -> io::Result<()>;

    /// The next answer. Nothing is lost when the future is dropped.
    fn receive(&mut self) -> impl Future<Output = io::Result<Answer>>;
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reply { source: IpAddr, sequence: u16, ttl: Option<u8>, data: Vec<u8> },
    Failed { reporter: IpAddr, sequence: u16, why: String },
}

impl<R: Runtime, D: Device> Echo for StackEcho<R, D> {
    fn send(&mut self, to: IpAddr, sequence: u16, ttl: Option<u8>, data: &[u8]) -> io::Result<()> {
        StackEcho::send(self, to, sequence, ttl, data)
    }

    async fn receive(&mut self) -> io::Result<Answer> {
        Ok(match poll_fn(|context| self.poll_receive(context)).await {
            stack::EchoAnswer::Reply { source, sequence, ttl, data } => {
                Answer::Reply { source, sequence, ttl: Some(ttl), data }
            }
            stack::EchoAnswer::Failed { reporter, problem, sequence } => {
                Answer::Failed { reporter, sequence, why: words(problem) }
            }
        })
    }
}

fn words(problem: Problem) -> String {
    match problem {
        Problem::NetworkUnreachable => "destination network unreachable",
        Problem::HostUnreachable => "destination host unreachable",
        Problem::ProtocolUnreachable => "destination protocol unreachable",
        Problem::PortUnreachable => "destination port unreachable",
        Problem::Prohibited => "administratively prohibited",
        Problem::TimeExceeded => "time to live exceeded",
        Problem::Parameter => "parameter problem",
        Problem::TooBig(mtu) => return format!("packet too big: at most {mtu} bytes"),
    }
    .into()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Echo for kernel::KernelEcho {
    fn send(&mut self, to: IpAddr, sequence: u16, ttl: Option<u8>, data: &[u8]) -> io::Result<()> {
        kernel::KernelEcho::send(self, to, sequence, ttl, data)
    }

    async fn receive(&mut self) -> io::Result<Answer> {
        Ok(match kernel::KernelEcho::receive(self).await? {
            kernel::EchoAnswer::Reply { source, sequence, ttl, data } => {
                Answer::Reply { source, sequence, ttl, data }
            }
            kernel::EchoAnswer::Failed { reporter, kind, code, info, sequence } => Answer::Failed {
                reporter,
                sequence,
                why: words(problem(reporter.is_ipv6(), kind, code, info)),
            },
        })
    }
}

/// What an ICMP error says, by its numbers (RFC 792, RFC 4443).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn problem(v6: bool, kind: u8, code: u8, info: u32) -> Problem {
    let mtu = u16::try_from(info).unwrap_or(u16::MAX);
    match (v6, kind, code) {
        (false, 3, 1 | 7) | (true, 1, 3) => Problem::HostUnreachable,
        (false, 3, 2) => Problem::ProtocolUnreachable,
        (false, 3, 3) | (true, 1, 4) => Problem::PortUnreachable,
        (false, 3, 4) | (true, 2, _) => Problem::TooBig(mtu),
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Problem::Prohibited,
        (false, 11, _) | (true, 3, _) => Problem::TimeExceeded,
        (false, 12, _) | (true, 4, _) => Problem::Parameter,
        _ => Problem::NetworkUnreachable,
    }
}
