//! `fourwire impair` as a process: carries, is changed while it runs, and ends with a summary.
#![cfg(unix)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fourwire");

/// A running one. Killed when dropped.
struct Impair {
    child: Child,
    out: BufReader<ChildStdout>,
    address: SocketAddr,
    api: SocketAddr,
}

impl Impair {
    fn start(to: SocketAddr, more: &[&str]) -> Self {
        let to = to.to_string();
        let common = ["impair", "--listen", "127.0.0.1:0", "--to", &to, "--api", "127.0.0.1:0"];
        let mut child = command(&common).args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line
        };
        let address = line().split(' ').nth(2).unwrap().parse().unwrap();
        let api = line().trim_end().rsplit('/').next().unwrap().parse().unwrap();
        Self { child, out, address, api }
    }

    fn set(&self, what: &[&str]) -> Output {
        command(&["impair", "set", "--api", &self.api.to_string()]).args(what).output().unwrap()
    }

    /// The status and the body of what the API answers.
    fn call(&self, method: &str, path: &str, field: &str) -> String {
        let mut stream = TcpStream::connect(self.api).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{field}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ctrl-C: how it ended, and what it said since the beginning.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Impair {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FOURWIRE_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Sends back what comes, until the other side ends.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn echo(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    let mut writing = stream.try_clone()?;
    let sent = bytes.to_vec();
    let writer = thread::spawn(move || writing.write_all(&sent).and(writing.shutdown(Shutdown::Write)));
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    writer.join().unwrap().map(|()| got)
}

#[test]
fn it_carries_is_changed_and_tells() {
    let captures = tempfile::tempdir().unwrap();
    let directory = captures.path().to_str().unwrap();
    let impair = Impair::start(echo_server(), &["--loss", "2%", "--seed", "7", "--capture", directory]);
    let sent: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 + at / 251) as u8).collect();
    assert!(echo(impair.address, &sent).unwrap() == sent);

    let refused = impair.set(&["--loss", "3"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("unit"));
    assert!(impair.set(&["--loss", "0%", "--up-delay", "60ms"]).status.success());
    let began = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert_eq!(echo(impair.address, b"x").unwrap(), b"x");
    let took = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() - began;
    assert!(took.as_millis() >= 60, "{took:?}");

    let proxies = impair.call("GET", "/proxies", "");
    assert!(proxies.starts_with("HTTP/1.1 200") && proxies.contains("\"impair\":{"), "{proxies}");
    assert!(impair.call("GET", "/proxies/impair/report", "").contains("\"sent_again\""));
    assert!(impair.call("GET", "/proxies/other", "").starts_with("HTTP/1.1 404"));
    assert!(impair.call("GET", "/proxies", "Origin: http://evil.example\r\n").starts_with("HTTP/1.1 403"));

    let (code, said) = impair.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("impair: 2 connections carried") && said.contains("lost: by chance"), "{said}");
    for end in ["near", "far"] {
        let length = captures.path().join(format!("impair-{end}.pcapng")).metadata().unwrap().len();
        assert!(length > 600_000, "{length} bytes of what passed the {end} end");
    }
}

#[test]
fn what_cannot_be_done_is_said_and_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, word) in [
        (&["impair", "--listen", &taken, "--to", "127.0.0.1:1", "--no-api"][..], "cannot listen"),
        (&["impair", "--listen", "127.0.0.1:0", "--no-api"], "--to"),
        (&["impair", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--api", &taken], "API"),
        (&["impair", "set", "--api", "127.0.0.1:1", "heal"], "Nobody answers"),
        (&["impair", "set"], "what is to be different"),
    ] {
        let output = command(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(&word.to_lowercase()), "{args:?}: {said}");
    }
}

#[test]
fn a_refused_target_resets_the_client() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let impair = Impair::start(nobody, &[]);
    assert_eq!(echo(impair.address, b"x").unwrap_err().kind(), ErrorKind::ConnectionReset);
}
