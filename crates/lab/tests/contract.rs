//! What every host owes to the programs on it, held against the real machine and the simulated one alike.
//!
//! Whatever a program may rely on belongs here: a clause that one host breaks is a bug in that host, or was never part of
//! the contract.

use std::future::{Future, pending, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use host::{
    Connection, Datagrams, Host, ListenOptions, Listener, Runtime, TaskEnd, Timer, sleep, sleep_until,
    timeout_at,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(20);

#[test]
fn the_real_machine_keeps_the_contract() {
    kernel::run(1, |host| async move {
        let address = "127.0.0.1".parse().unwrap();
        host_contract(&host, &host, address).await;
    })
    .unwrap();
}

#[test]
fn the_simulated_machine_keeps_the_contract() {
    let lab = lab::Lab::new(1);
    lab.isolate_panics();
    let a = lab.machine("a", "10.0.0.1".parse().unwrap(), 1);
    let b = lab.machine("b", "10.0.0.2".parse().unwrap(), 1);
    lab.block_on(host_contract(&a.host(), &b.host(), b.address()));
}

#[test]
fn the_simulated_machine_keeps_the_contract_towards_itself_over_ipv6() {
    let lab = lab::Lab::new(1);
    lab.isolate_panics();
    let a = lab.machine("a", "2001:db8::1".parse().unwrap(), 1);
    lab.block_on(host_contract(&a.host(), &a.host(), a.address()));
}

/// All clauses, between a program on `a` and one on `b`, which is reached at `address`.
async fn host_contract<H: Host>(a: &H, b: &H, address: IpAddr) {
    let at = SocketAddr::new(address, 0);
    within(a, clocks_go_forward_and_timers_ring(a)).await;
    within(a, a_timer_keeps_its_waiter(a)).await;
    within(a, tasks_say_how_they_ended(a)).await;
    within(a, blocking_work_is_done(a)).await;
    within(a, random_streams_differ(a)).await;
    within(a, both_ends_agree_on_their_addresses(a, b, at)).await;
    within(a, nothing_there_is_no_end(a, b, at)).await;
    within(a, one_direction_ends_before_the_other(a, b, at)).await;
    within(a, what_was_written_before_a_drop_arrives(a, b, at)).await;
    within(a, a_slow_reader_slows_the_writer(a, b, at)).await;
    within(a, many_slices_are_no_error(a, b, at)).await;
    within(a, an_abort_is_a_reset(a, b, at)).await;
    within(a, what_came_before_a_reset_can_be_read(a, b, at)).await;
    within(a, leaving_bytes_unread_is_a_reset(a, b, at)).await;
    within(a, writing_to_nobody_is_found_out(a, b, at)).await;
    within(a, an_abort_wakes_who_waits(a, b, at)).await;
    within(a, nobody_there_is_refused(a, b, at)).await;
    within(a, an_address_is_taken_once(b, at)).await;
    within(a, datagrams_keep_their_bounds(a, b, SocketAddr::new(own_address(a, b, at).await, 0), at)).await;
}

async fn clocks_go_forward_and_timers_ring<H: Host>(host: &H) {
    let (start, wall) = (host.now(), host.wall_clock());
    sleep(host, SOON).await;
    assert!(host.now().since(start) >= SOON);
    assert!(host.wall_clock() >= wall);
    // A deadline in the past has come.
    sleep_until(host, start).await;
    let mut timer = host.timer();
    assert!(poll_once(|context| timer.poll_expired(context)).is_pending());
    timer.set(Some(start));
    poll_fn(|context| timer.poll_expired(context)).await;
    poll_fn(|context| timer.poll_expired(context)).await;
    timer.set(None);
    assert!(poll_once(|context| timer.poll_expired(context)).is_pending());
    let late = timeout_at(host, host.now() + SOON, pending::<()>()).await;
    assert_eq!(late, Err(host::Elapsed));
    // Whatever is done in time wins, even at the last moment.
    assert_eq!(timeout_at(host, start, async { 7 }).await, Ok(7));
}

async fn a_timer_keeps_its_waiter<H: Host>(host: &H) {
    let timer = Arc::new(Mutex::new(host.timer()));
    let waiting = timer.clone();
    let waiter =
        host.spawn(async move { poll_fn(|context| waiting.lock().unwrap().poll_expired(context)).await });
    sleep(host, SOON).await;
    timer.lock().unwrap().set(Some(host.now() + 100 * LATE));
    sleep(host, SOON).await;
    timer.lock().unwrap().set(None);
    sleep(host, SOON).await;
    assert!(!waiter.is_ended());
    timer.lock().unwrap().set(Some(host.now() + SOON));
    assert_eq!(waiter.await, TaskEnd::Finished);
}

async fn tasks_say_how_they_ended<H: Host>(host: &H) {
    assert_eq!(host.spawn(async {}).await, TaskEnd::Finished);
    let endless = host.spawn(pending());
    endless.abort();
    assert_eq!(endless.await, TaskEnd::Aborted);
    let nested = host.clone();
    let lost = host.spawn(async move {
        nested.blocking(panic_quietly).await;
    });
    assert_eq!(lost.await, TaskEnd::Lost);
    let ran = Arc::new(AtomicUsize::new(0));
    let inside = ran.clone();
    drop(host.spawn(async move {
        inside.fetch_add(1, Ordering::SeqCst);
    }));
    eventually(host, || ran.load(Ordering::SeqCst) == 1).await;
}

/// A panic without a report, which would look like a failure of this test.
fn panic_quietly() {
    std::panic::resume_unwind(Box::new("on purpose"));
}

async fn blocking_work_is_done<H: Host>(host: &H) {
    assert_eq!(host.blocking(|| 6 * 7).await, 42);
    let done = Arc::new(AtomicUsize::new(0));
    let inside = done.clone();
    drop(host.blocking(move || inside.fetch_add(1, Ordering::SeqCst)));
    eventually(host, || done.load(Ordering::SeqCst) == 1).await;
}

async fn random_streams_differ<H: Host>(host: &H) {
    let draws = ["a", "a", "b"].map(|name| host.random(name).next_u64());
    assert!(draws[0] != draws[1] && draws[0] != draws[2] && draws[1] != draws[2], "{draws:?}");
}

async fn both_ends_agree_on_their_addresses<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let mut listener = b.listen(at, ListenOptions::default()).await.unwrap();
    assert_ne!(listener.local_address().port(), 0);
    assert!(poll_once(|context| listener.poll_accept(context)).is_pending());
    let client = a.connect(listener.local_address()).await.unwrap();
    let server = listener.accept().await.unwrap();
    assert_eq!(client.peer_address(), listener.local_address());
    assert_eq!(server.local_address(), client.peer_address());
    assert_eq!(server.peer_address(), client.local_address());
}

async fn nothing_there_is_no_end<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    let mut buffer = [0; 16];
    assert_eq!(server.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(write(&mut client, &[b"four", b"", b"wire"]).await.unwrap(), 8);
    assert_eq!(read(&mut server, &mut buffer[..5]).await.unwrap(), 5);
    // What is left can be read without waiting for more.
    assert_eq!(read(&mut server, &mut buffer[5..]).await.unwrap(), 3);
    assert_eq!(&buffer[..8], b"fourwire");
    assert_eq!(server.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(poll_once(|context| server.poll_readable(context)).is_pending());
    assert!(poll_once(|context| server.poll_writable(context)).is_ready());
    eventually(a, || client.unsent() == 0).await;
}

async fn one_direction_ends_before_the_other<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    let mut buffer = [0; 16];
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let refused = write(&mut client, &[b"more"]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    // The end stays the end.
    assert_eq!(read(&mut server, &mut buffer).await.unwrap(), 0);
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut client, &mut buffer).await.unwrap(), 6);
    drop(server);
    assert_eq!(read(&mut client, &mut buffer).await.unwrap(), 0);
}

