//! Captures: what is in them, that Wireshark reads them, and that one seed gives one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use host::{Instant, ListenOptions, Listener, Network as _, Runtime};
use lab::units::Chance;
use lab::{CaptureConfig, Change, Impairments, Lab, LinkPlan, Loss, NodePlan, Topology};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::pcapng::{Block, Direction, Reader};

/// A home behind a translator, a lossy line, and a server.
fn topology() -> Topology {
    let line = Impairments {
        delay: Duration::from_millis(10),
        loss: Loss::Independent(Chance::percent(5)),
        corruption: Chance::percent(2),
        duplication: Chance::percent(2),
        ..Impairments::default()
    };
    Topology::new()
        .link(LinkPlan::ethernet("home").network("192.168.1.0/24".parse().unwrap()))
        .link(LinkPlan::point_to_point("line").network("203.0.113.0/30".parse().unwrap()).impair(line))
        .link(
            LinkPlan::ethernet("rack")
                .network("198.51.100.0/24".parse().unwrap())
                .network("2001:db8::/64".parse().unwrap()),
        )
        .node(NodePlan::router("box").on("home").on("line").translating("line"))
        .node(NodePlan::router("edge").on("line").on("rack"))
        .node(NodePlan::host("ann").on("home"))
        .node(NodePlan::host("server").on("rack").named("rt.lab"))
        .node(NodePlan::host("disk").on("rack"))
}

/// Ann and the disk send things to a server that sends them back. What was captured.
fn run(seed: u64, directory: Option<&Path>) -> (Lab, Vec<lab::CaptureFile>) {
    let lab = Lab::new(seed);
    let config = CaptureConfig { directory: directory.map(Path::to_owned), scenario: "echo".into() };
    lab.capture(config).unwrap();
    let network = topology().build(&lab).unwrap();
    for any in ["0.0.0.0:7", "[::]:7"] {
        network
            .run("server", move |host| async move {
                let mut listener = host.listen(any.parse().unwrap(), ListenOptions::default()).await.unwrap();
                while let Ok(mut connection) = listener.accept().await {
                    host.spawn_detached(async move {
                        let mut buffer = [0; 3_000];
                        while let Ok(read @ 1..) = connection.read(&mut buffer).await {
                            let _ = connection.write_all(&buffer[..read]).await;
                        }
                    });
                }
            })
            .unwrap();
    }
    network.at(Instant::ORIGIN + Duration::from_secs(1), Change::Cut { link: "line".into() }).unwrap();
    network.at(Instant::ORIGIN + Duration::from_secs(2), Change::Heal { link: "line".into() }).unwrap();
    let addresses = network.addresses("server").unwrap();
    for (name, address) in [("ann", addresses[0].address), ("disk", addresses[1].address)] {
        let host = network.host(name).unwrap();
        lab.block_on(async move {
            let mut connection = host.connect((address, 7).into()).await.unwrap();
            let mut back = [0; 20_000];
            for number in 0..3 {
                connection.write_all(&vec![number; back.len()]).await.unwrap();
                connection.read_exact(&mut back).await.unwrap();
                host::sleep(&host, Duration::from_millis(600)).await;
            }
            connection.shutdown().await.unwrap();
            let _ = connection.read(&mut back).await;
        });
    }
    lab.run_for(Duration::from_secs(1));
    let files = lab.finish_capture().unwrap();
    (lab, files)
}

/// One frame of a capture.
struct Frame {
    time: u64,
    direction: Direction,
    id: u64,
    comment: String,
    bytes: Vec<u8>,
}

fn frames(file: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(file).unwrap();
    let packets = Reader::new(&bytes).filter_map(|block| match block.unwrap() {
        Block::Packet(packet) => Some(Frame {
            time: packet.timestamp,
            direction: packet.direction.unwrap(),
            id: packet.id.unwrap(),
            comment: packet.comment.to_owned(),
            bytes: packet.data.to_vec(),
        }),
        _ => None,
    });
    packets.collect()
}

#[test]
fn a_packet_has_one_number_at_all_its_taps_and_what_was_lost_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (_lab, files) = run(1, Some(directory.path()));
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    let expected = [
        "ann.home.pcapng",
        "box.home.pcapng",
        "box.line.pcapng",
        "disk.rack.pcapng",
        "edge.line.pcapng",
        "edge.rack.pcapng",
        "server.rack.pcapng",
    ];
    assert_eq!(names, expected);
    let taps: BTreeMap<_, _> =
        names.iter().map(|name| (*name, frames(&directory.path().join(name)))).collect();
    for (name, frames) in &taps {
        assert!(frames.is_sorted_by_key(|frame| frame.time), "{name} is in order of time");
        assert!(frames[0].time >= 1_767_225_600_000_000_000);
    }
    // What ann sent and the server got, through the translator, is the same packet; a little of it was lost between.
    let ids = |tap: &str, direction| -> BTreeSet<u64> {
        taps[tap]
            .iter()
            .filter(|frame| frame.direction == direction && frame.bytes.len() > 1_000)
            .map(|frame| frame.id)
            .collect()
    };
    let (sent, got) =
        (ids("ann.home.pcapng", Direction::Outbound), ids("server.rack.pcapng", Direction::Inbound));
    let through: Vec<_> = sent.intersection(&got).collect();
    assert!(through.len() > 30 && through.len() < sent.len(), "{} of {}", through.len(), sent.len());
    assert!(got.is_subset(&sent.union(&ids("disk.rack.pcapng", Direction::Outbound)).copied().collect()));
    let lost =
        taps["box.line.pcapng"].iter().filter(|frame| frame.comment.contains("lost")).collect::<Vec<_>>();
    assert!(lost.iter().any(|frame| frame.comment.contains("by chance")));
    assert!(lost.iter().any(|frame| frame.comment.contains("the link is cut")));
    for frame in &lost {
        let arrived = taps["edge.line.pcapng"].iter().filter(|other| other.direction == Direction::Inbound);
        assert!(arrived.filter(|other| other.id == frame.id).count() == 0, "what was lost did not arrive");
    }
    let comments: Vec<_> = taps["ann.home.pcapng"].iter().map(|frame| frame.comment.as_str()).collect();
    assert!(comments.iter().any(|comment| comment.starts_with("new, message 1, bytes 0..")), "{comments:?}");
    assert!(comments.iter().any(|comment| comment.starts_with("sent again")), "{comments:?}");
}

