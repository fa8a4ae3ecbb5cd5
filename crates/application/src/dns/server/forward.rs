//! Asks other servers for what is not ours.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use host::{Datagrams, Host, timeout_at};

use crate::dns::answer::LONGEST_DATAGRAM;
use crate::dns::stream::{read_message, write_message};

/// What a server says to `query`, and how long it was. None when none of them says anything useful in time.
pub(super) async fn ask<H: Host>(
    host: &H,
    servers: &[SocketAddr],
    query: &Query,
    id: u16,
    patience: Duration,
) -> Option<(Message, usize)> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(LONGEST_DATAGRAM);
    message.set_edns(edns);
    let bytes = message.to_vec().ok()?;
    for &server in servers {
        let asked = async {
            let answer = by_datagram(host, server, &bytes, &message).await?;
            match answer.0.metadata.truncation {
                true => by_stream(host, server, &bytes, &message).await,
                false => Ok(answer),
            }
        };
        if let Ok(Ok(answer)) = timeout_at(host, host.now() + patience, asked).await {
            return Some(answer);
        }
    }
    None
}

async fn by_datagram<H: Host>(
    host: &H,
    server: SocketAddr,
    bytes: &[u8],
    asked: &Message,
) -> io::Result<(Message, usize)> {
    let any: IpAddr = match server.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket for each question: its port is new and random (RFC 5452).
    let mut socket = host.bind(SocketAddr::new(any, 0)).await?;
    poll_fn(|context| socket.poll_send(context, bytes, server)).await?;
    let mut buffer = vec![0; usize::from(LONGEST_DATAGRAM)];
    loop {
        let (length, from) = poll_fn(|context| socket.poll_receive(context, &mut buffer)).await?;
        // What is no answer to this question is passed over: it must not end the wait.
        if from == server
            && let Some(answer) = answer_to(asked, &buffer[..length])
        {
            return Ok((answer, length));
        }
    }
}

async fn by_stream<H: Host>(
    host: &H,
    server: SocketAddr,
    bytes: &[u8],
    asked: &Message,
) -> io::Result<(Message, usize)> {
    let mut connection = host.connect(server).await?;
    write_message(&mut connection, bytes).await?;
    let bytes = read_message(&mut connection).await?;
    let answer = answer_to(asked, &bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok((answer, bytes.len()))
}

/// The message in `bytes`, if it answers `asked`.
fn answer_to(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let fits = answer.metadata.id == asked.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && answer.queries == asked.queries;
    fits.then_some(answer)
}
