//! Listening: one socket a core on each address, and the accept loop.
//!
//! Owns: binding with `SO_REUSEPORT`, adoption of sockets that systemd opened, and accepting with back-off.
//! Does not: speak a protocol; each accepted connection goes to the gate's handler.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::TcpStream;

use crate::cores::Shutdown;

/// Connections the kernel holds until they are accepted, for each core and address.
///
/// A restart of a big event brings thousands of viewers within a second; the kernel cuts this to
/// `net.core.somaxconn` (4096 by default), so asking for more gains nothing.
const BACKLOG: i32 = 4096;

/// How long to wait after an accept failed for want of files or memory, so that the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address as configured.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

/// An address with one listening socket for each core.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Listener {
    /// Binds `address` once for each of `cores`. Port 0 takes a free port, the same for all.
    ///
    /// Fails when the address is in use by anyone, another Weir included: a first bind without port sharing
    /// finds that out.
    pub fn bind(address: SocketAddr, cores: usize) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let probe = open(address, false).map_err(failed)?;
        let bound = probe.local_addr().map_err(failed)?;
        drop(probe);
        let sockets = (0..cores.max(1))
            .map(|_| open(bound, true))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        Ok(Self {
            address: bound,
            sockets,
        })
    }

    /// Uses a listening socket that was opened by a supervisor; all cores accept from it.
    pub fn adopt(listener: TcpListener, cores: usize) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut sockets = Vec::with_capacity(cores.max(1));
        for _ in 1..cores {
            sockets.push(listener.try_clone()?);
        }
        sockets.push(listener);
        Ok(Self { address, sockets })
    }

    /// The address in force, with the port the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, one for each core.
    pub fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address
        == SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::UNSPECIFIED,
            address.port(),
            0,
            0,
        ))
    {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The listening sockets that systemd handed over (`LISTEN_FDS`, sd_listen_fds(3)) with their names
/// (`FileDescriptorName=`), as `names` of `LISTEN_FDNAMES` and `count` of `LISTEN_FDS` say.
///
/// The caller checks `LISTEN_PID` first and calls this once, before any other file is opened.
#[allow(
    unsafe_code,
    reason = "descriptors passed by number can only be taken over unsafely"
)]
pub fn inherited(count: usize, names: &str) -> Vec<(String, TcpListener)> {
    use std::os::fd::FromRawFd;
    /// The first descriptor that systemd passes (`SD_LISTEN_FDS_START`).
    const FIRST: i32 = 3;
    /// More than this many is a mistake in the unit.
    const MOST: usize = 64;
    let mut names = names.split(':');
    (0..count.min(MOST))
        .map(|index| {
            let descriptor = FIRST + index as i32;
            // SAFETY: by the protocol of sd_listen_fds(3) the descriptors from 3 on belong to this process and nobody
            // else in it has taken them over; the caller calls this once.
            let listener = unsafe { TcpListener::from_raw_fd(descriptor) };
            (names.next().unwrap_or_default().to_owned(), listener)
        })
        .collect()
}

/// Accepts connections on this core until the drain begins, and hands each to `handle`.
///
/// Out of files or memory, it says so, waits `ACCEPT_BACKOFF` and goes on. Fails only when the socket cannot be
/// watched.
pub async fn accept(
    listener: TcpListener,
    shutdown: &Shutdown,
    mut handle: impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.draining() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                // a client by IPv4 of a socket for both is known by its own address everywhere
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                handle(stream, peer);
            }
            Err(error) if is_of_the_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept, trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Errors of accept(2) that concern one connection, not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_PORT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn every_core_gets_a_socket_of_the_same_port() {
        let listener = Listener::bind(ANY_PORT, 3).expect("a free port");
        let address = listener.address();
        let sockets = listener.into_sockets();
        assert_eq!(sockets.len(), 3);
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().is_ok_and(|a| a == address))
        );
    }

    #[test]
    fn a_port_in_use_is_refused_even_if_it_is_our_own_kind() {
        let first = Listener::bind(ANY_PORT, 2).expect("a free port");
        let error = Listener::bind(first.address(), 2).expect_err("taken");
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&first.address().to_string()));
    }

    #[test]
    fn an_adopted_listener_serves_all_cores() {
        let theirs = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = theirs.local_addr().expect("bound");
        let listener = Listener::adopt(theirs, 2).expect("adopted");
        assert_eq!(listener.address(), address);
        assert_eq!(listener.into_sockets().len(), 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_by_ipv4_has_its_own_address() {
        let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = Listener::bind(every, 1).expect("a port");
        let port = listener.address().port();
        let socket = listener.into_sockets().remove(0);
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        accept(socket, &shutdown, |_, peer| {
            assert_eq!(peer, client.local_addr().expect("connected"));
            stop.drain();
        })
        .await
        .expect("watched");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn accepting_ends_with_the_drain() {
        let listener = Listener::bind(ANY_PORT, 1).expect("a port");
        let address = listener.address();
        let shutdown = Shutdown::new();
        let socket = listener.into_sockets().remove(0);
        let _client = std::net::TcpStream::connect(address).expect("connects");
        let mut seen = 0;
        let stop = shutdown.clone();
        accept(socket, &shutdown, |_, peer| {
            assert!(peer.ip().is_loopback());
            seen += 1;
            stop.drain();
        })
        .await
        .expect("watched");
        assert_eq!(seen, 1);
    }
}
