//! The same seed gives the same run, to the last byte and nanosecond.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host::{Host, ListenOptions, Listener, Runtime, sleep};
use lab::{Crash, Lab, LabHost, Transcript};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn server_address() -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 7)
}

async fn echo<H: Host>(host: H) {
    let options = ListenOptions { shared: true, ..ListenOptions::default() };
    let mut listener = host.listen(server_address(), options).await.unwrap();
    while let Ok(mut connection) = listener.accept().await {
        host.spawn_detached(async move {
            let mut buffer = vec![0; 4096];
            while let Ok(length @ 1..) = connection.read(&mut buffer).await {
                if connection.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Says random things at random times, and calls again when it is cut off.
async fn chatter<H: Host>(host: H) {
    let mut random = host.random("chatter");
    let mut said = 0;
    while said < 20 {
        sleep(&host, Duration::from_micros(random.below(50_000))).await;
        let Ok(mut connection) = host.connect(server_address()).await else { continue };
        while said < 20 {
            let mut words = vec![0; random.below(3000) as usize + 1];
            random.fill(&mut words);
            let mut heard = vec![0; words.len()];
            if connection.write_all(&words).await.is_err() || connection.read_exact(&mut heard).await.is_err()
            {
                break;
            }
            assert!(heard == words);
            said += 1;
            host.blocking(|| {}).await;
            sleep(&host, Duration::from_micros(random.below(20_000))).await;
        }
    }
}

fn run(seed: u64, bystander: bool) -> Transcript {
    let lab = Lab::new(seed);
    let server = lab.machine("server", server_address().ip(), 2);
    if bystander {
        let idle = lab.machine("bystander", IpAddr::from([10, 0, 0, 99]), 1).host();
        idle.random("chatter").next_u64();
    }
    let serve = |host: LabHost| host.clone().spawn_detached(echo(host));
    server.hosts().into_iter().for_each(serve);
    let clients: Vec<_> = (2..7)
        .map(|number| lab.machine(&format!("client {number}"), IpAddr::from([10, 0, 0, number]), 1))
        .collect();
    let chatters: Vec<_> = clients.iter().map(|client| client.host().spawn(chatter(client.host()))).collect();
    lab.run_for(Duration::from_millis(40));
    lab.cut(&server, &clients[0]);
    lab.run_for(Duration::from_millis(40));
    lab.crash(&server, Crash::Reset);
    lab.run_for(Duration::from_millis(10));
    server.hosts().into_iter().for_each(serve);
    lab.heal(&server, &clients[0]);
    lab.run_for(Duration::from_millis(20));
    lab.reset_connections(&clients[1]);
    lab.block_on(async {
        for chatter in chatters {
            chatter.await;
        }
    });
    lab.transcript()
}

#[test]
fn one_seed_is_one_transcript() {
    let (first, second) = (run(1, false), run(1, false));
    assert_eq!(first.first_difference(&second), None);
    assert_eq!(first.hash(), second.hash());
    assert!(first.entries().len() > 200, "{first}");
}

#[test]
fn another_seed_is_another() {
    assert_ne!(run(1, false).hash(), run(2, false).hash());
}

#[test]
fn a_machine_more_moves_nothing() {
    assert_eq!(run(1, false).first_difference(&run(1, true)), None);
}

/// Debug and release builds, and all machines, agree on this. It changes when the order of events does, and then the commit
/// says why.
#[test]
fn the_hash_is_the_same_everywhere() {
    let hash = run(42, false).hash().map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(hash, "94c5677b02b6d7613521ca448746e9e803e89933318a498d1040922b691a8347");
}
