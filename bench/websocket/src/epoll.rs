//! A floor: bytes sent back, on epoll, one receive and one send for each batch.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// The key of the listener; connections count from zero.
const LISTENER: u64 = u64::MAX;

struct Peer {
    stream: TcpStream,
    /// What the system did not take yet.
    waiting: Vec<u8>,
}

/// Serves on a free port, which it prints.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    println!("tcp://{}", listener.local_addr()?);
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&queue, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut buffer = vec![0; 512 << 10];
    let mut events = Vec::with_capacity(1_024);
    loop {
        events.clear();
        epoll::wait(&queue, spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = epoll::EventData::new_u64(peers.len() as u64);
                    epoll::add(&queue, &stream, key, epoll::EventFlags::IN)?;
                    peers.push(Some(Peer { stream, waiting: Vec::new() }));
                }
                continue;
            }
            let place = &mut peers[key as usize];
            let Some(peer) = place else { continue };
            let flags = event.flags;
            match echo(peer, flags.contains(epoll::EventFlags::OUT), &mut buffer) {
                Ok(true) => {
                    let wanted =
                        if peer.waiting.is_empty() { epoll::EventFlags::IN } else { epoll::EventFlags::OUT };
                    if wanted != flags & (epoll::EventFlags::IN | epoll::EventFlags::OUT) {
                        epoll::modify(&queue, peer.stream.as_fd(), epoll::EventData::new_u64(key), wanted)?;
                    }
                }
                Ok(false) | Err(_) => *place = None,
            }
        }
    }
}

/// False at the end.
fn echo(peer: &mut Peer, writable: bool, buffer: &mut [u8]) -> io::Result<bool> {
    use std::io::{Read, Write};

    if writable && !peer.waiting.is_empty() {
        let written = peer.stream.write(&peer.waiting)?;
        peer.waiting.drain(..written);
        return Ok(true);
    }
    let len = match peer.stream.read(buffer) {
        Ok(0) => return Ok(false),
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    };
    let written = match peer.stream.write(&buffer[..len]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        written => written?,
    };
    peer.waiting.extend_from_slice(&buffer[written..len]);
    Ok(true)
}
