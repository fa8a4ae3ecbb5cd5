use wire::tcp::{Flags, Header, Options};

use crate::forge::{Victim, header, segment};

#[test]
fn urgent_11_cve_2019_12255_and_infra_halt_cve_2020_35683_the_urgent_pointer_moves_nothing() {
    let mut victim = Victim::at_home();
    for urgent in [0u16, 1, 4, 5, 6, 100, 0x7fff, 0x8000, 0xffff] {
        for flags in [Flags::URG, Flags::URG | Flags::PSH, Flags::URG | Flags::FIN] {
            let (mut peer, id) = victim.call(2000 + urgent % 1000 + flags.0, Options::default());
            let mut said = Vec::new();
            for part in [&b"hello"[..], b"", b"x", b"world"] {
                let last = part == b"world";
                let flags = if last { flags } else { Flags(flags.0 & !Flags::FIN.0) };
                let with = Header { urgent, ..header(flags | Flags::ACK, peer.next, peer.wants) };
                victim.gets(segment(peer.us, peer.host, with, part));
                peer.next += part.len() as u32;
                said.extend_from_slice(part);
            }
            assert_eq!(victim.read(id), said, "{urgent} {flags:?}");
            victim.gets(peer.says(Flags::RST, u32::from(flags.contains(Flags::FIN)), 0, &[]));
            victim.stack.release(victim.now, id);
            victim.run(std::time::Duration::ZERO);
        }
    }
    // In a SYN, and in a segment for nobody.
    let (peer, _) = victim.call(9, Options::default());
    for flags in [Flags::SYN | Flags::URG, Flags::URG, Flags::URG | Flags::RST] {
        let with = Header { urgent: 0xffff, ..header(flags, peer.next, peer.wants) };
        victim.gets(segment(peer.us, peer.host, with, b"?"));
    }
    assert!(victim.is_well());
}