#[test]
fn wireshark_finds_nothing_malformed() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: tshark is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (_lab, files) = run(2, Some(directory.path()));
    for file in files {
        let path = directory.path().join(&file.name);
        let tshark = |arguments: &[&str]| {
            let output = Command::new("tshark").arg("-r").arg(&path).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}: {}", file.name, String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        // One line for each frame: its number, and a word where it is malformed.
        let lines = tshark(&["-T", "fields", "-e", "frame.packet_id", "-e", "_ws.malformed"]);
        assert_eq!(lines.lines().count() as u64, file.frames, "{}", file.name);
        assert!(lines.lines().all(|line| line.trim().parse::<u64>().is_ok()), "{}", file.name);
        // Checksums are right where nothing has damaged them: here, what a host sends.
        if file.name.starts_with("ann") {
            let wrong = "ip.src == 192.168.1.2 && (tcp.checksum.status == 0 || ip.checksum.status == 0)";
            let checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", wrong];
            assert_eq!(tshark(&checks), "", "{}", file.name);
        }
    }
    let names = Command::new("tshark")
        .args(["-r", directory.path().join("server.rack.pcapng").to_str().unwrap(), "-N", "n", "-Y", "tcp"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&names.stdout).contains("rt.lab"), "the names are in the file");
}

/// For [`one_seed_gives_one_capture`], which starts this binary again.
const CHILD: &str = "FOURWIRE_CAPTURE_SEED";

#[test]
fn one_seed_gives_one_capture() {
    let hash = |seed| lab::capture::hash(&run(seed, None).1);
    let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if let Ok(seed) = std::env::var(CHILD) {
        println!("hash {}", hex(hash(seed.parse().unwrap())));
        return;
    }
    let first = hash(3);
    assert_eq!(first, hash(3), "twice in a process");
    assert_ne!(first, hash(4));
    let directory = tempfile::tempdir().unwrap();
    let (lab, files) = run(3, Some(directory.path()));
    assert_eq!(first, lab::capture::hash(&files), "written or not");
    assert_eq!(lab.capture_hash(), None, "it has ended");
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_seed_gives_one_capture", "--nocapture"])
        .env(CHILD, "3")
        .output()
        .unwrap();
    let output = String::from_utf8(again.stdout).unwrap();
    assert!(output.contains(&format!("hash {}", hex(first))), "in another process: {output}");
}

#[test]
fn a_capture_is_whole_when_its_lab_goes() {
    let directory = tempfile::tempdir().unwrap();
    {
        let lab = Lab::new(1);
        lab.capture(CaptureConfig { directory: Some(directory.path().into()), ..Default::default() })
            .unwrap();
        let network = topology().build(&lab).unwrap();
        let to = (network.address("server").unwrap(), 7).into();
        let ann = network.host("ann").unwrap();
        let _ = lab.block_on(async move { ann.connect(to).await });
    }
    assert!(!frames(&directory.path().join("ann.home.pcapng")).is_empty());
}

#[test]
fn what_is_sent_to_a_node_that_is_down_is_lost_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab::new(1);
    lab.capture(CaptureConfig { directory: Some(directory.path().into()), ..Default::default() }).unwrap();
    let network = topology().build(&lab).unwrap();
    let to = (network.addresses("server").unwrap()[1].address, 7).into();
    let disk = network.host("disk").unwrap();
    lab.block_on(async {
        // Refused, but now they know each other.
        disk.connect(to).await.unwrap_err();
        network.apply(&Change::Crash { node: "server".into() }).unwrap();
        let deadline = disk.now() + Duration::from_secs(3);
        assert!(host::timeout_at(&disk, deadline, disk.connect(to)).await.is_err());
    });
    lab.finish_capture().unwrap();
    let frames = frames(&directory.path().join("disk.rack.pcapng"));
    assert!(frames.iter().any(|frame| frame.comment == "handshake; nobody is there"));
}

#[test]
fn a_capture_is_whole_after_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let panicked = std::thread::spawn(move || {
        let lab = Lab::new(1);
        lab.capture(CaptureConfig { directory: Some(path), ..Default::default() }).unwrap();
        let network = topology().build(&lab).unwrap();
        let to = (network.address("server").unwrap(), 7).into();
        let ann = network.host("ann").unwrap();
        lab.block_on(async move {
            let _ = ann.connect(to).await;
            panic!("as a test does that fails");
        });
    });
    assert!(panicked.join().is_err());
    assert!(!frames(&directory.path().join("ann.home.pcapng")).is_empty());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let directory = Some(file.path().join("captures"));
    assert!(Lab::new(1).capture(CaptureConfig { directory, ..Default::default() }).is_err());
}
