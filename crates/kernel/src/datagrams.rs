//! UDP sockets of the operating system.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use host::{Datagrams, ReadBuf};
use tokio::net::UdpSocket;

/// What fits into a UDP datagram over IPv4, in bytes.
const LONGEST: usize = 65_507;

/// A UDP socket of the operating system.
#[derive(Debug)]
pub struct KernelDatagrams {
    socket: UdpSocket,
    local: SocketAddr,
}

impl KernelDatagrams {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }
}

impl Datagrams for KernelDatagrams {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.socket.poll_recv_from(context, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<()>> {
        self.socket.poll_send_to(context, datagram, to).map(|sent| match sent {
            Err(_) if datagram.len() > LONGEST => Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("a datagram carries at most {LONGEST} bytes"),
            )),
            sent => sent.map(drop),
        })
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}
