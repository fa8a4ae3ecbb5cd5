//! The servers that are compared, each started anew for each round.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::workload::{Over, Workload};

/// A server to be compared, by its name in `serve`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Contestant(&'static str);

/// A server that runs.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Contestant {
    /// We ourselves first; then the floors, then the peers, each by its default and, where it has one, by hand-made
    /// batches.
    const ALL: [Self; 12] = [
        Self("fourwire"),
        Self("epoll"),
        Self("tokio"),
        Self("fastwebsockets"),
        Self("tokio-websockets"),
        Self("tokio-websockets batched"),
        Self("sockudo-ws"),
        Self("sockudo-ws batched"),
        Self("yawc"),
        Self("yawc batched"),
        Self("tokio-tungstenite"),
        Self("tokio-tungstenite batched"),
    ];

    /// Those that can do `workload`. Batches make a difference only where several messages are at hand.
    pub fn for_workload(workload: &Workload) -> Vec<Self> {
        let able = |contestant: &&Self| match (contestant.0, workload.over) {
            (name, _) if name.ends_with(" batched") && workload.in_flight == 1 => false,
            ("epoll", over) => over == Over::Tcp,
            ("tokio", over) => over != Over::Deflate,
            ("fourwire" | "yawc", _) => true,
            (_, over) => over != Over::Deflate,
        };
        Self::ALL.iter().filter(able).copied().collect()
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether it sends back bytes, and knows nothing of WebSocket.
    pub fn is_raw(self) -> bool {
        matches!(self.0, "epoll" | "tokio")
    }

    /// Starts it, with one thread, on core 0.
    pub fn start(self, workload: &Workload) -> io::Result<Running> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        if self.0 == "fourwire" {
            let program =
                env::var_os("FOURWIRE").ok_or_else(|| io::Error::other("FOURWIRE must name the binary"))?;
            command.arg(program).args(["ws", "--echo", "--threads", "1", "--listen", "127.0.0.1:0"]);
            if workload.over == Over::Tls {
                command.arg("--tls-self-signed");
            }
            if workload.streamed {
                command.arg("--pieces");
            }
        } else {
            command.arg(env::current_exe()?).args(["serve", self.0, workload.over.name()]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        match line.trim().rsplit_once("//").map(|(_, address)| address.parse()) {
            Some(Ok(address)) => Ok(Running { child, address }),
            _ => {
                child.kill()?;
                Err(io::Error::other(format!("{} did not start", self.0)))
            }
        }
    }
}

impl Running {
    /// Nanoseconds of CPU that its threads have used.
    pub fn cpu_nanos(&self) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
            sum += nanos.ok_or_else(|| io::Error::other("no schedstat"))?;
        }
        Ok(sum)
    }

    /// Bytes of memory that it holds (VmRSS).
    pub fn resident(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
