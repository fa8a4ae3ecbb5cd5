//! The peers, each as its users write an echo server, and a floor: bytes sent back on tokio. One thread, a task for each
//! connection. Where a library has a stream and a sink, `batched` is the same with the batches made by hand: what is at
//! hand is fed, then flushed once.

use std::fmt::Display;
use std::io;

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tls;
use crate::workload::Over;

/// The answer to the one key that the generator uses (RFC 6455, section 1.3), without its end.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// What is granted to the one who offers compression.
const EXTENSIONS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// How hard is compressed: our own default.
const LEVEL: u32 = 3;

/// The largest message, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// Serves on a free port, which it prints, on one thread.
pub fn serve(name: &str, over: Over) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("tcp://{}", listener.local_addr()?);
        let acceptor = tls::acceptor()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (name, acceptor) = (name.to_owned(), acceptor.clone());
            tokio::spawn(async move {
                // The generator hangs up; nobody wants to hear of it.
                let _ = match over {
                    Over::Tls => match tls::accept(&acceptor, stream).await {
                        Ok(stream) => converse(&name, over, stream).await,
                        Err(error) => Err(error),
                    },
                    _ => converse(&name, over, stream).await,
                };
            });
        }
    })
}

async fn converse<S>(name: &str, over: Over, mut stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if name == "tokio" {
        return bytes_back(stream).await;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let granted = match over {
        Over::Deflate => format!("Sec-WebSocket-Extensions: {EXTENSIONS}\r\n"),
        _ => String::new(),
    };
    stream.write_all(format!("{ANSWER}{granted}\r\n").as_bytes()).await?;
    stream.flush().await?;
    let (library, batched) = match name.strip_suffix(" batched") {
        Some(library) => (library, true),
        None => (name, false),
    };
    match library {
        "fastwebsockets" => fastwebsockets(stream).await,
        "tokio-websockets" => {
            let limits = tokio_websockets::Limits::default().max_payload_len(Some(MOST_BYTES));
            let socket = tokio_websockets::ServerBuilder::new().limits(limits).serve(stream);
            echo(socket, batched, |message| message.is_text() || message.is_binary()).await
        }
        "sockudo-ws" => {
            let config = sockudo_ws::Config { max_message_size: MOST_BYTES, ..sockudo_ws::Config::default() };
            let socket = sockudo_ws::WebSocketStream::server(stream, config);
            use sockudo_ws::protocol::Message::{Binary, Text};
            echo(socket, batched, |message| matches!(message, Text(_) | Binary(_))).await
        }
        "yawc" => {
            let mut options = yawc::Options::default().with_max_payload_read(MOST_BYTES);
            let mut extensions = None;
            if over == Over::Deflate {
                options = options.with_compression_level(yawc::CompressionLevel::new(LEVEL));
                extensions = Some(EXTENSIONS);
            }
            let role = yawc::Role::Server;
            let socket = yawc::WebSocket::from_stream_with_extensions(stream, role, extensions, options);
            let socket = socket.map_err(|error| io::Error::other(error.to_string()))?;
            echo(socket.map(Ok::<_, io::Error>), batched, |frame| {
                matches!(frame.opcode(), yawc::OpCode::Text | yawc::OpCode::Binary)
            })
            .await
        }
        "tokio-tungstenite" => {
            use tokio_tungstenite::tungstenite::protocol::Role;
            let socket =
                tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            echo(socket, batched, |message| message.is_text() || message.is_binary()).await
        }
        name => Err(io::Error::other(format!("nobody knows {name}"))),
    }
}

async fn echo<S, M, E, F>(mut socket: S, batched: bool, is_data: impl Fn(&M) -> bool) -> io::Result<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = F> + Unpin,
    E: Display,
    F: Display,
{
    let failed = |error: &dyn Display| io::Error::other(error.to_string());
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| failed(&error))?;
        if !is_data(&message) {
            continue;
        }
        if !batched {
            socket.send(message).await.map_err(|error| failed(&error))?;
            continue;
        }
        socket.feed(message).await.map_err(|error| failed(&error))?;
        while let Some(Some(message)) = socket.next().now_or_never() {
            let message = message.map_err(|error| failed(&error))?;
            if is_data(&message) {
                socket.feed(message).await.map_err(|error| failed(&error))?;
            }
        }
        socket.flush().await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn fastwebsockets<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<()> {
    use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};

    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_max_message_size(MOST_BYTES);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await.map_err(io::Error::other)?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await.map_err(io::Error::other)?,
            _ => {}
        }
    }
}

async fn bytes_back<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            len => {
                stream.write_all(&buffer[..len]).await?;
                stream.flush().await?;
            }
        }
    }
}
