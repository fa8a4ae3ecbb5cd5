//! `fourwire ws` against itself, through pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

const FOURWIRE: &str = env!("CARGO_BIN_EXE_fourwire");

/// A server that is ended with the test.
struct Server(Child, String);

impl Server {
    fn start(mode: &str) -> Self {
        let mut child = Command::new(FOURWIRE)
            .args(["ws", mode, "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self(child, url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn talk(url: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(FOURWIRE)
        .args(["ws", url])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Beside the reading, for pipes are short. A client that has seen enough does not read the rest.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

#[test]
fn what_goes_through_a_pipe_comes_back() {
    let server = Server::start("--echo");
    let output = talk(&server.1, &["--count", "2"], "one\nzwei €\n".as_bytes());
    assert_eq!((output.status.success(), output.stdout.as_slice()), (true, "one\nzwei €\n".as_bytes()));

    let noise: Vec<u8> =
        (0..300_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let output = talk(&server.1, &["--binary", "--linger", "0.5"], &noise);
    assert!(output.status.success() && output.stdout == noise, "{} bytes", output.stdout.len());

    let output = talk(&server.1, &["--hex", "--count", "1"], b"00 FF\n");
    assert_eq!((output.status.success(), output.stdout.as_slice()), (true, &b"00ff\n"[..]));
}

#[test]
fn what_is_expected_decides_how_it_ends() {
    let server = Server::start("--echo");
    assert!(talk(&server.1, &["--expect", "world"], b"hello world\n").status.success());
    let output = talk(&server.1, &["--expect", "moon", "--timeout", "0.3"], b"hello world\n");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not come in time"));
}

#[test]
fn load_is_reported_in_percentiles() {
    let server = Server::start("--echo");
    let output = talk(&server.1, &["--load", "3", "--seconds", "0.2", "--in-flight", "4"], b"");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && report.contains("99.9 %"), "{report}");
    // Nobody answers a server that only listens.
    let silent = Server::start("--log");
    assert!(!talk(&silent.1, &["--load", "1", "--seconds", "0.2"], b"").status.success());
}
