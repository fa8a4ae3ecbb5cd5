//! A plain relay on tokio: carries every connection to `127.0.0.1:FIRST` to `127.0.0.1:SECOND`, on one thread.
//!
//!   relay FIRST SECOND

use std::env;
use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let ports: Vec<u16> = env::args().skip(1).map(|port| port.parse().expect("a port")).collect();
    let &[first, second] = &ports[..] else { panic!("say two ports") };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", first)).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", second)).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    })
}
