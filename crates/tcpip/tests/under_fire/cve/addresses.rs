use std::net::SocketAddr;

use wire::tcp::{Flags, SeqNumber};

use crate::forge::{Victim, header, segment};
use crate::net::addresses;

fn syn(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    segment(from, to, header(Flags::SYN, SeqNumber(1), SeqNumber(0)), &[])
}

#[test]
fn land_cve_1999_0016_a_host_does_not_talk_to_itself() {
    let mut victim = Victim::at_home();
    for address in addresses(1) {
        let own = SocketAddr::new(address, 80);
        assert!(victim.gets(syn(own, own)).is_empty());
        assert!(victim.gets(syn(SocketAddr::new(address, 81), own)).is_empty(), "nor with another port");
    }
    assert_eq!(victim.stack.transport().connections().count(), 0);
    assert!(victim.is_well());
}

#[test]
fn martians_open_nothing_and_get_no_answer() {
    let mut victim = Victim::at_home();
    let own = SocketAddr::new(addresses(1)[0], 80);
    let nobody = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.9.0.255"];
    for source in nobody {
        assert!(victim.gets(syn(SocketAddr::new(source.parse().unwrap(), 5), own)).is_empty(), "{source}");
    }
    for source in ["::", "::1", "ff02::1"] {
        let own = SocketAddr::new(addresses(1)[1], 80);
        assert!(victim.gets(syn(SocketAddr::new(source.parse().unwrap(), 5), own)).is_empty(), "{source}");
    }
    // Nor is anybody called by a group's name.
    let from = SocketAddr::from(([192, 0, 2, 1], 5));
    for group in ["10.9.0.255", "255.255.255.255", "224.0.0.1"] {
        assert!(victim.gets(syn(from, SocketAddr::new(group.parse().unwrap(), 80))).is_empty(), "{group}");
    }
    assert_eq!(victim.stack.transport().connections().count(), 0);
    assert!(victim.is_well());
}
