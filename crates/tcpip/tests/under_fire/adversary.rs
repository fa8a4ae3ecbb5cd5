//! A network that does its worst: each byte once and in order, or an error; nothing is left behind, and no timer storms.
//!
//! `FOURWIRE_SEEDS` says how many networks are tried, `FOURWIRE_SEED` which one alone.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use fourwire_tcpip::transport::tcp::congestion::Algorithm;
use fourwire_tcpip::transport::tcp::{Ecn, End, Keepalive, ReadError, Settings, State, WriteError};
use fourwire_tcpip::transport::{Config, ConnectionId, ListenerId};
use fourwire_tcpip::{Event, StackConfig};
use host::Instant;

use super::net::{Link, Net, addresses, host, pattern};

/// The program at one end of a connection.
#[derive(Debug)]
struct Program {
    id: ConnectionId,
    /// Which bytes it says, and which it hears.
    streams: [u64; 2],
    to_send: usize,
    /// It said that it has no more to say.
    shut: bool,
    sent: usize,
    heard: usize,
    /// Bytes that it reads at a time, and how often it is too busy, of ten.
    piece: usize,
    busy: u64,
    /// It gives up then.
    aborts: Option<Instant>,
    aborted: bool,
    /// It heard the end of the stream, or an error.
    finished: bool,
    failed: Option<End>,
}

impl Program {
    /// Whether it has nothing more to do.
    fn is_done(&self) -> bool {
        self.failed.is_some() || self.aborted || self.finished && self.shut
    }
}

/// How a network is made from its seed.
struct Plan {
    link: Link,
    configs: [StackConfig; 2],
    mtu: u16,
    v6: bool,
    connections: u64,
    backlog: u32,
    /// All bytes must arrive: nothing is so bad that giving up is right.
    fair: bool,
}

fn plan(net: &mut Net) -> Plan {
    let start = net.now;
    let dice = &mut net.random;
    let mut one_of = |choices: &[u64]| choices[dice.below(choices.len() as u64) as usize];
    let mut link = Link {
        delay: Duration::from_millis(one_of(&[0, 1, 10, 30, 80])),
        loss: one_of(&[0, 0, 10, 50, 150, 300]),
        duplication: one_of(&[0, 10, 200]),
        reordering: one_of(&[0, 50, 400]),
        corruption: one_of(&[0, 0, 5, 30]),
        cuts: Vec::new(),
    };
    let cuts = one_of(&[0, 0, 1, 4]);
    let (mut at, mut longest) = (start, Duration::ZERO);
    for _ in 0..cuts {
        at += Duration::from_millis(one_of(&[1, 30, 200, 3000]));
        let lasts = Duration::from_millis(one_of(&[100, 500, 3000, 30_000, 100_000_000]));
        link.cuts.push((at, at + lasts));
        (at, longest) = (at + lasts, longest.max(lasts));
    }
    let v6 = one_of(&[0, 1]) == 1;
    let mtu = if v6 { one_of(&[1280, 1500, 9000]) } else { one_of(&[296, 576, 1500, 9000]) };
    let memory = one_of(&[128 << 10, 256 << 20, 256 << 20]) as usize;
    let patience = one_of(&[0, 0, 20, 300]);
    let configs = [0, 1].map(|_| StackConfig {
        transport: Config { memory, ..Config::default() },
        settings: Settings {
            send_buffer: one_of(&[500, 5000, 60_000]) as usize,
            receive_buffer: one_of(&[2048, 5000, 100_000, 4 << 20]) as usize,
            nodelay: one_of(&[0, 1]) == 1,
            algorithm: Algorithm::ALL[one_of(&[0, 1]) as usize],
            ecn: [Ecn::Off, Ecn::Passive, Ecn::On][one_of(&[0, 1, 2]) as usize],
            user_timeout: (patience > 0).then(|| Duration::from_secs(patience)),
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(100),
                interval: Duration::from_secs(10),
                probes: 6,
            }),
            ..Settings::default()
        },
        ..StackConfig::default()
    });
    let backlog = one_of(&[1, 16, 16]) as u32;
    let bad = link.loss > 150 || longest > Duration::from_secs(5) || patience > 0 || backlog == 1;
    let connections = one_of(&[1, 2, 5]);
    Plan { fair: !bad && memory > 1 << 20, link, configs, mtu: mtu as u16, v6, connections, backlog }
}

