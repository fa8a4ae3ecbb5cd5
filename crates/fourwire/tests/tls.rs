//! `fourwire serve` with a certificate, as those see it who believe it and those who do not.

mod process;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use process::{Server, free_address};
use rcgen::{CertificateParams, KeyPair};

#[test]
fn rooms_are_reached_over_tls_by_who_believes_the_certificate() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let data = directory.path().join("data");
    let address = free_address();
    let _server = Server::start_saying(fourwire(), address, &data, &["--tls-self-signed"]);
    let certificate = data.join("tls/certificate.pem");

    let published = publish(address, &certificate);
    assert_eq!(String::from_utf8_lossy(&published.stdout), "1\n", "{published:?}");
    let fetched = fourwire()
        .args(["get", &format!("https://{address}/health"), "--ca"])
        .arg(&certificate)
        .output()
        .expect("the program runs");
    assert!(String::from_utf8_lossy(&fetched.stdout).contains("ok"), "{fetched:?}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a real process lives in real time")]
fn a_certificate_that_changes_is_shown_from_then_on() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let (chain, key, next) = (at("chain.pem"), at("key.pem"), at("next.pem"));
    let address = free_address();
    fs::write(&key, write_certificate(&chain)).expect("a file can be written");
    let files = ["--tls-cert", chain.to_str().expect("a path"), "--tls-key", key.to_str().expect("a path")];
    let _server = Server::start_saying(fourwire(), address, &at("data"), &files);
    assert!(publish(address, &chain).status.success());

    let next_key = write_certificate(&next);
    fs::write(&key, next_key).expect("a file can be written");
    fs::copy(&next, &chain).expect("a file can be copied");
    let deadline = Instant::now() + Duration::from_secs(30);
    while fetch(address, &next).is_err() {
        assert!(Instant::now() < deadline, "the new certificate is never shown");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn fourwire() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fourwire"))
}

fn publish(address: SocketAddr, authorities: &Path) -> Output {
    let url = format!("wss://{address}");
    let publish = ["publish", &url, "lobby", "hello", "--ca"];
    fourwire().args(publish).arg(authorities).output().expect("the program runs")
}

/// Fetches once: what would not be believed ends it at once.
fn fetch(address: SocketAddr, authorities: &Path) -> Result<(), Output> {
    let url = format!("https://{address}/health");
    let output = fourwire().args(["get", &url, "--ca"]).arg(authorities).output().expect("the program runs");
    if output.status.success() { Ok(()) } else { Err(output) }
}

/// Writes a certificate for 127.0.0.1 to `path`, and gives its key.
fn write_certificate(path: &Path) -> String {
    let key = KeyPair::generate().expect("there is randomness");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    fs::write(path, params.self_signed(&key).expect("a certificate").pem()).expect("a file can be written");
    key.serialize_pem()
}
