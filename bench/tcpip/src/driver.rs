//! Linux's end: what a contestant is given to do, and how fast it did it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::{CONTESTANT, ECHO, SINK, SOURCE, pin};

/// What is written and read at once, in bytes.
const CHUNK: usize = 256 << 10;
/// A small message, in bytes.
const MESSAGE: usize = 64;
const WARM_UP: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
pub(crate) enum Task {
    To,
    From,
    PingPong,
}

impl Task {
    pub(crate) const ALL: [Self; 3] = [Self::To, Self::From, Self::PingPong];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::To => "bulk from Linux",
            Self::From => "bulk to Linux",
            Self::PingPong => "64 bytes to and fro",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::To | Self::From => "Gbit/s",
            Self::PingPong => "1000/s",
        }
    }

    /// Bulk has a core for each end; what goes to and fro has one for both, where nobody has to wake another core.
    pub(crate) fn contestants_core(self) -> usize {
        match self {
            Self::To | Self::From => 1,
            Self::PingPong => 0,
        }
    }
}

/// Gives the running contestant something to do, for a while; its result is in the task's unit.
pub(crate) fn run(task: Task, time: Duration) -> io::Result<f64> {
    pin(0)?;
    let port = match task {
        Task::To => SINK,
        Task::From => SOURCE,
        Task::PingPong => ECHO,
    };
    let mut stream = connect(port)?;
    let mut chunk = vec![7; if matches!(task, Task::PingPong) { MESSAGE } else { CHUNK }];
    let mut once = |stream: &mut TcpStream| -> io::Result<usize> {
        match task {
            Task::To => stream.write(&chunk),
            Task::From => match stream.read(&mut chunk)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            },
            Task::PingPong => {
                stream.write_all(&chunk)?;
                stream.read_exact(&mut chunk)?;
                Ok(1)
            }
        }
    };
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        once(&mut stream)?;
    }
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < time {
        done += once(&mut stream)?;
    }
    let per_second = done as f64 / begun.elapsed().as_secs_f64();
    Ok(match task {
        Task::To | Task::From => per_second * 8.0 / 1e9,
        Task::PingPong => per_second / 1e3,
    })
}

/// Connects as soon as the contestant listens.
fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((CONTESTANT, port));
    let begun = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                rustix::net::sockopt::set_tcp_congestion(&stream, "cubic")?;
                return Ok(stream);
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
