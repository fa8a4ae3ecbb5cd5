//! A router of Fourwire's own: it forwards between TAP interfaces, and says so when a packet is too long or has travelled
//! too far.
//!
//!     router --port fw0=10.1.0.1/24,fd01::1/64 --port fw1=10.2.0.1/24,fd02::1/64 --via 10.3.0.0/16=10.2.0.9
//!
//! An interface's MTU is the kernel's (`ip link set fw0 mtu 1400`), read at the start. Runs until Ctrl-C or SIGTERM.

#![cfg(target_os = "linux")]

mod net;

use std::error::Error;

use clap::Parser;
use kernel::ShutdownSignals;
use tcpip::StackConfig;

/// Forward between TAP interfaces.
#[derive(Clone, Debug, Parser)]
struct Args {
    #[command(flatten)]
    net: net::Args,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let routed = kernel::run(1, |kernel| {
        let args = args.clone();
        async move {
            let mut signals = ShutdownSignals::watch()?;
            let mut config = StackConfig::default();
            config.internet.forwarding = true;
            let host = args.net.open(kernel, config)?;
            println!("the router is ready");
            signals.next().await;
            host.with_stack(|stack, _, _| println!("{:?}", stack.internet().counters()));
            Ok(())
        }
    })?;
    routed.into_iter().collect()
}
