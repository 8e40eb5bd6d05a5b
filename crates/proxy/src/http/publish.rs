//! Publishing by POST or PUT.
//!
//! Owns: the way of a body to the origin, and of the origin's word back, which may come before the body ends. Does not:
//! know what the body is, or ask twice: what was sent is gone.

use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use weir_http::head::Whole;
use weir_http::request::BodyLength;
use weir_http::response::{Framing, Response};
use weir_net::clock;

use super::body::Flow;
use super::client::{read_some, write_all};
use super::connection::{Connection, Next};
use super::end::{End, Status};
use super::forward::connected;
use super::origin::{AnswerError, Origin, answer_from};
use super::playlist::Mapper;
use super::relayed::{self, Content};
use super::request::{self, Ask};
use super::routes;
use super::target::Kind;
use crate::sessions::Role;

/// The word that lets a client begin with the body (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Connection {
    /// Passes a stream to the origin that takes it.
    pub(super) async fn publish(&mut self, whole: &Whole) -> Result<Next, End> {
        let framing = match whole.request.body {
            BodyLength::None => {
                let end = End::told(Status::LENGTH_REQUIRED, "bad_request", "no body");
                return Err(end.for_good());
            }
            BodyLength::Known(length) => Framing::Known(length),
            BodyLength::Chunked => Framing::Chunked,
        };
        let (shared, settings) = (Rc::clone(&self.shared), self.settings.clone());
        let shutdown = shared.context.core.shutdown();
        let found = routes::find(&shared, &settings, whole, Kind::Stream).await;
        let route = found?;
        self.opened.session().note(|about| {
            about.stream = Some(route.stream.clone());
            about.role = Role::Publish;
            about.path = "copy";
        });
        let ask = Ask {
            whole,
            target: &route.target,
            client: self.address,
            secure: self.is_secure(),
            session: self.opened.session().id,
            is_list: false,
            close: true,
            live: false,
            is_file: false,
            body: whole.request.body,
        };
        let began = clock::now();
        let mut tried = Vec::new();
        let connecting = connected(&shared, &settings, &route, Role::Publish, &mut tried, false);
        let (mut origin, placed) = tokio::select! {
            connected = connecting => connected?,
            () = shutdown.stopped() => return Err(End::stopped()),
        };
        let node = placed.node.id.clone();
        self.opened.session().note(|about| about.node = Some(node));
        let directory = &shared.context.directory;
        let _hold = directory.hold(&route.stream, &placed, Role::Publish);
        let head = request::head(&ask, &placed);
        let sent = origin.write(&head, settings.answer).await;
        sent.map_err(End::origin_failed)?;
        let took = clock::now().saturating_duration_since(began);
        shared.context.metrics.opened.observe(took.as_secs_f64());
        if whole.request.expects_continue {
            self.client.write(CONTINUE, settings.stalled).await?;
        }
        let response = self.upload(&mut origin, framing).await?;
        let mapper = Mapper::new(&placed, &whole.request.host, "");
        let content = match response.framing {
            Framing::Chunked if self.manner.is_old => Content::Unchunked,
            _ => Content::Same,
        };
        let head = relayed::head(&response, &self.manner, &mapper, content);
        self.pass_on(origin, &placed, head, response.framing, content, false)
            .await?;
        Ok(Next::Again)
    }

    /// Passes the body on until the origin answers.
    async fn upload(
        &mut self,
        origin: &mut Origin,
        framing: Framing,
    ) -> Result<Box<Response>, End> {
        let shutdown = self.shared.context.core.shutdown();
        let (stalled, patience) = (self.settings.stalled, self.settings.answer);
        let (mut from_origin, mut to_origin) = origin.stream.split();
        let mut answer = pin!(answer_from(&mut from_origin, &mut origin.heads, false));
        let mut flow = Flow::new(framing, false, self.client.heads.take());
        let (stream, session) = (&mut self.client.stream, self.opened.session());
        let sending = async {
            loop {
                let is_complete = flow.turn()?;
                let ready = flow.ready();
                let sent = write_all(&mut to_origin, ready, stalled).await;
                sent.map_err(End::origin_failed)?;
                session.up.fetch_add(ready.len() as u64, Ordering::Relaxed);
                if is_complete {
                    return Ok(());
                }
                let buffer = flow.buffer();
                let mut take = |input: &[u8]| buffer.extend_from_slice(input);
                match read_some(stream, &mut take).await {
                    Ok(0) => return Err(End::client_left()),
                    Ok(_) => {}
                    Err(error) => return Err(End::client_failed(&error)),
                }
            }
        };
        let sent: Result<(), End> = tokio::select! {
            biased;
            early = &mut answer => return early.map_err(origin_end),
            sent = sending => sent,
            () = shutdown.stopped() => return Err(End::stopped()),
        };
        match sent {
            // it may have said why before it stopped listening
            Err(end) if end.reason != "origin_failed" => return Err(end),
            _ => {}
        }
        let left = async {
            match sent {
                Ok(()) => self.client.left().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = tokio::time::timeout(patience, answer) => {
                answer.unwrap_or(Err(AnswerError::Silent)).map_err(origin_end)
            }
            end = left => Err(end),
            () = shutdown.stopped() => Err(End::stopped()),
        }
    }
}

fn origin_end(error: AnswerError) -> End {
    match error {
        AnswerError::Silent => End::told(Status::GATEWAY_TIMEOUT, "origin_silent", error),
        error => End::origin_failed(error),
    }
}
