use std::time::Duration;

use fourwire_tcpip::transport::tcp::State;
use wire::tcp::{Flags, Options, SeqNumber};

use crate::forge::{Victim, header, segment, segments};
use crate::net::addresses;

#[test]
fn slipping_in_the_window_cve_2004_0230_resets_and_syns_count_only_at_the_exact_number() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options::default());
    for offset in [1, 100, 30_000, 65_534] {
        for flags in [Flags::RST, Flags::RST | Flags::ACK, Flags::SYN, Flags::SYN | Flags::ACK] {
            victim.run(Duration::from_secs(1));
            let answers = segments(&victim.gets(peer.says(flags, offset, 0, &[])));
            assert!(answers.len() <= 1 && answers.iter().all(|heard| heard.header.flags == Flags::ACK));
        }
    }
    assert!(
        victim.gets(peer.says(Flags::RST, 70_000, 0, &[])).is_empty(),
        "outside, it is not even answered"
    );
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::Established);
    victim.gets(peer.says(Flags::RST, 0, 0, &[]));
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::Closed);
}

#[test]
fn blind_data_rfc_5961_needs_a_plausible_acknowledgment() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options::default());
    for wrong in [1, 70_000, 1 << 30, 1 << 31, u32::MAX - 70_000] {
        victim.gets(peer.says(Flags::ACK, 0, wrong, b"forged"));
    }
    assert_eq!(victim.read(id), b"");
    victim.gets(peer.says(Flags::ACK, 0, 0, b"true"));
    assert_eq!(victim.read(id), b"true");
}

#[test]
fn challenge_side_channel_cve_2016_5696_one_connection_says_nothing_of_another() {
    let mut victim = Victim::at_home();
    let (one, _) = victim.call(5000, Options::default());
    let (other, _) = victim.call(5001, Options::default());
    let spent = (0..500).map(|_| victim.gets(one.says(Flags::SYN, 0, 0, &[])).len()).sum::<usize>();
    assert_eq!(spent, 10, "so many in five seconds");
    assert_eq!(victim.gets(other.says(Flags::SYN, 0, 0, &[])).len(), 1, "and another has its own count");
}

#[test]
fn tcp_split_handshake_gives_a_connection_only_to_who_called() {
    let mut victim = Victim::at_home();
    let remote = std::net::SocketAddr::from(([192, 0, 2, 1], 443));
    let mut out = crate::net::Out::default();
    let now = victim.now;
    let id = victim.stack.connect(now, None, remote, &mut out).unwrap();
    let syn = segments(&victim.run(Duration::ZERO)).remove(0).header;
    let local = std::net::SocketAddr::new(addresses(1)[0], syn.source_port);
    // The other answers with an acknowledgment, then with a SYN of its own, as if we had been called.
    victim.gets(segment(remote, local, header(Flags::ACK, SeqNumber(9), syn.sequence + 1), &[]));
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::SynSent);
    let answers = segments(&victim.gets(segment(
        remote,
        local,
        header(Flags::SYN, SeqNumber(10), SeqNumber(0)),
        b"early",
    )));
    assert_eq!(answers[0].header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(victim.read(id), b"", "nothing is delivered before the handshake is done");
    victim.gets(segment(
        remote,
        local,
        header(Flags::ACK, SeqNumber(11), syn.sequence + 2),
        b"more than was sent",
    ));
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::SynReceived);
    victim.gets(segment(remote, local, header(Flags::ACK, SeqNumber(11), syn.sequence + 1), b"now"));
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::Established);
    assert_eq!(victim.read(id), b"now");
}
