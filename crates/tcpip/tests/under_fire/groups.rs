//! Datagrams to groups reach their members, and nobody else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::StackConfig;
use fourwire_tcpip::transport::SocketError;

use super::net::{Link, Net, ON, host};

#[test]
fn members_of_a_group_hear_what_is_said_to_it_until_they_leave() {
    for (group, any) in [("239.1.2.3", "0.0.0.0"), ("ff15::7", "::")] {
        let hosts = [0, 1].map(|side| host(side, StackConfig::default(), 1500));
        let mut net = Net::new(hosts, Link::clean(), 1);
        let group: IpAddr = group.parse().unwrap();
        let at = |port| SocketAddr::new(any.parse().unwrap(), port);
        let speaker = net.on(0, |stack, _, _| stack.bind_udp(at(0)).unwrap());
        let [member, other] =
            [700, 701].map(|port| net.on(1, |stack, _, _| stack.bind_udp(at(port)).unwrap()));
        let joined = net.on(1, |stack, now, out| stack.udp_join(now, member, group, Some(ON), out));
        assert_eq!(joined, Ok(ON));
        let heard = |net: &mut Net| {
            for port in [700, 701] {
                let to = SocketAddr::new(group, port);
                net.on(0, |stack, now, out| stack.udp_send(now, speaker, b"all", to, out).unwrap());
            }
            net.run(Duration::from_millis(100));
            [member, other].map(|id| net.hosts[1].udp_receive(id, &mut [0; 10]).is_some())
        };
        assert_eq!(heard(&mut net), [true, false]);
        net.on(1, |stack, now, out| stack.udp_leave(now, member, group, ON, out));
        assert_eq!(heard(&mut net), [false, false]);
        net.on(1, |stack, now, out| stack.udp_join(now, other, group, Some(ON), out).unwrap());
        assert_eq!(heard(&mut net), [false, true]);
        net.on(1, |stack, _, _| stack.close_udp(other));
        let [interface] = net.hosts[1].internet().interfaces() else { panic!("it has one") };
        assert!(!interface.groups().any(|joined| joined == group), "who closes has left");
        let nowhere = net.on(1, |stack, now, out| stack.udp_join(now, other, group, None, out));
        assert_eq!(nowhere, Err(SocketError::Closed));
    }
}
