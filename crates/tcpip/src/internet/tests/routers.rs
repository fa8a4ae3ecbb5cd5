//! What routers say, and what is believed of it.

use super::*;

#[test]
fn ra_flood_addresses_come_from_routers_in_bounded_number_and_do_not_end_at_once() {
    use wire::ndp::{NdpOption, Options, Prefix, Router};
    let (mut layer, mut wire) = (layer(0, Config::default()), Wire::default());
    layer.enable_slaac(at(0), ID).unwrap();
    layer.handle_timeout(at(0), &mut wire);
    assert_eq!(wire.0.len(), 2, "a solicitation, and a report of the group of our address");
    let advertise = |layer: &mut Layer, network: u16, valid_lifetime: u32, lifetime: u16| {
        let prefix = Prefix {
            len: 64,
            on_link: true,
            autonomous: true,
            valid_lifetime,
            preferred_lifetime: valid_lifetime,
            prefix: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 0),
        };
        let mut bytes = [0; 32];
        NdpOption::Prefix(prefix).emit(&mut bytes);
        let router = Router { lifetime, ..Router::default() };
        let source = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, network);
        layer.advertised(at(1), ID, source, router, Options::parse(&bytes).unwrap());
    };
    advertise(&mut layer, 0, 86_400, 1800);
    let address = layer.interfaces()[0].addresses()[1];
    assert!(address.cidr.contains(ip("2001:db8::1")));
    assert_eq!(layer.hop(ip("2001:4860::1"), None).unwrap().next, ip("fe80::1:0"));
    advertise(&mut layer, 0, 1, 0);
    assert_eq!(layer.interfaces()[0].addresses()[1].valid_until, Some(at(7_201)), "the two-hour rule");
    assert!(layer.hop(ip("2001:4860::1"), None).is_err());
    for network in 0..2000 {
        advertise(&mut layer, network, 86_400, 1800);
    }
    assert_eq!((layer.interfaces()[0].addresses().len(), layer.routes().len()), (16, 8));
    layer.handle_timeout(at(100_000), &mut wire);
    assert_eq!((layer.interfaces()[0].addresses().len(), layer.routes().len()), (1, 0));
}

/// A router's advertisement, from `fe80::1:0`, with the options of `write`.
fn advertised(layer: &mut Layer, now: Instant, router: wire::ndp::Router, options: &[u8]) {
    let source = "fe80::1:0".parse().unwrap();
    layer.advertised(now, ID, source, router, wire::ndp::Options::parse(options).unwrap());
}

