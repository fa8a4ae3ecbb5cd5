//! What the operating system's sockets owe to `host`, and only they can show.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use host::{Connection, Datagrams, ListenOptions, Listener, Network, Runtime, Timer, sleep, timeout_at};
use kernel::{KernelConnection, KernelHost, KernelListener, KernelTimer};

fn on_one_shard<T: Send>(program: impl AsyncFn(KernelHost) -> T + Send + Sync) -> T {
    kernel::run(1, |host| {
        let program = &program;
        async move { program(host).await }
    })
    .unwrap()
    .remove(0)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn pair(host: &KernelHost) -> (KernelConnection, KernelConnection) {
    let mut listener = host.listen(anywhere(), ListenOptions::default()).await.unwrap();
    let client = host.connect(listener.local_address()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

async fn read(connection: &mut KernelConnection, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        poll_fn(|context| connection.poll_readable(context)).await?;
        match connection.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

#[test]
fn bytes_go_both_ways_and_addresses_match() {
    on_one_shard(async |host| {
        let (mut client, mut server) = pair(&host).await;
        assert_eq!(client.peer_address(), server.local_address());
        assert_eq!(client.local_address(), server.peer_address());
        let mut buffer = [0; 64];
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut client, &mut server];
            let sent =
                ends[from].try_write_vectored(&[IoSlice::new(b"four"), IoSlice::new(b"wire")]).unwrap();
            assert_eq!(sent, 8);
            let length = read(ends[to], &mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"fourwire");
        }
    });
}

#[test]
fn a_read_that_empties_the_socket_is_not_followed_by_one_in_vain() {
    on_one_shard(async |host| {
        let (mut client, mut server) = pair(&host).await;
        client.try_write_vectored(&[IoSlice::new(b"once")]).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(read(&mut server, &mut buffer).await.unwrap(), 4);
        let mut context = Context::from_waker(Waker::noop());
        assert!(server.poll_readable(&mut context).is_pending());
        // And what comes later is still heard of.
        client.try_write_vectored(&[IoSlice::new(b"again")]).unwrap();
        assert_eq!(read(&mut server, &mut buffer).await.unwrap(), 5);
        drop(client);
        assert_eq!(read(&mut server, &mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn nobody_listening_is_refused() {
    on_one_shard(async |host| {
        let listener = host.listen(anywhere(), ListenOptions::default()).await.unwrap();
        let address = listener.local_address();
        drop(listener);
        assert_eq!(host.connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_abort_is_a_reset_to_the_peer_and_an_end_for_us() {
    on_one_shard(async |host| {
        let (mut client, mut server) = pair(&host).await;
        let mut buffer = [0; 64];
        client.abort();
        assert_eq!(client.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(client.unsent(), 0);
        let seen = read(&mut server, &mut buffer).await.unwrap_err();
        assert_eq!(seen.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_abort_wakes_who_waits_on_the_other_half() {
    use std::sync::{Arc, Mutex};
    on_one_shard(async |host| {
        let (client, _server) = pair(&host).await;
        let client = Arc::new(Mutex::new(client));
        let waiting = client.clone();
        let waiter = host.spawn(async move {
            let outcome = poll_fn(|context| waiting.lock().unwrap().poll_readable(context)).await;
            assert!(outcome.is_err() || waiting.lock().unwrap().try_read(&mut [0; 8]).is_err());
        });
        sleep(&host, Duration::from_millis(5)).await;
        assert!(!waiter.is_ended());
        client.lock().unwrap().abort();
        let end = timeout_at(&host, host.now() + Duration::from_secs(5), waiter).await;
        assert_eq!(end, Ok(host::TaskEnd::Finished));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn unsent_grows_while_the_peer_does_not_read() {
    on_one_shard(async |host| {
        let (mut client, mut server) = pair(&host).await;
        assert_eq!(client.unsent(), 0);
        let chunk = vec![7; 256 * 1024];
        let mut written = 0;
        loop {
            match client.try_write_vectored(&[IoSlice::new(&chunk)]) {
                Ok(bytes) => written += bytes,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    let settled = host.now() + Duration::from_millis(50);
                    let room = poll_fn(|context| client.poll_writable(context));
                    if timeout_at(&host, settled, room).await.is_err() {
                        break;
                    }
                }
            }
        }
        assert!(client.unsent() > 0, "{written} bytes written");
        let mut buffer = vec![0; 1 << 20];
        let mut received = 0;
        while received < written {
            received += read(&mut server, &mut buffer).await.unwrap();
        }
        let deadline = host.now() + Duration::from_secs(20);
        while client.unsent() > 0 {
            assert!(host.now() < deadline, "{} bytes are never acknowledged", client.unsent());
            sleep(&host, Duration::from_millis(1)).await;
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_tells_the_round_trip() {
    on_one_shard(async |host| {
        let (mut client, mut server) = pair(&host).await;
        client.try_write_vectored(&[IoSlice::new(b"ping")]).unwrap();
        read(&mut server, &mut [0; 8]).await.unwrap();
        let info = client.info();
        assert!(info.round_trip.is_some_and(|time| time < Duration::from_secs(1)), "{info:?}");
        assert_eq!(info.retransmissions, Some(0));
        assert!(info.congestion_window > Some(0));
    });
}

#[test]
fn an_address_is_in_use_even_for_who_would_share_it() {
    on_one_shard(async |host| {
        let shared = ListenOptions { shared: true, ..ListenOptions::default() };
        let alone = host.listen(anywhere(), ListenOptions::default()).await.unwrap();
        for options in [ListenOptions::default(), shared] {
            let error = host.listen(alone.local_address(), options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
        }
        // Another process that shares its port: SO_REUSEPORT alone would let us in.
        let stranger = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        stranger.set_reuse_port(true).unwrap();
        stranger.bind(&anywhere().into()).unwrap();
        stranger.listen(1).unwrap();
        let address = stranger.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(host.listen(address, shared).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn two_shards_share_an_address_and_both_are_used() {
    let address = {
        let free = std::net::TcpListener::bind(anywhere()).unwrap();
        free.local_addr().unwrap()
    };
    let (listening, accepted) = (&AtomicUsize::new(0), &[AtomicUsize::new(0), AtomicUsize::new(0)]);
    kernel::run(2, |host| async move {
        let options = ListenOptions { shared: true, ..ListenOptions::default() };
        let mut listener: KernelListener = host.listen(address, options).await.unwrap();
        listening.fetch_add(1, Ordering::SeqCst);
        while listening.load(Ordering::SeqCst) < 2 {
            sleep(&host, Duration::from_millis(1)).await;
        }
        // The kernel spreads by a hash of the addresses, so each port of ours is a fresh throw.
        let deadline = host.now() + Duration::from_secs(20);
        let mut held = Vec::new();
        while accepted.iter().any(|accepted| accepted.load(Ordering::SeqCst) == 0) {
            assert!(host.now() < deadline, "{accepted:?}");
            if host.shard().index == 0 && held.len() < 400 {
                held.push(host.connect(address).await.unwrap());
            }
            let soon = host.now() + Duration::from_millis(1);
            if let Ok(connection) = timeout_at(&host, soon, listener.accept()).await {
                held.push(connection.unwrap());
                accepted[host.shard().index].fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .unwrap();
}

#[test]
fn datagrams_arrive_whole() {
    on_one_shard(async |host| {
        let mut here = host.bind(anywhere()).await.unwrap();
        let mut there = host.bind(anywhere()).await.unwrap();
        let to = there.local_address();
        for datagram in [&b"one"[..], b"", b"three"] {
            poll_fn(|context| here.poll_send(context, datagram, to)).await.unwrap();
            let mut buffer = [0; 16];
            let (length, from) = poll_fn(|context| there.poll_receive(context, &mut buffer)).await.unwrap();
            assert_eq!((&buffer[..length], from), (datagram, here.local_address()));
        }
    });
}

#[test]
fn ipv4_reaches_the_ipv6_wildcard_under_its_own_name() {
    on_one_shard(async |host| {
        let Ok(mut listener) = host.listen("[::]:0".parse().unwrap(), ListenOptions::default()).await else {
            return; // a machine without IPv6
        };
        let port = listener.local_address().port();
        let client = host.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert!(server.peer_address().is_ipv4());
        assert_eq!(server.peer_address(), client.local_address());
        assert_eq!(server.local_address(), client.peer_address());
    });
}

#[test]
fn a_poll_in_a_foreign_context_is_not_lost() {
    // A timer that is polled before it is set, then set from outside the task's poll, as a split writer half does.
    on_one_shard(async |host| {
        for timer in [host.timer(), host.exact_timer()] {
            polled_in_a_foreign_context(&host, timer).await;
        }
    });
}

async fn polled_in_a_foreign_context(host: &KernelHost, timer: KernelTimer) {
    use std::sync::{Arc, Mutex};
    let timer = Arc::new(Mutex::new(timer));
    let waiting = timer.clone();
    let waiter = host.spawn(async move {
        poll_fn(|context| waiting.lock().unwrap().poll_expired(context)).await;
    });
    sleep(host, Duration::from_millis(2)).await;
    timer.lock().unwrap().set(Some(host.now() + Duration::from_secs(3600)));
    timer.lock().unwrap().set(None);
    sleep(host, Duration::from_millis(2)).await;
    assert!(!waiter.is_ended());
    timer.lock().unwrap().set(Some(host.now() + Duration::from_millis(5)));
    let end = timeout_at(host, host.now() + Duration::from_secs(5), waiter).await;
    assert_eq!(end, Ok(host::TaskEnd::Finished));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(timer.lock().unwrap().poll_expired(&mut context), Poll::Ready(()));
}

#[test]
fn an_exact_timer_rings_between_two_milliseconds() {
    on_one_shard(async |host| {
        let mut late: Vec<Duration> = Vec::new();
        let mut timer = host.exact_timer();
        for micros in (0..100).map(|step| 300 + step * 7) {
            let deadline = host.now() + Duration::from_micros(micros);
            timer.set(Some(deadline + Duration::from_secs(1)));
            timer.set(Some(deadline));
            poll_fn(|context| timer.poll_expired(context)).await;
            assert!(host.now() >= deadline);
            late.push(host.now().since(deadline));
        }
        late.sort_unstable();
        // Whatever else the machine does, one in four is not late by what a wheel of milliseconds would make it.
        assert!(late[25] < Duration::from_micros(300), "{late:?}");
    });
}
