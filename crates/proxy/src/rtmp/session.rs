//! One RTMP session from accept to end.
//!
//! Owns: the order of the steps, and the session's entry with its closing line. Does not: the steps.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use weir_net::admission::Refusal;
use weir_net::clock;
use weir_net::door::{Door, Transport};
use weir_rtmp::transit::{self, Opening, OpeningConfig, Request};

use super::client::Client;
use super::end::End;
use super::forward;
use super::origin::{self, Reached};
use crate::context::Context;
use crate::sessions::{Opened, Role, Session};
use crate::settings::Settings;
use crate::stream_key;

/// Serves one connection.
pub(super) async fn run(context: Context, stream: TcpStream, peer: SocketAddr, door: Arc<Door>) {
    let settings = context.settings();
    let arrival = match door.enter(stream, peer, settings.opening).await {
        Ok(arrival) => arrival,
        Err(error) => {
            tracing::debug!(%peer, %error, "connection not let in");
            context.metrics.refused("rtmp", "door");
            return;
        }
    };
    let Some((permit, refusal)) = context.admit("rtmp", arrival.client) else {
        return;
    };
    let protocol = match arrival.stream {
        Transport::Plain(_) => "rtmp",
        Transport::Tls(_) => "rtmps",
    };
    let mut opened = context.sessions.open(protocol, arrival.client, permit);
    let client = Client::new(arrival.stream);
    // what the opening needs is given back before the long part begins
    let begun = Box::pin(begin(&context, &settings, &mut opened, client, refusal)).await;
    let end = match begun {
        Ok(forwarding) => forward::run(&context, forwarding).await,
        Err(end) => end,
    };
    opened.because(end.reason(), &end);
}

/// From the first byte to the moment when bytes can be forwarded. When that does not come, the client was told why.
async fn begin(
    context: &Context,
    settings: &Settings,
    opened: &mut Opened,
    mut client: Client,
    refusal: Option<Refusal>,
) -> Result<forward::Forwarding, End> {
    let session = Arc::clone(opened.session());
    let config = OpeningConfig {
        max_message_bytes: settings.max_message_bytes,
        step_timeout: settings.opening,
        identity: session.id.to_string(),
        ..OpeningConfig::default()
    };
    let mut opening = Opening::new(config, clock::now(), seed());
    let request = match hear(context, &mut opening, &mut client).await {
        Ok(request) => request,
        Err(end) => {
            if !opening.has_spoken() {
                opened.keep_quiet();
            }
            let mut last_words = Vec::new();
            opening.take_output(&mut last_words);
            if !matches!(end, End::ClientClosed | End::ClientFailed(_)) {
                client.close(&last_words).await;
            }
            return Err(end);
        }
    };
    let mut node = None;
    let asked = Asked {
        context,
        settings,
        session: &session,
        request: &request,
    };
    let reached = match refusal {
        Some(refusal) => Err(End::Limit(refusal)),
        None => origin::reach(&asked, &opening, &mut client, &mut node).await,
    };
    match reached {
        Ok(reached) => pass_on(context, settings, session, opening, client, reached).await,
        Err(end) => {
            if let Some((code, description)) = end.status(request.role, node.as_deref()) {
                opening.refuse(&code, &description);
                let mut last_words = Vec::new();
                opening.take_output(&mut last_words);
                client.close(&last_words).await;
            }
            Err(end)
        }
    }
}

/// What a client wants, with what is needed to find it.
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) settings: &'a Settings,
    pub(super) session: &'a Arc<Session>,
    pub(super) request: &'a Request,
}

impl Asked<'_> {
    /// The key of the stream, noted in the session's entry.
    pub(super) fn key(&self) -> Result<weir_cluster::Key, End> {
        let request = self.request;
        let key = stream_key::from_rtmp(
            &request.connect.tc_url,
            &request.stream,
            self.settings.key_form,
        )?;
        let role = self.role();
        self.session.note(|about| {
            about.role = role;
            about.stream = Some(key.clone());
        });
        Ok(key)
    }

    pub(super) fn role(&self) -> Role {
        match self.request.role {
            transit::Role::Publish => Role::Publish,
            transit::Role::Play => Role::Play,
        }
    }
}

/// Reads the opening until the client says what it wants.
async fn hear(
    context: &Context,
    opening: &mut Opening,
    client: &mut Client,
) -> Result<Request, End> {
    let shutdown = context.core.shutdown();
    loop {
        let mut unread = client.unread();
        let heard = opening.handle_input(clock::now(), &mut unread);
        let left = unread.len();
        client.keep_last(left);
        let request = heard.map_err(End::Client)?;
        let mut answers = Vec::new();
        opening.take_output(&mut answers);
        let deadline = opening.deadline().unwrap_or_else(clock::now).into();
        let step = async {
            client.write(&answers).await?;
            match &request {
                Some(_) => Ok::<_, io::Error>(true),
                None => client.read().await,
            }
        };
        let has_request = opening.deadline().is_none();
        tokio::select! {
            step = step => match (step, request) {
                (Ok(_), Some(request)) => return Ok(request),
                (Ok(true), None) => {}
                (Ok(false), None) => return Err(End::ClientClosed),
                (Err(error), _) => return Err(End::ClientFailed(error)),
            },
            () = tokio::time::sleep_until(deadline), if !has_request => {
                opening.handle_timeout(clock::now()).map_err(End::Client)?;
            }
            () = shutdown.stopped() => return Err(End::Stopping),
        }
    }
}

/// Answers the client as the origin did, and says how the bytes go on.
async fn pass_on(
    context: &Context,
    settings: &Settings,
    session: Arc<Session>,
    opening: Opening,
    mut client: Client,
    reached: Reached,
) -> Result<forward::Forwarding, End> {
    let mut output = transit::Output::default();
    let path = transit::accept(opening, reached.upstream, &mut output);
    let answering = tokio::time::timeout(settings.stalled, client.write(&output.to_client));
    match answering.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(End::ClientFailed(error)),
        Err(_) => return Err(End::Stalled("client")),
    }
    let role = reached.role;
    let hold = context.directory.hold(&reached.key, &reached.placed, role);
    let (stream, from_client) = client.into_parts();
    Ok(forward::Forwarding {
        session,
        hold,
        client: stream,
        origin: reached.stream,
        from_client,
        from_origin: reached.unread,
        to_origin: output.to_server,
        path,
        stalled: settings.stalled,
    })
}

/// Differs from one connection to the next; what it fills needs no more than that.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(0)
}
