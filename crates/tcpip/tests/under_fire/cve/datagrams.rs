use std::net::SocketAddr;
use std::time::Duration;

use wire::Protocol;

use crate::forge::{Victim, datagram};
use crate::net::addresses;

#[test]
fn loops_cve_1999_0103_and_cve_2024_2169_nothing_here_answers_by_itself_and_not_to_itself() {
    let mut victim = Victim::at_home();
    let own = SocketAddr::new(addresses(1)[0], 7);
    let socket = victim.stack.bind_udp(own).unwrap();
    // A datagram from ourselves, as if two of our services were to talk.
    assert!(victim.gets(datagram(own, own, b"loop")).is_empty());
    assert!(victim.gets(datagram(SocketAddr::new(own.ip(), 19), own, b"loop")).is_empty());
    assert_eq!(victim.stack.udp_receive(socket, &mut [0; 10]), None);
    assert!(victim.is_well());
}

#[test]
fn storms_of_unreachable_errors_are_limited_and_groups_get_none() {
    let mut victim = Victim::at_home();
    let to = SocketAddr::new(addresses(1)[0], 9999);
    let mut answers = 0;
    for source in 0..=255u8 {
        for port in 0..20 {
            let from = SocketAddr::from(([192, 0, 2, source], 1000 + port));
            let errors = victim.gets(datagram(from, to, &[0; 1000]));
            assert!(errors.iter().all(|error| error[9] == Protocol::ICMP.0 && error.len() <= 576));
            answers += errors.len();
        }
    }
    assert!((1..=60).contains(&answers), "{answers} errors at once");
    victim.run(Duration::from_secs(1));
    for group in ["10.9.0.255", "255.255.255.255", "224.0.0.1"] {
        let to = SocketAddr::new(group.parse().unwrap(), 9999);
        assert!(victim.gets(datagram(SocketAddr::from(([192, 0, 2, 1], 5)), to, b"?")).is_empty(), "{group}");
    }
    assert!(victim.is_well());
}
