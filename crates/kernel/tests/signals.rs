//! Being asked to end. Alone in its process, for signals are the process's.
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use host::{Runtime, timeout_at};
use kernel::{ShutdownSignals, Signal};

fn send(signal: &str) {
    let pid = std::process::id();
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn each_signal_is_seen_and_none_ends_the_process() {
    kernel::run(1, |host| async move {
        let mut signals = ShutdownSignals::watch().unwrap();
        let quiet = timeout_at(&host, host.now() + Duration::from_millis(10), signals.next()).await;
        assert!(quiet.is_err());
        for (name, signal) in
            [("TERM", Signal::Terminate), ("INT", Signal::Interrupt), ("INT", Signal::Interrupt)]
        {
            send(name);
            let seen = timeout_at(&host, host.now() + Duration::from_secs(20), signals.next()).await;
            assert_eq!(seen, Ok(signal));
        }
    })
    .unwrap();
}
