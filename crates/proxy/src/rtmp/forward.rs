//! The bytes of a session after its opening.
//!
//! Owns: the choice of the cheapest way that is right: the core's relay where bytes pass unseen and both sides are plain TCP,
//! copying where the client speaks through TLS, messages where the two connections differ. Does not: understand
//! messages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_net::door::Transport;
use weir_net::relay::Counters;
use weir_rtmp::transit::{Messages, Path};

use super::end::End;
use crate::context::Context;
use crate::directory::Hold;
use crate::sessions::Session;

/// Bytes read at once where they go through our memory: about what a socket hands out under load.
const COPY_BYTES: usize = 16 << 10;

/// How long the other side has to close after it was told the end.
const LINGER: Duration = Duration::from_secs(1);

/// A session whose bytes can be forwarded.
#[derive(Debug)]
pub(super) struct Forwarding {
    pub(super) session: Arc<Session>,
    pub(super) hold: Hold,
    pub(super) client: Transport,
    pub(super) origin: TcpStream,
    /// Read and not looked at.
    pub(super) from_client: Vec<u8>,
    pub(super) from_origin: Vec<u8>,
    /// To be sent before anything else.
    pub(super) to_origin: Vec<u8>,
    pub(super) path: Path,
    pub(super) stalled: Duration,
}

/// Forwards until one side ends.
///
/// What was needed on the way here is given back before the long part: a session that waits in the relay holds no buffer.
pub(super) async fn run(context: &Context, it: Forwarding) -> End {
    let shutdown = context.core.shutdown();
    let hold = it.hold;
    let ending = async {
        tokio::select! {
            () = hold.moved() => End::Moved,
            () = shutdown.stopped() => End::Stopping,
        }
    };
    let (session, stalled) = (it.session, it.stalled);
    let name = match (&it.path, &it.client) {
        (Path::Bytes { .. }, Transport::Plain(_)) => "splice",
        (Path::Bytes { .. }, Transport::Tls(_)) => "copy",
        (Path::Messages(_), _) => "messages",
    };
    session.note(|about| about.path = name);
    let mut to_origin = it.to_origin;
    let messages = match it.path {
        Path::Messages(messages) => messages,
        Path::Bytes {
            to_server,
            mut to_client,
        } => {
            to_origin.extend([to_server, it.from_client].concat());
            to_client.extend(it.from_origin);
            let first = First {
                to_client,
                to_origin,
            };
            let begun = Box::pin(first.deliver(it.client, it.origin, &session, stalled)).await;
            let (client, origin) = match begun {
                Ok(sides) => sides,
                Err(end) => return end,
            };
            return match client {
                Transport::Plain(client) => {
                    let counters: Arc<dyn Counters> = Arc::clone(&session) as _;
                    match context.relay.join(client, origin, counters, stalled) {
                        Err(error) => End::ClientFailed(error),
                        Ok(joined) => tokio::select! {
                            ended = joined => ended.into(),
                            end = ending => end,
                        },
                    }
                }
                Transport::Tls(client) => tokio::select! {
                    end = Box::pin(copy(*client, origin, &session, stalled)) => end,
                    end = ending => end,
                },
            };
        }
    };
    let sides = Sides {
        client: it.client,
        origin: it.origin,
        stalled,
    };
    let read = (it.from_client, it.from_origin);
    tokio::select! {
        end = Box::pin(sides.messages(*messages, &session, read, to_origin)) => end,
        end = ending => end,
    }
}

/// What both sides get before bytes pass unseen.
struct First {
    to_client: Vec<u8>,
    to_origin: Vec<u8>,
}

impl First {
    async fn deliver(
        self,
        mut client: Transport,
        mut origin: TcpStream,
        session: &Session,
        stalled: Duration,
    ) -> Result<(Transport, TcpStream), End> {
        let delivering = async {
            client
                .write_all(&self.to_client)
                .await
                .map_err(End::ClientFailed)?;
            client.flush().await.map_err(End::ClientFailed)?;
            origin
                .write_all(&self.to_origin)
                .await
                .map_err(End::OriginFailed)
        };
        match tokio::time::timeout(stalled, delivering).await {
            Ok(Ok(())) => {}
            Ok(Err(end)) => return Err(end),
            Err(_) => return Err(End::Stalled("peer")),
        }
        count(&session.down, self.to_client.len());
        count(&session.up, self.to_origin.len());
        Ok((client, origin))
    }
}

