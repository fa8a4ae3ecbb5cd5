//! The peer: a broadcast server on tokio-tungstenite, written as its users write one. A task for each connection; what
//! one client sends goes to all, its bytes shared.

use std::io;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Messages that may wait for a client before it misses some.
const BACKLOG: usize = 1_024;

/// Serves on a free port, which it prints, on one thread.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("http://{}/", listener.local_addr()?);
        let (all, _) = broadcast::channel(BACKLOG);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(converse(stream, all.clone()));
        }
    })
}

async fn converse(stream: TcpStream, all: broadcast::Sender<Utf8Bytes>) {
    let mut news = all.subscribe();
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut sending, mut receiving) = socket.split();
    loop {
        tokio::select! {
            biased;
            message = receiving.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let _ = all.send(text);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            news = news.recv() => match news {
                Ok(text) => {
                    if sending.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}
