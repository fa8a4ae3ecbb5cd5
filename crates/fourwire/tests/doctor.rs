//! `fourwire doctor` before servers that are well, and before some that are not.

#![allow(clippy::disallowed_methods, reason = "real processes live in real time")]

mod process;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use process::{Server, free_address};

#[test]
fn a_server_that_is_well_is_found_well() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let data = directory.path().join("data");
    let address = free_address();
    let _server = Server::start_saying(fourwire(), address, &data, &["--tls-self-signed"]);
    let authority = data.join("tls/certificate.pem");

    let url = format!("wss://{address}");
    let (well, said) = doctor(&[&url, "--hold", "1", "--ca", authority.to_str().expect("a path")]);
    assert!(well, "{said}");
    for found in ["the certificate is good for", "clock", "a WebSocket in", "round trip", "is not cut"] {
        assert!(said.contains(found), "{found}: {said}");
    }
    let (well, said) = doctor(&[&url, "--hold", "0"]);
    assert!(!well && said.contains("--ca FILE"), "who does not believe the certificate is told: {said}");
}

#[test]
fn nobody_there_or_nobody_who_speaks_http_is_told() {
    let (well, said) = doctor(&[&format!("ws://{}", free_address())]);
    assert!(!well && said.contains("is the server running"), "{said}");

    let mute = listen(|mut peer| {
        let _ = peer.write_all(b"220 mail.example ESMTP\r\n");
    });
    let (well, said) = doctor(&[&format!("ws://{mute}")]);
    assert!(!well && said.contains("speaks no HTTP"), "{said}");
    assert!(!said.contains("upgrade"), "nothing stands on what is not there: {said}");
}

#[test]
fn a_proxy_that_passes_no_upgrade_on_is_told() {
    let proxy = listen(|mut peer| {
        let _ = peer.read(&mut [0; 4096]);
        let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok");
    });
    let (well, said) = doctor(&[&format!("ws://{proxy}")]);
    assert!(!well && said.contains("server: nginx") && said.contains("proxy_set_header Upgrade"), "{said}");
}

#[test]
fn a_proxy_that_cuts_what_is_silent_is_told() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let address = free_address();
    let _server = Server::start(address, directory.path());
    let proxy = listen(move |near| {
        let far = TcpStream::connect(address).expect("the server is there");
        let (mut up, mut down) = (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
        let mut back = near.try_clone().expect("a handle");
        thread::spawn(move || std::io::copy(&mut up, &mut down));
        far.set_read_timeout(Some(Duration::from_millis(1500))).expect("a timeout can be set");
        let _ = std::io::copy(&mut &far, &mut back);
        for side in [near, far] {
            let _ = side.shutdown(std::net::Shutdown::Both);
        }
    });
    let (well, said) = doctor(&[&format!("ws://{proxy}"), "--hold", "20"]);
    assert!(!well && said.contains("was cut after 1 s"), "{said}");
}

fn fourwire() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fourwire"))
}

/// What it finds, and whether a client could work.
fn doctor(arguments: &[&str]) -> (bool, String) {
    let output = fourwire().arg("doctor").args(arguments).output().expect("the program runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Does the same to each who comes, in a thread of its own.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(peer));
        }
    });
    address
}