/// Bytes through our memory, both ways, until one side ends; what it said by then is delivered.
async fn copy(
    client: impl AsyncRead + AsyncWrite,
    origin: TcpStream,
    session: &Session,
    stalled: Duration,
) -> End {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_origin, mut to_origin) = tokio::io::split(origin);
    let up = one_way(&mut from_client, &mut to_origin, &session.up, stalled);
    let down = one_way(&mut from_origin, &mut to_client, &session.down, stalled);
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => {
            // the origin may have last words
            let _ = tokio::time::timeout(LINGER, down).await;
            ended.map_or_else(|fault| fault.end("origin", false), |()| End::ClientClosed)
        }
        ended = &mut down => {
            let _ = tokio::time::timeout(LINGER, up).await;
            ended.map_or_else(|fault| fault.end("client", true), |()| End::OriginClosed)
        }
    }
}

/// What went wrong on the way from a sender to a receiver.
enum Fault {
    Sender(io::Error),
    Receiver(io::Error),
    Stalled,
}

impl Fault {
    /// The end it means; `to_client` says which way.
    fn end(self, receiver: &'static str, to_client: bool) -> End {
        match (self, to_client) {
            (Self::Stalled, _) => End::Stalled(receiver),
            (Self::Sender(error), true) | (Self::Receiver(error), false) => {
                End::OriginFailed(error)
            }
            (Self::Sender(error), false) | (Self::Receiver(error), true) => {
                End::ClientFailed(error)
            }
        }
    }
}

async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    counter: &AtomicU64,
    stalled: Duration,
) -> Result<(), Fault> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).await.map_err(Fault::Sender)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let writing = async {
            match read {
                0 => to.shutdown().await,
                _ => {
                    to.write_all(bytes).await?;
                    to.flush().await
                }
            }
        };
        match tokio::time::timeout(stalled, writing).await {
            Ok(Ok(())) if read == 0 => return Ok(()),
            Ok(Ok(())) => count(counter, read),
            Ok(Err(error)) => return Err(Fault::Receiver(error)),
            Err(_) => return Err(Fault::Stalled),
        }
    }
}

/// Both connections of a session whose messages are passed on one by one.
struct Sides {
    client: Transport,
    origin: TcpStream,
    stalled: Duration,
}

impl Sides {
    async fn messages(
        mut self,
        mut messages: Messages,
        session: &Session,
        read: (Vec<u8>, Vec<u8>),
        mut to_origin: Vec<u8>,
    ) -> End {
        let (mut from_client, mut from_origin) = read;
        let mut to_client = Vec::new();
        loop {
            let passed = messages.handle_client(&from_client).map_err(End::Client);
            let passed = passed.and_then(|()| {
                let passed = messages.handle_server(&from_origin);
                passed.map_err(|error| End::Origin(error.to_string()))
            });
            from_client.clear();
            from_origin.clear();
            messages.take_for_client(&mut to_client);
            messages.take_for_server(&mut to_origin);
            let said = self.say(&mut to_client, &mut to_origin, session).await;
            if let Err(end) = passed.and(said) {
                return end;
            }
            from_client.reserve(COPY_BYTES);
            from_origin.reserve(COPY_BYTES);
            let read = tokio::select! {
                read = self.client.read_buf(&mut from_client) => {
                    read.map_err(End::ClientFailed).map(|read| (read, End::ClientClosed))
                }
                read = self.origin.read_buf(&mut from_origin) => {
                    read.map_err(End::OriginFailed).map(|read| (read, End::OriginClosed))
                }
            };
            match read {
                Ok((0, end)) | Err(end) => return end,
                Ok(_) => {}
            }
        }
    }

    /// Sends what waits. Nothing is read meanwhile, so nothing piles up.
    async fn say(
        &mut self,
        to_client: &mut Vec<u8>,
        to_origin: &mut Vec<u8>,
        session: &Session,
    ) -> Result<(), End> {
        let saying = async {
            self.client
                .write_all(to_client)
                .await
                .map_err(End::ClientFailed)?;
            self.client.flush().await.map_err(End::ClientFailed)?;
            self.origin
                .write_all(to_origin)
                .await
                .map_err(End::OriginFailed)
        };
        let said = tokio::time::timeout(self.stalled, saying).await;
        count(&session.down, to_client.len());
        count(&session.up, to_origin.len());
        to_client.clear();
        to_origin.clear();
        said.unwrap_or(Err(End::Stalled("peer")))
    }
}

fn count(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
}
