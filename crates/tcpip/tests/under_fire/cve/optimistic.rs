use wire::tcp::{Flags, Options};

use crate::forge::Victim;

fn window(victim: &mut Victim, id: fourwire_tcpip::transport::ConnectionId) -> u32 {
    victim.stack.connection(id).unwrap().info().recovery.congestion_window
}

#[test]
fn optimistic_acknowledgments_of_what_was_never_sent_do_not_count() {
    // Savage, Cardwell, Wetherall, Anderson 1999.
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options { max_segment_size: Some(1460), ..Options::default() });
    let sent: usize = victim.write(id, &[1; 100_000]).iter().map(|heard| heard.payload.len()).sum();
    let before = window(&mut victim, id);
    for ahead in 1..100 {
        let answers = victim.gets(peer.says(Flags::ACK, 0, sent as u32 + ahead * 1460, &[]));
        assert!(answers.len() <= 1, "a challenge, and no data");
    }
    assert_eq!(window(&mut victim, id), before);
    assert_eq!(victim.stack.connection(id).unwrap().unsent(), 100_000);
}

#[test]
fn divided_acknowledgments_grow_the_window_by_bytes_not_by_number() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options { max_segment_size: Some(1460), ..Options::default() });
    victim.write(id, &[1; 1_000_000]);
    let before = window(&mut victim, id);
    for byte in 1..=1460 {
        victim.gets(peer.says(Flags::ACK, 0, byte, &[]));
    }
    assert!(window(&mut victim, id) <= before + 1460, "one segment was acknowledged");
}

#[test]
fn repeated_acknowledgments_let_no_more_leave_than_was_in_flight() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options { max_segment_size: Some(1460), ..Options::default() });
    let first: usize = victim.write(id, &vec![1; 1_500_000]).iter().map(|heard| heard.payload.len()).sum();
    let mut more = 0;
    for _ in 0..10_000 {
        let answers = crate::forge::segments(&victim.gets(peer.says(Flags::ACK, 0, 0, &[])));
        more += answers.iter().map(|heard| heard.payload.len()).sum::<usize>();
    }
    // Each may stand for a segment that has left the network, of those that were in it.
    assert!(more <= 65_535 + first, "{more} bytes for nothing");
    assert!(victim.is_well());
}
