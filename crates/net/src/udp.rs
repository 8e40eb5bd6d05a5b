//! UDP sockets that streams come in on.
//!
//! Owns: binding, and joining multicast groups. Does not: know what the datagrams are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::listen::BindError;

/// What the kernel may hold while the core is busy: a second of 16 Mbit/s. The kernel cuts it to `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 2 << 20;

/// Binds `address` for datagrams. A multicast address is joined on the interface that the system chooses, and others may
/// listen to it too.
pub fn bind(address: SocketAddr) -> Result<UdpSocket, BindError> {
    open(address).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    // less than was asked for works too
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.ip().is_multicast() {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    match address.ip() {
        IpAddr::V4(group) if group.is_multicast() => {
            socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
        }
        IpAddr::V6(group) if group.is_multicast() => socket.join_multicast_v6(&group, 0)?,
        _ => {}
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive() {
        let socket = bind("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        let address = socket.local_addr().expect("an address");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        sender.send_to(b"x", address).expect("sent");
        socket.set_nonblocking(false).expect("a blocking socket");
        let mut buffer = [0; 4];
        assert_eq!(socket.recv(&mut buffer).expect("received"), 1);
    }

    #[test]
    fn a_port_has_one_owner_unless_it_is_a_groups() {
        let first = bind("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        let address = first.local_addr().expect("an address");
        assert!(bind(address).is_err());
    }
}