fn play(seed: u64) {
    let mut net = Net::new([0, 1].map(|side| host(side, StackConfig::default(), 1500)), Link::clean(), seed);
    let Plan { link, configs, mtu, v6, connections, backlog, fair } = plan(&mut net);
    let [one, other] = configs;
    net.hosts = [host(0, one, mtu), host(1, other, mtu)];
    net.link = link;
    let at = [0, 1].map(|side| SocketAddr::new(addresses(side)[usize::from(v6)], 80));
    let listeners = [0, 1].map(|side| net.on(side, |stack, _, _| stack.listen(at[side], backlog).unwrap()));
    let mut programs: [Vec<Program>; 2] = Default::default();
    for number in 0..connections {
        let side = (number % 2) as usize;
        let id = net.on(side, |stack, now, out| stack.connect(now, None, at[1 - side], out).unwrap());
        let port = u64::from(net.hosts[side].connection(id).unwrap().endpoints().local.port());
        let program = program(&mut net, id, [port, port + 1]);
        programs[side].push(program);
    }
    let (start, mut storm) = (net.now, Storm::default());
    let (mut done, mut quiet) = (0, 0);
    while programs.iter().flatten().any(|program| !program.is_done()) {
        for side in 0..2 {
            accept(&mut net, side, listeners[side], &mut programs[side]);
            net.events[side].clear();
            for program in &mut programs[side] {
                work(&mut net, side, program);
            }
        }
        let now: usize = programs.iter().flatten().map(|program| program.sent + program.heard).sum();
        quiet = if std::mem::replace(&mut done, now) == now { quiet + 1 } else { 0 };
        let tick = net.now + Duration::from_millis(if quiet < 100 { 50 } else { 5000 });
        if !net.step(tick) {
            net.now = tick;
        }
        storm.look(&net, seed);
        if net.now.since(start) > Duration::from_secs(20_000) {
            let states = [0, 1].map(|side| -> Vec<_> {
                let connections = net.hosts[side].transport().connections();
                connections.map(|(_, flow, connection)| (flow, connection.info())).collect()
            });
            panic!("seed {seed}: it does not end: {states:#?} {programs:#?}");
        }
    }
    finish(&mut net, &mut programs, listeners, seed);
    let cookies = net.hosts.iter_mut().any(|host| host.transport().counters().cookies_out > 0);
    judge(&programs, fair && !cookies, cookies, seed);
}

/// Lets all go: nothing stays behind, and there is peace.
fn finish(net: &mut Net, programs: &mut [Vec<Program>; 2], listeners: [ListenerId; 2], seed: u64) {
    for side in 0..2 {
        net.on(side, |stack, now, _| stack.unlisten(now, listeners[side]));
        for program in &mut programs[side] {
            let end = net.on(side, |stack, now, _| {
                let end = stack.connection(program.id).and_then(|connection| connection.end());
                stack.release(now, program.id);
                end
            });
            program.failed = program.failed.or(end.filter(|end| *end != End::Closed));
        }
    }
    let before = net.packets;
    net.run(Duration::from_secs(1200));
    assert!(net.packets - before < 600, "seed {seed}: {} packets after the end", net.packets - before);
    for side in 0..2 {
        let transport = net.hosts[side].transport();
        let left: Vec<_> = transport.connections().map(|(_, _, connection)| connection.state()).collect();
        assert!(left.is_empty() && transport.time_waits().count() == 0, "seed {seed}: {left:?} are left");
        let memory = transport.memory();
        assert_eq!((memory.held, memory.starved, memory.time_waits), (0, 0, 0), "seed {seed}");
        assert_eq!(transport.poll_timeout(), None, "seed {seed}: a timer is left");
    }
}

/// Every end has heard all, or an error; where nothing was too bad, all.
fn judge(programs: &[Vec<Program>; 2], fair: bool, cookies: bool, seed: u64) {
    // A late copy of the acknowledgment that brought a cookie back opens a connection once more, to a peer that knows nothing
    // of it: then one end has several others, and has talked with one of them.
    let mut ends: BTreeMap<_, Vec<&Program>> = BTreeMap::new();
    for program in programs.iter().flatten() {
        ends.entry(program.streams).or_default().push(program);
    }
    for program in programs.iter().flatten() {
        let others = ends.get(&[program.streams[1], program.streams[0]]).map_or(&[][..], Vec::as_slice);
        assert!(cookies || others.len() <= 1, "seed {seed}: {} ends for one", others.len());
        let said = others.iter().map(|other| other.sent).max().unwrap_or(0);
        assert!(program.heard <= said, "seed {seed}: bytes out of nothing");
        if program.finished {
            let whole = others.iter().any(|other| other.to_send == program.heard);
            assert!(whole, "seed {seed}: the end came too early, after {} bytes", program.heard);
        } else {
            assert!(
                program.failed.is_some() || program.aborted,
                "seed {seed}: neither all bytes nor an error"
            );
        }
        let aborted = program.aborted || others.iter().any(|other| other.aborted);
        let whole = program.finished && program.failed.is_none() && program.sent == program.to_send;
        assert!(
            !fair || aborted || whole,
            "seed {seed}: {:?} after {} bytes of {} that were said, {} sent",
            program.failed,
            program.heard,
            said,
            program.sent
        );
    }
}

