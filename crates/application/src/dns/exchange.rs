//! Questions to one server, by UDP and by TCP.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::{Datagrams, Host, Instant, timeout_at};

use super::answer::{Answer, LONGEST_DATAGRAM, Question};
use super::stream::{read_message, write_message};

/// Asks `server` all `questions` at once. Those that it has not answered at `deadline` have no answer.
///
/// # Errors
///
/// What the network says, when there is no answer at all.
pub(super) async fn ask<H: Host>(
    host: &H,
    server: SocketAddr,
    questions: &[Question],
    deadline: Instant,
) -> io::Result<Vec<Option<Answer>>> {
    let mut answers = vec![None; questions.len()];
    let mut failure = None;
    let asking = by_datagrams(host, server, questions, &mut answers);
    if let Ok(Err(error)) = timeout_at(host, deadline, asking).await {
        failure = Some(error);
    }
    for (question, answer) in questions.iter().zip(&mut answers) {
        if *answer == Some(Answer::Truncated) {
            *answer = match timeout_at(host, deadline, by_stream(host, server, question)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    failure = Some(error);
                    None
                }
                Err(_) => None,
            };
        }
    }
    match failure {
        Some(error) if answers.iter().all(Option::is_none) => Err(error),
        _ => Ok(answers),
    }
}

async fn by_datagrams<H: Host>(
    host: &H,
    server: SocketAddr,
    questions: &[Question],
    answers: &mut [Option<Answer>],
) -> io::Result<()> {
    let any = match server.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A socket for each exchange: its port is new and random, which is half of what a forger has to guess (RFC 5452).
    let mut socket = host.bind(SocketAddr::new(any, 0)).await?;
    for question in questions {
        let message = encoded(question)?;
        poll_fn(|context| socket.poll_send(context, &message, server)).await?;
    }
    let mut buffer = vec![0; usize::from(LONGEST_DATAGRAM)];
    while answers.iter().any(Option::is_none) {
        let (len, from) = poll_fn(|context| socket.poll_receive(context, &mut buffer)).await?;
        if from != server {
            continue;
        }
        // What answers none of them is passed over, until the deadline: a forged answer must not end the wait.
        for (question, answer) in questions.iter().zip(&mut *answers) {
            if answer.is_none() {
                *answer = question.answer(&buffer[..len]);
            }
        }
    }
    Ok(())
}

async fn by_stream<H: Host>(host: &H, server: SocketAddr, question: &Question) -> io::Result<Option<Answer>> {
    let mut connection = host.connect(server).await?;
    let message = encoded(question)?;
    write_message(&mut connection, &message).await?;
    let message = read_message(&mut connection).await?;
    // There is no more to come: an answer that is cut even here is as good as none.
    Ok(question.answer(&message).filter(|answer| *answer != Answer::Truncated))
}

fn encoded(question: &Question) -> io::Result<Vec<u8>> {
    question
        .to_bytes()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name does not fit a question"))
}
