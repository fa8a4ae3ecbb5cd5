//! One shard of the real machine.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;

use host::{Instant, ListenOptions, Network, Random, Runtime, Shard, WallTime};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Handle;

use crate::{KernelConnection, KernelDatagrams, KernelListener, KernelTimer, clock};

/// One shard of the real machine: a [`Runtime`] and a [`Network`] on tokio.
///
/// Tasks go to the tokio runtime that the handle was made for, whichever thread spawns them. Sockets and timers must be
/// used inside a tokio runtime.
#[derive(Clone, Debug)]
pub struct KernelHost {
    handle: Handle,
    shard: Shard,
}

impl KernelHost {
    /// The tokio runtime that the caller runs in, of either flavour, as a machine with one shard.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self::on(Handle::current(), Shard::ONLY)
    }

    pub(crate) fn on(handle: Handle, shard: Shard) -> Self {
        Self { handle, shard }
    }
}

impl Runtime for KernelHost {
    type Timer = KernelTimer;

    fn now(&self) -> Instant {
        clock::now()
    }

    fn wall_clock(&self) -> WallTime {
        clock::wall_clock()
    }

    fn timer(&self) -> KernelTimer {
        KernelTimer::new(self.handle.clone())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn exact_timer(&self) -> KernelTimer {
        KernelTimer::exact(self.handle.clone())
    }

    /// Seeded by the operating system: the name makes no difference, each stream is its own.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give, for nothing safe can be done without it.
    fn random(&self, _name: &str) -> Random {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system has no randomness to give");
        Random::from_seed(seed)
    }

    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let result = self.handle.spawn_blocking(work);
        async move {
            match result.await {
                Ok(value) => value,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // The runtime is shutting down and did not start the work. Whoever waits is about to be dropped too.
                Err(_) => pending().await,
            }
        }
    }
}

impl Network for KernelHost {
    type Connection = KernelConnection;
    type Listener = KernelListener;
    type Datagrams = KernelDatagrams;

    fn shard(&self) -> Shard {
        self.shard
    }

    /// As [`Network::listen`] says. A wildcard IPv6 address takes IPv4 connections too. Port 0 gives each shard a port
    /// of its own: to share one that the system chose, let one shard listen first and tell the others.
    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<KernelListener> {
        let _inside = self.handle.enter();
        KernelListener::listen(address, options)
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<KernelConnection> {
        Ok(KernelConnection::new(TcpStream::connect(remote).await?, remote))
    }

    async fn bind(&self, local: SocketAddr) -> io::Result<KernelDatagrams> {
        KernelDatagrams::new(UdpSocket::bind(local).await?)
    }
}