fn program(net: &mut Net, id: ConnectionId, streams: [u64; 2]) -> Program {
    let now = net.now;
    let dice = &mut net.random;
    let mut one_of = |choices: &[u64]| choices[dice.below(choices.len() as u64) as usize];
    let aborts = one_of(&[0, 0, 0, 0, 0, 0, 0, 100, 2000]);
    Program {
        id,
        streams,
        to_send: one_of(&[0, 1, 3000, 30_000, 120_000]) as usize,
        shut: false,
        sent: 0,
        heard: 0,
        piece: one_of(&[100, 3000, 60_000]) as usize,
        busy: one_of(&[0, 3, 8]),
        aborts: (aborts > 0).then(|| now + Duration::from_millis(aborts)),
        aborted: false,
        finished: false,
        failed: None,
    }
}

fn accept(net: &mut Net, side: usize, listener: ListenerId, programs: &mut Vec<Program>) {
    if net.events[side].contains(&Event::Incoming(listener)) {
        while let Some(id) = net.on(side, |stack, _, _| stack.accept(listener)) {
            let port = net.hosts[side].connection(id).unwrap().endpoints().remote.port();
            let program = program(net, id, [u64::from(port) + 1, u64::from(port)]);
            programs.push(program);
        }
    }
}

/// Writes and reads some, says when there is no more, and gives up when it is to.
fn work(net: &mut Net, side: usize, program: &mut Program) {
    if program.is_done() || net.random.below(10) < program.busy {
        return;
    }
    if program.aborts.is_some_and(|at| at <= net.now) {
        program.aborted = true;
        let id = program.id;
        net.on(side, |stack, now, _| stack.connection(id).unwrap().abort(now));
        return;
    }
    let (len, piece) = (1 + net.random.below(8000) as usize, program.piece);
    net.on(side, |stack, now, _| {
        let mut connection = stack.connection(program.id).expect("it is held");
        let len = len.min(program.to_send - program.sent);
        let open = matches!(connection.state(), State::Established | State::CloseWait);
        if len > 0 {
            let bytes = pattern(program.streams[0], program.sent, len);
            let can = connection.is_writable();
            match connection.write(now, &[IoSlice::new(&bytes)]) {
                Ok(len) => program.sent += len,
                Err(WriteError::WouldBlock) => assert!(!can, "it said that it was writable"),
                Err(WriteError::Ended(end)) => program.failed = Some(end),
                Err(WriteError::ShutDown) => panic!("nobody shut it down"),
            }
        } else if open {
            connection.shutdown(now);
            program.shut = true;
        }
        if program.finished {
            // It heard all, and then the other gave up.
            program.failed = connection.end().filter(|end| *end != End::Closed && !program.shut);
            return;
        }
        let mut buffer = vec![0; piece];
        let can = connection.is_readable();
        match connection.read(now, &mut buffer) {
            Ok(0) => program.finished = true,
            Ok(len) => {
                assert_eq!(buffer[..len], pattern(program.streams[1], program.heard, len), "wrong bytes");
                program.heard += len;
            }
            Err(ReadError::WouldBlock) => assert!(!can, "it said that it was readable"),
            Err(ReadError::Ended(end)) => program.failed = Some(end),
        }
    });
}

/// Looks whether timers run out more often than anything happens.
#[derive(Default)]
struct Storm {
    second: u64,
    timeouts: u64,
    packets: u64,
}

impl Storm {
    fn look(&mut self, net: &Net, seed: u64) {
        let second = net.now.as_nanos() / 1_000_000_000;
        if second == self.second {
            return;
        }
        let (timeouts, packets) = (net.timeouts - self.timeouts, net.packets - self.packets);
        // A delayed acknowledgment, a retransmission and a look at what was overtaken for each packet, at most.
        assert!(
            timeouts <= 3 * packets + 20,
            "seed {seed}: {timeouts} timeouts, {packets} packets in a second"
        );
        (self.second, self.timeouts, self.packets) = (second, net.timeouts, net.packets);
    }
}

#[test]
fn each_byte_comes_once_and_in_order_or_there_is_an_error() {
    let number = |name: &str| std::env::var(name).ok().and_then(|count| count.parse().ok());
    if let Some(seed) = number("FOURWIRE_SEED") {
        return play(seed);
    }
    for seed in 0..number("FOURWIRE_SEEDS").unwrap_or(100) {
        play(seed);
    }
}
