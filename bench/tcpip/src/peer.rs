//! smoltcp's end: one thread, its own TAP, and the loop of its own examples.

use std::io;
use std::os::fd::AsRawFd;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Medium, TunTapInterface, wait};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::{BUFFER, CONTESTANT, ECHO, SINK, SOURCE, TAP, stay};

pub(crate) fn serve() -> io::Result<()> {
    stay()?;
    let mut device = TunTapInterface::new(TAP, Medium::Ethernet)?;
    let file = device.as_raw_fd();
    let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    config.random_seed = u64::from(std::process::id());
    let mut interface = Interface::new(config, &mut device, Instant::now());
    let [a, b, c, d] = CONTESTANT;
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24)).expect("room for one");
    });
    let mut sockets = SocketSet::new(vec![]);
    let ports = [SINK, SOURCE, ECHO].map(|port| {
        let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(CongestionControl::Cubic);
        (port, sockets.add(socket))
    });
    loop {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        for (port, handle) in ports {
            let socket = sockets.get_mut::<Socket<'_>>(handle);
            if !socket.is_open() {
                socket.listen(port).map_err(io::Error::other)?;
            }
            talk(socket, port).map_err(io::Error::other)?;
        }
        match interface.poll_delay(now, &sockets) {
            Some(delay) if delay.total_micros() == 0 => {}
            delay => wait(file, delay)?,
        }
    }
}

fn talk(socket: &mut Socket<'_>, port: u16) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match port {
        SINK => {
            while socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), ()))?;
            }
        }
        SOURCE => {
            while socket.can_send() {
                socket.send(|room| (room.len(), ()))?;
            }
        }
        _ => {
            while socket.can_recv() && socket.can_send() {
                let mut chunk = [0; 2048];
                let read = socket.recv_slice(&mut chunk)?;
                socket.send_slice(&chunk[..read])?;
            }
        }
    }
    Ok(())
}
