//! The built program as a process, and its HTTP API, with nothing but the standard library.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::disallowed_methods, reason = "a real process lives in real time")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// `fourwire serve`, running, and the pipe that it writes to. Killed when dropped.
pub(crate) struct Server(Child, BufReader<ChildStdout>);

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start(address: SocketAddr, data: &Path) -> Self {
        Self::start_with(Command::new(env!("CARGO_BIN_EXE_fourwire")), address, data)
    }

    /// The same, by a command that goes on to run the program with the arguments that come.
    pub(crate) fn start_with(command: Command, address: SocketAddr, data: &Path) -> Self {
        Self::start_saying(command, address, data, &[])
    }

    /// The same, with arguments behind those.
    pub(crate) fn start_saying(
        mut command: Command,
        address: SocketAddr,
        data: &Path,
        more: &[&str],
    ) -> Self {
        command
            .args(["serve", "--shards", "2", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .args(more);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOURWIRE_") {
                command.env_remove(name);
            }
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        // Its own word counts: who only tries to connect may meet himself, where nobody listens yet.
        let mut line = String::new();
        while !line.contains("is ready") {
            line.clear();
            if output.read_line(&mut line).expect("the program writes text") == 0 {
                panic!("the server ended: {}", child.wait().expect("the program can be waited for"));
            }
        }
        Self(child, output)
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// An address on which nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

/// A connection to the HTTP API.
pub(crate) struct Api(BufReader<TcpStream>);

impl Api {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The whole answer: `result` or `error`. An `Err` says nothing about whether it was done.
    pub(crate) fn call(&mut self, method: &str, request: &Value) -> io::Result<Value> {
        let body = request.to_string();
        let request = format!(
            "POST /api/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        serde_json::from_slice(&body).map_err(io::Error::from)
    }

    /// All publications of a room: offset and data.
    pub(crate) fn history(&mut self, channel: &str) -> Vec<(u64, Value)> {
        let mut all: Vec<(u64, Value)> = Vec::new();
        loop {
            let since = all.last().map_or(0, |(offset, _)| *offset);
            let request =
                serde_json::json!({ "channel": channel, "limit": -1, "since": { "offset": since } });
            let answer = self.call("history", &request).expect("the server answers");
            let result = answer.get("result").unwrap_or_else(|| panic!("no history of {channel}: {answer}"));
            let page = result["publications"].as_array().cloned().unwrap_or_default();
            for publication in page {
                all.push((publication["offset"].as_u64().unwrap_or(0), publication["data"].clone()));
            }
            let last = all.last().map_or(0, |(offset, _)| *offset);
            if last == since || last == result["offset"].as_u64().unwrap_or(0) {
                return all;
            }
        }
    }
}
