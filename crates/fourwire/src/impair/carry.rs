//! Carrying connections and datagrams, and what the person at the terminal does meanwhile.

use std::time::Duration;

use host::{Listener, Runtime, sleep_until};
use kernel::{KernelHost, ShutdownSignals};
use lab::live::{PathConfig, Places};
use lab::units::Chance;
use lab::{Loss, Way};

use super::capture::Capture;
use super::fault::Fault;
use super::keys::{Key, Keys};
use super::proxies::Proxies;
use super::settings::{Api, Job, Settings};
use super::status::{self, Seen};
use super::terminal::Screen;
use super::{Error, NAME, api};

/// How often the line is written, where something has changed.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn run(host: KernelHost, settings: Settings) -> Result<(), Error> {
    let mut signals = ShutdownSignals::watch()?;
    let mut screen = Screen::new();
    let config = PathConfig {
        duplex: settings.duplex,
        mtu: settings.mtu,
        buffer: settings.buffer,
        places: Places::at_most(settings.max_connections),
        seed: settings.seed,
        ..PathConfig::default()
    };
    let proxies = Proxies::new(host.clone(), config);
    let mut capture = None;
    if let Job::Carry { listen, to, udp } = &settings.job {
        let told = proxies.add(NAME, listen, to, *udp, settings.impairments.clone(), true).await?;
        if let (Some(directory), Some(path)) = (&settings.capture, proxies.path(NAME)?) {
            let begun = Capture::begin(&host, directory, NAME);
            let begun = begun.map_err(|(path, error)| Error::Capture(path, error))?;
            path.wire().tap(begun.tap());
            capture = Some(begun);
        }
        let what = if *udp { "datagrams" } else { "connections" };
        screen.say(&format!("{what} to {} are carried to {}", told.listen, told.upstream));
    }
    open_api(&host, &settings, &proxies, &mut screen).await?;
    let mut keys = Keys::listen();
    if keys.is_some() {
        screen.say("c cut/heal, u d cut one way, o half-open, r reset, + - loss, q end");
    }
    let began = host.now();
    let mut faults = settings.faults.iter().map(|timed| (began + timed.after.into(), timed.fault)).peekable();
    let mut next_line = began + PERIOD;
    let mut seen = Seen::default();
    loop {
        let deadline = faults.peek().map_or(next_line, |(at, _)| next_line.min(*at));
        tokio::select! {
            biased;
            _ = signals.next() => break,
            key = next_key(&mut keys) => match press(key, &proxies, &mut screen)? {
                Pressed::Nothing => {}
                Pressed::Quit => break,
                Pressed::Closed => keys = None,
            },
            () = sleep_until(&host, deadline) => {
                let now = host.now();
                while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= now) {
                    strike(fault, &proxies, &mut screen)?;
                }
                if now >= next_line {
                    next_line = now + PERIOD;
                    tell(&proxies, &mut seen, &mut screen);
                    if let Some(Err(error)) = capture.as_ref().map(Capture::flush) {
                        screen.say(&format!("the capture stops: {error}"));
                        capture = None;
                    }
                }
            }
        }
    }
    drop(keys);
    screen.end();
    for (name, report) in proxies.reports() {
        screen.say(&status::summary(&name, &report));
    }
    if let Some(Err(error)) = capture.as_ref().map(Capture::flush) {
        screen.say(&format!("the capture is not whole: {error}"));
    }
    Ok(())
}

/// Opens the API, where it is wanted. At its usual place it is no more than an offer.
async fn open_api(
    host: &KernelHost,
    settings: &Settings,
    proxies: &Proxies,
    screen: &mut Screen,
) -> Result<(), Error> {
    let Some(address) = settings.api.address() else { return Ok(()) };
    match api::listen(host, address).await {
        Ok(listener) => {
            screen.say(&format!("API at http://{}", listener.local_address()));
            host.spawn_detached(api::serve(host.clone(), listener, proxies.clone()));
            Ok(())
        }
        Err(error) if settings.api == Api::Usual => {
            screen.say(&format!("no API: {address} is not free ({error}); say --api for another address"));
            Ok(())
        }
        Err(error) => Err(Error::Api(address, error)),
    }
}

/// One line for the proxy of the command line, or for each where there are others.
fn tell(proxies: &Proxies, seen: &mut Seen, screen: &mut Screen) {
    let reports = proxies.reports();
    let Some((_, report)) = reports.iter().find(|(name, _)| name == NAME).or(reports.first()) else { return };
    if screen.is_live() || seen.differs(report) {
        let line = seen.line(report.clone(), PERIOD);
        screen.status(&line);
    }
}

async fn next_key(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

enum Pressed {
    Nothing,
    Quit,
    /// There will be no more keys.
    Closed,
}

fn press(key: Key, proxies: &Proxies, screen: &mut Screen) -> Result<Pressed, Error> {
    let Key::Character(key) = key else { return Ok(Pressed::Closed) };
    let cut = |ways: &[Way]| {
        let path = proxies.path(NAME).ok().flatten();
        path.is_some_and(|path| ways.iter().any(|&way| path.wire().is_cut(way)))
    };
    let either = |cut: bool, fault| if cut { Fault::Heal } else { fault };
    let fault = match key {
        'q' => return Ok(Pressed::Quit),
        'c' => either(cut(&[Way::Out, Way::In]), Fault::Cut),
        'u' => either(cut(&[Way::Out]), Fault::CutUp),
        'd' => either(cut(&[Way::In]), Fault::CutDown),
        'h' => Fault::Heal,
        'o' => Fault::HalfOpen,
        'r' => Fault::Reset,
        '+' | '-' => {
            let loss = proxies.impair(NAME, |impairments| {
                for impairments in impairments.iter_mut() {
                    impairments.loss = Loss::Independent(step(impairments.loss, key == '+'));
                }
                impairments[0].loss
            })?;
            screen.say(&format!("loss {loss}"));
            return Ok(Pressed::Nothing);
        }
        _ => return Ok(Pressed::Nothing),
    };
    strike(fault, proxies, screen)?;
    Ok(Pressed::Nothing)
}

/// One percent more, or less.
fn step(loss: Loss, more: bool) -> Chance {
    const PERCENT: u32 = 10_000_000;
    let now = match loss {
        Loss::Independent(chance) => chance.parts(),
        Loss::GilbertElliott { .. } => 0,
    };
    let parts = if more { now.saturating_add(PERCENT) } else { now.saturating_sub(PERCENT) };
    Chance::per_billion(parts.min(100 * PERCENT))
}

fn strike(fault: Fault, proxies: &Proxies, screen: &mut Screen) -> Result<(), Error> {
    if let Some(path) = proxies.path(NAME)? {
        fault.strike(&path);
        screen.say(&fault.to_string());
    }
    Ok(())
}
