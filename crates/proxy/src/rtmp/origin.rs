//! The origin that takes a session.
//!
//! Owns: placing, dialling, and the opening said again, with another origin where one does not answer. Does not: forward.
//!
//! Another origin is only tried where this one cannot have begun anything: it refused the connection, or hung. One that
//! closes after it was told what is wanted has decided, and so has one that refuses: to go elsewhere then would tear a
//! stream apart.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_cluster::{Key, Node, NodeId, Service};
use weir_net::{clock, dial};
use weir_rtmp::transit::{Answer, Opening, Upstream, UpstreamConfig};

use super::client::Client;
use super::end::End;
use super::hand_over;
use super::session::{Asked, seed};
use crate::directory::Placed;
use crate::sessions::Role;

/// Bytes asked for in one read of the origin's answers.
const READ_BYTES: usize = 4 << 10;

/// An origin that has taken the session.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) key: Key,
    pub(super) role: Role,
    pub(super) placed: Placed,
    pub(super) upstream: Upstream,
    pub(super) stream: TcpStream,
    /// What came behind its answer.
    pub(super) unread: Vec<u8>,
}

/// Why an origin did not take it.
enum Failure {
    /// Another may be tried. True when this one had accepted the connection.
    Dead { answered: bool, what: String },
    /// None is to be tried.
    Final(End),
}

/// Finds the origin that takes what was asked for. `last` is the origin that was tried last.
pub(super) async fn reach(
    asked: &Asked<'_>,
    opening: &Opening,
    client: &mut Client,
    last: &mut Option<Arc<Node>>,
) -> Result<Reached, End> {
    let key = asked.key()?;
    let directory = &asked.context.directory;
    let mut tried: Vec<NodeId> = Vec::new();
    let mut fault = None;
    for _ in 0..asked.settings.attempts.max(1) {
        let placed = directory
            .place(&key, asked.role(), Service::Rtmp, &tried)
            .await;
        let placed = match placed {
            Ok(placed) => placed,
            Err(error) => return Err(fault.unwrap_or(End::NoOrigin(error))),
        };
        let id = placed.node.id.clone();
        *last = Some(Arc::clone(&placed.node));
        asked.session.note(|about| about.node = Some(id.clone()));
        let began = clock::now();
        match attempt(asked, opening, client, &placed).await {
            Ok((upstream, stream, unread)) => {
                let took = clock::now().saturating_duration_since(began);
                asked.context.metrics.opened.observe(took.as_secs_f64());
                return Ok(Reached {
                    key,
                    role: asked.role(),
                    placed,
                    upstream,
                    stream,
                    unread,
                });
            }
            Err(Failure::Final(end)) => return Err(end),
            Err(Failure::Dead { answered, what }) => {
                tracing::warn!(
                    session = %asked.session.id, origin = %id, stream = %key, what,
                    "origin does not take the session"
                );
                directory.failed(&id, answered);
                tried.push(id);
                fault = Some(End::Origin(what));
            }
        }
    }
    Err(fault.unwrap_or(End::OriginClosed))
}

/// Opens the session at one origin, while the client is listened to: it may leave.
async fn attempt(
    asked: &Asked<'_>,
    opening: &Opening,
    client: &mut Client,
    placed: &Placed,
) -> Result<(Upstream, TcpStream, Vec<u8>), Failure> {
    let shutdown = asked.context.core.shutdown();
    let attempt = async {
        let dialled = dial::connect(&placed.node.host, placed.port, asked.settings.dial).await;
        let (stream, address) = dialled.map_err(|error| Failure::Dead {
            answered: false,
            what: error.to_string(),
        })?;
        let prefix = hand_over::prefix(asked.settings.hand_over, asked.session.client, address);
        let is_waiting = asked.role() == Role::Play && placed.claim.is_none();
        open(asked, opening, stream, prefix, is_waiting).await
    };
    let leaving = async {
        loop {
            match client.read().await {
                Ok(true) => {}
                Ok(false) => return End::ClientClosed,
                Err(error) => return End::ClientFailed(error),
            }
        }
    };
    tokio::select! {
        attempt = attempt => attempt,
        end = leaving => Err(Failure::Final(end)),
        () = shutdown.stopped() => Err(Failure::Final(End::Stopping)),
    }
}

/// Says the opening again, up to the origin's answer. `is_waiting` for a player of what nobody has published.
async fn open(
    asked: &Asked<'_>,
    opening: &Opening,
    mut stream: TcpStream,
    mut out: Vec<u8>,
    is_waiting: bool,
) -> Result<(Upstream, TcpStream, Vec<u8>), Failure> {
    let config = UpstreamConfig {
        max_message_bytes: asked.settings.max_message_bytes,
        step_timeout: asked.settings.answer,
        hand_on_identity: true,
    };
    let mut upstream = Upstream::new(opening, config, clock::now(), seed());
    let mut unread: Vec<u8> = Vec::new();
    // it is told what comes at once: an answer waits for each message
    stream
        .set_nodelay(true)
        .map_err(|error| broken(&upstream, &error))?;
    loop {
        upstream.take_output(&mut out);
        let deadline = upstream.deadline().unwrap_or_else(clock::now).into();
        let step = async {
            stream.write_all(&out).await?;
            unread.reserve(READ_BYTES);
            match stream.read_buf(&mut unread).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }
        };
        match tokio::time::timeout_at(deadline, step).await {
            Ok(Ok(())) => out.clear(),
            Ok(Err(error)) => return Err(broken(&upstream, &error)),
            Err(_) => {
                let late = upstream.handle_timeout(clock::now()).err();
                let in_play = matches!(
                    late,
                    Some(weir_rtmp::Error::Timeout {
                        phase: weir_rtmp::Phase::Request,
                        ..
                    })
                );
                let what = late.map_or_else(|| "no answer".to_owned(), |late| late.to_string());
                // some origins answer a player when its publisher comes: that nobody has is not their fault
                if in_play && is_waiting {
                    return Err(Failure::Final(End::Origin(what)));
                }
                let answered = true;
                return Err(Failure::Dead { answered, what });
            }
        }
        let mut rest = unread.as_slice();
        let answer = upstream.handle_input(clock::now(), &mut rest);
        let left = rest.len();
        unread.drain(..unread.len().saturating_sub(left));
        match answer {
            Ok(None) => {}
            Ok(Some(Answer::Started)) => return Ok((upstream, stream, unread)),
            Ok(Some(Answer::Refused { code, description })) => {
                return Err(Failure::Final(End::Refused { code, description }));
            }
            Err(error) => {
                let (answered, what) = (true, error.to_string());
                return Err(Failure::Dead { answered, what });
            }
        }
    }
}

/// The connection to the origin ended. Before the origin knew what is wanted another may take it.
fn broken(upstream: &Upstream, error: &io::Error) -> Failure {
    if upstream.has_asked() {
        return Failure::Final(match error.kind() {
            io::ErrorKind::UnexpectedEof => End::OriginClosed,
            _ => End::OriginFailed(error.kind().into()),
        });
    }
    Failure::Dead {
        answered: true,
        what: format!("connection ended in the handshake: {error}"),
    }
}
