//! Asking another host whether it is there, what to do about a host that has our address, and groups, in virtual time.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use host::{Datagrams, Network, Runtime, timeout_at};
use lab::{Chance, Impairments, Lab, LabHost, Link, LinkEnd, Machine, Way};
use stack::{EchoAnswer, StackHost};
use tcpip::StackConfig;
use tcpip::internet::{Cidr, Problem};
use trace::Tracer;

type Host = StackHost<LabHost, LinkEnd>;

/// A machine with our own stack, on `link`, where everything comes twice.
fn host(lab: &Lab, link: &Link, name: &str, last: u8, address: IpAddr) -> (Host, Machine) {
    let machine = lab.machine(name, [10, 9, 9, last].into(), 1);
    let mut config = StackConfig::default();
    config.internet.detect_duplicates = true;
    let host = StackHost::new(machine.host(), config, Tracer::OFF);
    let interface = host.attach("eth0", link.attach(&machine)).expect("an interface");
    link.impair(
        &machine,
        Way::Out,
        Impairments { duplication: Chance::percent(100), ..Impairments::default() },
    );
    host.with_stack(|stack, now, _| stack.add_address(now, interface, Cidr::new(address, 24)))
        .expect("a host's address");
    (host, machine)
}

async fn answer(host: &Host, echo: &mut stack::StackEcho<LabHost, LinkEnd>) -> Option<EchoAnswer> {
    let deadline = host.now() + Duration::from_secs(10);
    timeout_at(host, deadline, poll_fn(|context| echo.poll_receive(context))).await.ok()
}

#[test]
fn who_is_there_answers_and_of_who_is_not_we_are_told() {
    for [own, there, nobody] in
        [["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["2001:db8::1", "2001:db8::2", "2001:db8::3"]]
    {
        let [own, there, nobody] =
            [own, there, nobody].map(|text| text.parse::<IpAddr>().expect("an address"));
        let lab = Lab::new(7);
        let link = lab.link("lan", 1_500);
        let (asking, _) = host(&lab, &link, "asking", 1, own);
        let (answering, _) = host(&lab, &link, "there", 2, there);
        lab.block_on(async {
            asking.addresses_ready().await.expect("nobody has it");
            answering.addresses_ready().await.expect("nobody has it");
            let mut echo = asking.echo().expect("an identifier");
            let mut other = asking.echo().expect("another one");
            echo.send(there, 5, None, b"hello").expect("sent");
            for _ in 0..2 {
                let Some(EchoAnswer::Reply { source, sequence, ttl, data }) =
                    answer(&asking, &mut echo).await
                else {
                    panic!("no reply")
                };
                assert_eq!((source, sequence, ttl, &data[..]), (there, 5, 64, &b"hello"[..]));
            }
            while answer(&asking, &mut echo).await.is_some() {}
            echo.send(nobody, 6, None, b"hello").expect("sent");
            let failed = EchoAnswer::Failed { reporter: own, problem: Problem::HostUnreachable, sequence: 6 };
            assert_eq!(answer(&asking, &mut echo).await, Some(failed));
            assert_eq!(answer(&asking, &mut other).await, None, "that one asked nobody");
            assert!(echo.send([192, 0, 2, 1].into(), 7, None, b"").is_err(), "no route");
        });
    }
}

#[test]
fn who_comes_second_to_an_address_is_told_and_the_first_keeps_it() {
    for address in ["10.0.0.1", "fe80::1"] {
        let address: IpAddr = address.parse().expect("an address");
        let lab = Lab::new(3);
        let link = lab.link("lan", 1_500);
        let (first, _) = host(&lab, &link, "first", 1, address);
        lab.block_on(first.addresses_ready()).expect("nobody has it");
        let (second, _) = host(&lab, &link, "second", 2, address);
        let error = lab.block_on(second.addresses_ready()).expect_err("somebody has it");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        lab.block_on(first.addresses_ready()).expect("it is still his");
    }
}

#[test]
fn members_of_a_group_hear_what_is_sent_to_it_until_they_leave() {
    for [one, other, group] in
        [["10.0.0.1", "10.0.0.2", "239.1.2.3"], ["2001:db8::1", "2001:db8::2", "ff15::9"]]
    {
        let [one, other, group] = [one, other, group].map(|text| text.parse::<IpAddr>().expect("an address"));
        let lab = Lab::new(5);
        let link = lab.link("lan", 1_500);
        let [(one, _), (other, _)] = [host(&lab, &link, "one", 1, one), host(&lab, &link, "other", 2, other)];
        lab.block_on(async {
            one.addresses_ready().await.expect("nobody has it");
            other.addresses_ready().await.expect("nobody has it");
            let any = |port: u16| match group {
                IpAddr::V4(_) => std::net::SocketAddr::from(([0; 4], port)),
                IpAddr::V6(_) => std::net::SocketAddr::from(([0; 16], port)),
            };
            let mut sender = one.bind(any(7_000)).await.expect("a free port");
            let mut member = other.bind(any(7_000)).await.expect("a free port");
            let wrong = member.join([10, 0, 0, 2].into(), None).expect_err("no group");
            assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
            let on = member.join(group, None).expect("joined");
            let mut buffer = [0; 9];
            for joined in [true, false] {
                let to = std::net::SocketAddr::new(group, 7_000);
                poll_fn(|context| sender.poll_send(context, b"hello", to)).await.expect("sent");
                let deadline = other.now() + Duration::from_secs(1);
                let mut heard = 0;
                while let Ok(Ok((len, _))) =
                    timeout_at(&other, deadline, poll_fn(|context| member.poll_receive(context, &mut buffer)))
                        .await
                {
                    assert_eq!(&buffer[..len], b"hello");
                    heard += 1;
                }
                // Everything comes twice on this link.
                assert_eq!(heard, if joined { 2 } else { 0 }, "{group}");
                member.leave(group, on);
            }
        });
    }
}