async fn what_was_written_before_a_drop_arrives<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    let message = vec![5; 100_000];
    client.write_all(&message).await.unwrap();
    drop(client);
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    assert!(received == message);
}

async fn a_slow_reader_slows_the_writer<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    let chunk: Vec<u8> = (0..100_003_u32).map(|index| (index % 251) as u8).collect();
    let mut written = Vec::new();
    // Until there is no room, and none comes by waiting.
    while let Ok(count) = timeout_at(a, a.now() + 5 * SOON, write(&mut client, &[&chunk])).await {
        written.extend_from_slice(&chunk[..count.unwrap()]);
        assert!(written.len() < 1 << 28, "nothing bounds what is written");
    }
    assert!(client.unsent() > 0);
    let total = written.len() + chunk.len();
    let rest = chunk.clone();
    let writer = a.spawn(async move {
        client.write_all(&rest).await.unwrap();
        client.shutdown().await.unwrap();
    });
    let mut received = Vec::with_capacity(total);
    server.read_to_end(&mut received).await.unwrap();
    written.extend_from_slice(&chunk);
    assert!(received == written);
    assert_eq!(writer.await, TaskEnd::Finished);
}

async fn many_slices_are_no_error<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    let message: Vec<u8> = (0..5000_u32).map(|index| (index % 253) as u8).collect();
    let parts: Vec<&[u8]> = message.chunks(1).collect();
    let mut written = 0;
    while written < message.len() {
        written += write(&mut client, &parts[written..]).await.unwrap();
    }
    drop(client);
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    assert!(received == message);
}

