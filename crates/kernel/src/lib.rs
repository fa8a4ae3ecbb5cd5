//! The operating system's sockets, clocks and tasks as a Fourwire host, on tokio.
