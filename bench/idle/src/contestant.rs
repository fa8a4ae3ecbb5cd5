//! The servers that are compared, each started anew for each round.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server to be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// The product as it is: rooms on disk, synced before anybody sees a message.
    Fourwire,
    /// The same with rooms in memory, which is all that the peer has.
    FourwireMemory,
    /// A broadcast server on tokio-tungstenite.
    Tungstenite,
}

/// A server that runs.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    data: Option<PathBuf>,
}

impl Contestant {
    pub const ALL: [Self; 3] = [Self::Fourwire, Self::FourwireMemory, Self::Tungstenite];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fourwire => "fourwire, on disk",
            Self::FourwireMemory => "fourwire, in memory",
            Self::Tungstenite => "tokio-tungstenite",
        }
    }

    /// What a client says before it is idle.
    pub fn greetings(self) -> &'static [&'static str] {
        match self {
            Self::Fourwire | Self::FourwireMemory => {
                &[r#"{"id":1,"connect":{}}"#, r#"{"id":2,"subscribe":{"channel":"idle"}}"#]
            }
            Self::Tungstenite => &[],
        }
    }

    /// A message of 100 bytes for everyone.
    pub fn publication(self, number: u64) -> String {
        let data = format!("@@@@{number:096}");
        match self {
            Self::Fourwire | Self::FourwireMemory => {
                format!(r#"{{"id":{},"publish":{{"channel":"idle","data":"{data}"}}}}"#, number + 10)
            }
            Self::Tungstenite => data,
        }
    }

    /// Starts it, on one thread.
    pub fn start(self) -> io::Result<Running> {
        let mut data = None;
        let mut command = match self {
            Self::Tungstenite => {
                let mut command = Command::new(env::current_exe()?);
                command.arg("peer");
                command
            }
            Self::Fourwire | Self::FourwireMemory => {
                let program = env::var_os("FOURWIRE")
                    .ok_or_else(|| io::Error::other("FOURWIRE must name the binary"))?;
                let mut command = Command::new(program);
                command.args(["serve", "--listen", "127.0.0.1:0", "--shards", "1"]);
                if self == Self::Fourwire {
                    let directory =
                        env::temp_dir().join(format!("fourwire-bench-idle-{}", std::process::id()));
                    command.arg("--data").arg(&directory);
                    data = Some(directory);
                } else {
                    command.arg("--memory");
                }
                command
            }
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let mut address = None;
        for line in BufReader::new(out).lines() {
            if let Some((_, rest)) = line?.split_once("http://") {
                address = rest.trim_end_matches('/').parse().ok();
                break;
            }
        }
        let Some(address) = address else {
            child.kill()?;
            return Err(io::Error::other(format!("{} did not start", self.name())));
        };
        Ok(Running { child, address, data })
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
        if let Some(data) = &self.data {
            let _ = fs::remove_dir_all(data);
        }
    }
}