async fn an_abort_is_a_reset<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    client.abort();
    client.abort();
    let mut buffer = [0; 16];
    assert_eq!(client.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(write(&mut client, &[b"x"]).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(client.shutdown().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(client.unsent(), 0);
    assert_eq!(read(&mut server, &mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn what_came_before_a_reset_can_be_read<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    write(&mut client, &[b"last words"]).await.unwrap();
    eventually(a, || client.unsent() == 0).await;
    client.abort();
    sleep(a, SOON).await;
    let mut buffer = [0; 16];
    assert_eq!(read(&mut server, &mut buffer).await.unwrap(), 10);
    assert_eq!(read(&mut server, &mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn leaving_bytes_unread_is_a_reset<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, mut server) = pair(a, b, at).await;
    write(&mut client, &[b"unheard"]).await.unwrap();
    poll_fn(|context| server.poll_readable(context)).await.unwrap();
    drop(server);
    let mut buffer = [0; 16];
    assert_eq!(read(&mut client, &mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn writing_to_nobody_is_found_out<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (mut client, server) = pair(a, b, at).await;
    drop(server);
    assert_eq!(read(&mut client, &mut [0; 16]).await.unwrap(), 0);
    // The peer has ended its direction, which may be all that it has ended: the first write cannot know.
    let error = loop {
        match write(&mut client, &[b"are you there?"]).await {
            Ok(_) => sleep(a, SOON / 10).await,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

async fn an_abort_wakes_who_waits<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let (client, server) = pair(a, b, at).await;
    let client = Arc::new(Mutex::new(client));
    let waiting = client.clone();
    let waiter = a.spawn(async move {
        let mut buffer = [0; 16];
        loop {
            let _ = poll_fn(|context| waiting.lock().unwrap().poll_readable(context)).await;
            match waiting.lock().unwrap().try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionAborted),
                Ok(count) => panic!("{count} bytes from nowhere"),
            }
        }
    });
    sleep(a, SOON).await;
    client.lock().unwrap().abort();
    assert_eq!(waiter.await, TaskEnd::Finished);
    drop(server);
}

async fn nobody_there_is_refused<H: Host>(a: &H, b: &H, at: SocketAddr) {
    let listener = b.listen(at, ListenOptions::default()).await.unwrap();
    let address = listener.local_address();
    drop(listener);
    assert_eq!(a.connect(address).await.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    // And the address is free again.
    b.listen(address, ListenOptions::default()).await.unwrap();
}

async fn an_address_is_taken_once<H: Host>(host: &H, at: SocketAddr) {
    let shared = ListenOptions { shared: true, ..ListenOptions::default() };
    let alone = host.listen(at, ListenOptions::default()).await.unwrap();
    for options in [ListenOptions::default(), shared] {
        let taken = host.listen(alone.local_address(), options).await.err().unwrap();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
    let first = host.listen(at, shared).await.unwrap();
    let second = host.listen(first.local_address(), shared).await.unwrap();
    let taken = host.listen(second.local_address(), ListenOptions::default()).await.err().unwrap();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let foreign: SocketAddr = "192.0.2.99:0".parse().unwrap();
    let error = host.listen(foreign, ListenOptions::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

async fn datagrams_keep_their_bounds<H: Host>(a: &H, b: &H, from: SocketAddr, to: SocketAddr) {
    let mut sender = a.bind(from).await.unwrap();
    let mut receiver = b.bind(to).await.unwrap();
    let address = receiver.local_address();
    for datagram in [&b"one"[..], b"", b"a long one"] {
        poll_fn(|context| sender.poll_send(context, datagram, address)).await.unwrap();
        let mut buffer = [0; 6];
        let (length, from) = poll_fn(|context| receiver.poll_receive(context, &mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], &datagram[..datagram.len().min(6)]);
        assert_eq!(from, sender.local_address());
    }
    let endless = vec![0; 70_000];
    let too_long = poll_fn(|context| sender.poll_send(context, &endless, address)).await.unwrap_err();
    assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
    let taken = b.bind(address).await.err().unwrap();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

async fn within<R: Runtime, T>(host: &R, clause: impl Future<Output = T>) -> T {
    timeout_at(host, host.now() + LATE, clause).await.expect("a clause takes for ever")
}

/// Waits until `condition` holds, for as long as [`within`] lets it.
async fn eventually<R: Runtime>(host: &R, condition: impl Fn() -> bool) {
    while !condition() {
        sleep(host, SOON / 10).await;
    }
}

async fn own_address<H: Host>(a: &H, b: &H, at: SocketAddr) -> IpAddr {
    pair(a, b, at).await.0.local_address().ip()
}

async fn pair<H: Host>(a: &H, b: &H, at: SocketAddr) -> (H::Connection, H::Connection) {
    let mut listener = b.listen(at, ListenOptions::default()).await.unwrap();
    let client = a.connect(listener.local_address()).await.unwrap();
    (client, listener.accept().await.unwrap())
}

async fn read(connection: &mut impl Connection, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        poll_fn(|context| connection.poll_readable(context)).await?;
        match connection.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

async fn write(connection: &mut impl Connection, parts: &[&[u8]]) -> io::Result<usize> {
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    loop {
        poll_fn(|context| connection.poll_writable(context)).await?;
        match connection.try_write_vectored(&slices) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}