#[test]
fn what_routers_say_counts_within_bounds() {
    use wire::ndp::{NdpOption, Router};
    let (mut layer, mut wire) = (layer(0, Config::default()), Wire::default());
    layer.enable_slaac(at(0), ID).unwrap();
    settle(&mut layer, &mut wire, at(0));
    let option = |option: NdpOption<'_>| {
        let mut bytes = [0; 64];
        let len = option.len();
        option.emit(&mut bytes[..len]);
        bytes[..len].to_vec()
    };
    let usual = Router { lifetime: 1800, ..Router::default() };
    // An MTU that IPv6 cannot live with, or that the device has not; a hop limit that leads nowhere (CVE-2015-2922).
    for mtu in [0, 68, 1279, 9000, u32::MAX] {
        advertised(&mut layer, at(1), Router { hop_limit: 1, ..usual }, &option(NdpOption::Mtu(mtu)));
        assert_eq!((layer.interfaces()[0].mtu(false), layer.interfaces()[0].mtu(true)), (1500, 1500));
    }
    assert_eq!(layer.ttl(ip("2001:db8::9"), ID), 64);
    let router = Router { hop_limit: 255, reachable_time: 1, retransmit_timer: 1, ..usual };
    advertised(&mut layer, at(1), router, &option(NdpOption::Mtu(1400)));
    assert_eq!((layer.interfaces()[0].mtu(false), layer.interfaces()[0].mtu(true)), (1400, 1500));
    assert_eq!((layer.ttl(ip("2001:db8::9"), ID), layer.ttl(ip("10.0.0.9"), ID)), (255, 64));
    settle(&mut layer, &mut wire, at(2));
    let _ = layer.echo(at(2), &request(ip("fe80::9"), b"x"), &mut wire);
    assert!(layer.poll_timeout().unwrap() >= at(2) + Duration::from_millis(100), "no storm of questions");

    // Name servers: so many, for so long, and none that is none.
    let mut servers = vec![25, 0, 0, 0, 0, 0, 0, 60];
    for last in 1..=20 {
        servers.extend(format!("2001:db8::{last}").parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    servers.extend([0; 16]);
    servers[1] = (servers.len() / 8) as u8;
    advertised(&mut layer, at(2), usual, &servers);
    assert_eq!(layer.name_servers(at(3)).len(), 8);
    assert_eq!(layer.name_servers(at(62)), [] as [IpAddr; 0]);
    servers[7] = 0;
    advertised(&mut layer, at(3), usual, &servers);
    assert_eq!(layer.name_servers(at(3)), [] as [IpAddr; 0]);

    // RFC 4191: a network by this router, for as long as it says; nonsense is passed over.
    let route = [24, 2, 48, 0, 0, 0, 1, 0, 0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0];
    advertised(&mut layer, at(3), Router::default(), &route);
    assert_eq!(layer.hop(ip("2001:db8:7::1"), None).unwrap().next, ip("fe80::1:0"));
    assert!(layer.hop(ip("2001:db8:8::1"), None).is_err(), "it is no default router any more");
    for wrong in [
        [24, 2, 129, 0, 0, 0, 1, 0, 0x20, 1, 0xd, 0xb8, 0, 9, 0, 0],
        [24, 2, 65, 0, 0, 0, 1, 0, 0x20, 1, 0xd, 0xb8, 0, 9, 0, 0],
    ] {
        advertised(&mut layer, at(3), Router::default(), &wrong);
    }
    assert_eq!(layer.routes().len(), 1);
}

#[test]
fn a_redirect_is_believed_of_the_first_hop_only_and_in_bounded_number() {
    let (mut layer, mut wire) = (layer(0, Config::default()), Wire::default());
    layer.enable_slaac(at(0), ID).unwrap();
    settle(&mut layer, &mut wire, at(0));
    advertised(&mut layer, at(1), wire::ndp::Router { lifetime: 1800, ..Default::default() }, &[]);
    let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap();
    let far = v6("2001:db8::9");
    let next = |layer: &Layer| layer.hop(far.into(), None).unwrap().next;
    for (source, target, destination) in [
        ("fe80::bad", "fe80::bad", "2001:db8::9"),
        ("fe80::1:0", "2001:db8::bad", "2001:db8::9"),
        ("fe80::1:0", "fe80::1:0", "2001:db8::9"),
        ("fe80::1:0", "fe80::2:0", "ff15::9"),
    ] {
        layer.redirected(at(1), ID, v6(source), v6(target), v6(destination), None);
        assert_eq!(next(&layer), ip("fe80::1:0"), "{source} {target} {destination}");
    }
    layer.redirected(at(1), ID, v6("fe80::1:0"), v6("fe80::2:0"), far, Some(MAC[1]));
    assert_eq!(next(&layer), ip("fe80::2:0"));
    layer.redirected(at(2), ID, v6("fe80::2:0"), far, far, None);
    assert_eq!(next(&layer), far, "it is on the link");
    for last in 0..1000 {
        let other = std::net::Ipv6Addr::from(u128::from(v6("2001:db8:1::")) + last);
        layer.redirected(at(3), ID, v6("fe80::1:0"), v6("fe80::2:0"), other, None);
    }
    assert_eq!(layer.routes().len(), 1 + 32);
    settle(&mut layer, &mut wire, at(700));
    assert_eq!(next(&layer), ip("fe80::1:0"), "for ten minutes");
    layer.set_forwarding(true);
    layer.redirected(at(701), ID, v6("fe80::1:0"), v6("fe80::2:0"), far, None);
    assert_eq!(next(&layer), ip("fe80::1:0"), "a router knows its routes");
}

#[test]
fn a_host_that_keeps_its_secret_keeps_its_addresses() {
    let address = |secret| {
        let mut layer = layer(0, Config { secret, ..Config::default() });
        layer.random = Random::from_seed([9; 32]);
        layer.enable_slaac(at(0), ID).unwrap();
        layer.interfaces()[0].addresses()[0].cidr.address
    };
    assert_eq!(address(Some([1; 16])), address(Some([1; 16])));
    assert_ne!(address(Some([1; 16])), address(Some([2; 16])));
}
