//! Socket options (`tcp(7)`, `socket(7)`, `ip(7)`), as far as the stack has what they are about.

use std::time::Duration;

use tcpip::transport::tcp;
use tcpip::transport::tcp::congestion::Algorithm;
use tcpip::transport::tcp::recovery::Phase;

use crate::world::{Errno, Kind, Socket, State};

/// Sets one.
pub(crate) fn set(state: &mut State, fd: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let number = value.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes));
    let socket = state.sockets.get_mut(&fd).ok_or(libc::EBADF)?;
    let number_needed = number.ok_or(libc::EINVAL);
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_REUSEADDR | libc::SO_REUSEPORT | libc::SO_LINGER) => {}
        // What a router might do with it is not looked at.
        (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {}
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_SNDBUFFORCE) => {
            // As Linux does, twice as much as is asked for, for what it takes beside the bytes.
            socket.settings.send_buffer = (number_needed?.max(0) as usize).saturating_mul(2).max(4608);
        }
        (libc::SOL_SOCKET, libc::SO_RCVBUF | libc::SO_RCVBUFFORCE) => {
            socket.settings.receive_buffer = number_needed?.max(0) as usize;
        }
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => {
            let on = number_needed? != 0;
            socket.settings.nodelay = on;
            return with_connection(state, fd, |connection| connection.set_nodelay(on));
        }
        (libc::IPPROTO_TCP, libc::TCP_CORK) => {
            let on = number_needed? != 0;
            socket.corked = on;
            return with_connection(state, fd, |connection| connection.set_corked(on));
        }
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => {
            let size = u16::try_from(number_needed?).ok().filter(|size| (88..=32_767).contains(size));
            socket.settings.max_segment_size = Some(size.ok_or(libc::EINVAL)?);
        }
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => {
            let timeout = u64::try_from(number_needed?).map_err(|_| libc::EINVAL)?;
            let timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
            socket.settings.user_timeout = timeout;
            return with_connection(state, fd, |connection| connection.set_user_timeout(timeout));
        }
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            socket.settings.algorithm = match name {
                b"cubic" => Algorithm::Cubic,
                b"reno" => Algorithm::NewReno,
                _ => return Err(libc::ENOENT),
            };
        }
        _ => return Err(libc::ENOPROTOOPT),
    }
    Ok(())
}

fn with_connection(state: &mut State, fd: i32, act: impl FnOnce(&mut tcp::Connection)) -> Result<(), Errno> {
    let Some(Socket { kind: Kind::Connected(id), .. }) = state.sockets.get(&fd) else { return Ok(()) };
    let mut connection = state.stack.connection(*id).ok_or(libc::ENOTCONN)?;
    act(&mut connection);
    Ok(())
}

/// Gets one: its bytes.
pub(crate) fn get(state: &mut State, fd: i32, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
    let socket = state.sockets.get(&fd).ok_or(libc::EBADF)?;
    let (settings, corked) = (socket.settings, socket.corked);
    let number = |number: i32| Ok(number.to_ne_bytes().to_vec());
    let id = match socket.kind {
        Kind::Connected(id) => Some(id),
        _ => None,
    };
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_ERROR) => {
            let end = id.and_then(|id| state.stack.connection(id).and_then(|connection| connection.end()));
            number(end.map_or(0, crate::calls::errno))
        }
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => number(settings.nodelay.into()),
        (libc::IPPROTO_TCP, libc::TCP_CORK) => number(corked.into()),
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => {
            let known = id.and_then(|id| state.stack.connection(id).map(|one| one.info().max_segment_size));
            let chosen = settings.max_segment_size.map_or(536, u32::from);
            number(known.unwrap_or(chosen) as i32)
        }
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => {
            number(settings.user_timeout.map_or(0, |timeout| timeout.as_millis() as i32))
        }
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => number(settings.send_buffer as i32),
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => number(settings.receive_buffer as i32),
        // Nothing to tell; packetdrill wants to see them before it looks at TCP_INFO.
        (libc::SOL_SOCKET, libc::SO_MEMINFO) => Ok(vec![0; 36]),
        (libc::IPPROTO_TCP, libc::TCP_CC_INFO) => Ok(vec![0; 20]),
        (libc::IPPROTO_TCP, libc::TCP_INFO) => {
            let id = id.ok_or(libc::ENOTCONN)?;
            let connection = state.stack.connection(id).ok_or(libc::ENOTCONN)?;
            Ok(info(&connection.info()))
        }
        _ => Err(libc::ENOPROTOOPT),
    }
}

/// `struct tcp_info` of `linux/tcp.h`, up to where scripts look: a few bytes, then 32-bit words.
fn info(info: &tcp::Info) -> Vec<u8> {
    let recovery = info.recovery;
    let segment = info.max_segment_size.max(1);
    let micros = |duration: Option<Duration>| duration.map_or(0, |duration| duration.as_micros() as u32);
    let state = match info.state {
        tcp::State::Established => 1,
        tcp::State::SynSent => 2,
        tcp::State::SynReceived => 3,
        tcp::State::FinWait1 => 4,
        tcp::State::FinWait2 => 5,
        tcp::State::TimeWait => 6,
        tcp::State::Closed => 7,
        tcp::State::CloseWait => 8,
        tcp::State::LastAck => 9,
        tcp::State::Closing => 11,
    };
    let congestion = match recovery.phase {
        Phase::Open => 0,
        Phase::Recovery => 3,
        Phase::Loss => 4,
    };
    let mut bytes = vec![state, congestion, 0, 0, 0, 0, 0, 0];
    let timeout = recovery.timeout.as_micros() as u32;
    let threshold = match recovery.threshold / segment {
        // No loss was seen: what Linux calls TCP_INFINITE_SSTHRESH.
        threshold if threshold >= 0x7fff => 0x7fff_ffff,
        threshold => threshold,
    };
    let in_flight = recovery.in_flight.div_ceil(segment);
    let words = [
        timeout,
        40_000,
        segment,
        segment,
        in_flight,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        1500,
        0,
        micros(recovery.round_trip),
        micros(Some(recovery.variation)),
        threshold,
        recovery.congestion_window / segment,
        segment,
        3,
        0,
        info.receive_window,
        recovery.retransmissions as u32,
    ];
    bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    bytes.resize(1024, 0);
    bytes
}
