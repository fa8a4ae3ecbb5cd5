//! `fourwire impair --between A,B`: a cable between two interfaces, with the same engine in it.

use std::time::Duration;

use host::{Runtime, sleep_until};
use kernel::{KernelHost, ShutdownSignals};
use lab::Way;
use lab::live::{Report, Unsent, Wire, bridge};
use stack::device::Packet;

use super::Error;
use super::capture::Capture;
use super::fault::Fault;
use super::settings::Settings;
use super::status::{self, Seen};
use super::terminal::Screen;

const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn run(host: KernelHost, interfaces: [String; 2], settings: Settings) -> Result<(), Error> {
    let mut signals = ShutdownSignals::watch()?;
    let mut screen = Screen::new();
    let [near, far] = &interfaces;
    let (mut near_device, mut far_device) = (Packet::open(near)?, Packet::open(far)?);
    let Settings { impairments, duplex, seed, .. } = settings;
    let wire = Wire::seeded(host.clone(), duplex, impairments, seed);
    let capture = match &settings.capture {
        Some(directory) => {
            let begun = Capture::begin(&host, directory, "between");
            let begun = begun.map_err(|(path, error)| Error::Capture(path, error))?;
            wire.tap(begun.tap());
            Some(begun)
        }
        None => None,
    };
    screen.say(&format!(
        "a cable between {near} and {far}; up is from {near} to {far}\n\
         Offloads join segments and leave checksums to hardware that is not there: turn them off on both sides of each,\n\
         ethtool -K INTERFACE tx off tso off gso off gro off"
    ));
    let began = host.now();
    let mut faults = settings.faults.iter().map(|timed| (began + timed.after.into(), timed.fault)).peekable();
    let (mut next_line, mut seen, unsent) = (began + PERIOD, Seen::default(), Unsent::default());
    let mut bridging = std::pin::pin!(bridge(&wire, &mut near_device, &mut far_device, &unsent));
    loop {
        let deadline = faults.peek().map_or(next_line, |(at, _)| next_line.min(*at));
        tokio::select! {
            biased;
            _ = signals.next() => break,
            () = sleep_until(&host, deadline) => {
                let now = host.now();
                while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= now) {
                    screen.say(&match fault {
                        Fault::Reset => "a cable knows no connections to reset".to_owned(),
                        fault => fault.to_string(),
                    });
                    fault.strike_wire(&wire);
                }
                if now >= next_line {
                    next_line = now + PERIOD;
                    let report = report(&wire);
                    if screen.is_live() || seen.differs(&report) {
                        screen.status(&seen.line(report, PERIOD));
                    }
                    if let Some(Err(error)) = capture.as_ref().map(Capture::flush) {
                        screen.say(&format!("the capture is not whole: {error}"));
                    }
                }
            }
            ended = &mut bridging => {
                let Err((which, error)) = ended else { break };
                screen.end();
                return Err(Error::Gone(interfaces[which].clone(), error));
            }
        }
    }
    screen.end();
    screen.say(&status::cable_summary(&report(&wire), &unsent));
    if let Some(Err(error)) = capture.as_ref().map(Capture::flush) {
        screen.say(&format!("the capture is not whole: {error}"));
    }
    Ok(())
}

/// A cable's report: it knows frames, and nothing above.
fn report(wire: &Wire<KernelHost>) -> Report {
    let counters = [Way::Out, Way::In].map(|way| wire.counters(way));
    Report {
        carried: counters.map(|counters| counters.delivered_bytes),
        wire: counters,
        silenced: [Way::Out, Way::In].map(|way| wire.silenced(way)),
        overflowed: [Way::Out, Way::In].map(|way| wire.overflowed(way)),
        late: [Way::Out, Way::In].map(|way| wire.lateness(way)),
        ..Report::default()
    }
}
