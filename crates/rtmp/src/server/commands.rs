//! What each command does to a server session.
//!
//! Owns: the meaning of commands, with the habits of real clients. Does not: know the form of replies.
//!
//! A well-formed command that cannot be carried out is answered (`_error` if it wants an answer, `onStatus` of level
//! error for streams) and the session goes on; only malformed AMF and a wrong first command end it.

use std::time::Instant;

use weir_container::amf::Value;

use super::event::{ConnectRequest, Event, PublishKind};
use super::replies;
use super::session::{ServerSession, State};
use super::streams::Role;
use crate::command::{Command, StatusCode};
use crate::error::{Error, Misbehaviour};
use crate::message::{Control, UserControl};

impl ServerSession {
    pub(super) fn handle_command(
        &mut self,
        now: Instant,
        csid: u32,
        msid: u32,
        command: Command,
    ) -> Result<Option<Event>, Error> {
        if let State::Fresh = self.state {
            if command.name != "connect" {
                return Err(self.fail(Some(csid), Misbehaviour::BeforeConnect(command.name)));
            }
            return Ok(Some(
                self.ask_connect(now, ConnectRequest::from_command(command)),
            ));
        }
        Ok(match command.name.as_str() {
            "createStream" => self.create_stream(&command),
            "publish" => self.publish(msid, &command),
            "play" | "play2" => self.play(msid, &command),
            "deleteStream" => self.delete_stream(msid, &command),
            "closeStream" => self.close_stream(msid),
            "FCUnpublish" => self.fc_unpublish(&command),
            "FCPublish" => self.fc_publish(&command),
            "pause" | "pauseRaw" => self.pause(msid, &command),
            "seek" => self.seek(msid),
            "receiveAudio" => self.receive(msid, &command, true),
            "receiveVideo" => self.receive(msid, &command, false),
            "getStreamLength" => self.result(&command, 0.0.into()),
            "releaseStream" | "_checkbw" | "FCSubscribe" | "FCUnsubscribe" => {
                self.result(&command, Value::Undefined)
            }
            // answers of the peer to what we sent
            "_result" | "_error" | "onStatus" => None,
            _ => self.refuse(&command, "unknown command"),
        })
    }

    /// Answers with one value if an answer is wanted.
    fn result(&mut self, command: &Command, value: Value) -> Option<Event> {
        if command.transaction_id != 0.0 {
            let id = command.transaction_id;
            replies::write_result(&mut self.output, id, value, self.chunk_size);
        }
        None
    }

    fn refuse(&mut self, command: &Command, why: &str) -> Option<Event> {
        if command.transaction_id != 0.0 {
            let (id, code) = (command.transaction_id, StatusCode::CallFailed);
            replies::write_error(&mut self.output, id, code, why, self.chunk_size);
        }
        None
    }

    fn create_stream(&mut self, command: &Command) -> Option<Event> {
        match self.streams.create() {
            Some(msid) => self.result(command, f64::from(msid).into()),
            None => self.refuse(command, "too many message streams"),
        }
    }

    fn publish(&mut self, msid: u32, command: &Command) -> Option<Event> {
        let name = command.text(0).unwrap_or_default();
        let Some(stream) = self.streams.for_command(msid) else {
            self.on_status(
                msid,
                StatusCode::StreamFailed,
                "publish without createStream",
            );
            return None;
        };
        let msid = stream.msid;
        let ended = stream.end(false);
        if name.is_empty() {
            // publish(false) of Flash ends publishing; anything else lacks a name
            let stops = command.arguments.first() == Some(&Value::Boolean(false));
            let code = if stops {
                StatusCode::UnpublishSuccess
            } else {
                StatusCode::PublishBadName
            };
            self.on_status(
                msid,
                code,
                if stops {
                    "Stopped."
                } else {
                    "publish without a name"
                },
            );
            return ended;
        }
        stream.role = Role::PublishAsked { name: name.into() };
        let kind = PublishKind::from_name(command.text(1));
        self.use_stream();
        self.in_order(
            ended,
            Event::Publish {
                msid,
                name: name.to_owned(),
                kind,
            },
        )
    }

    fn play(&mut self, msid: u32, command: &Command) -> Option<Event> {
        let (name, start, duration, reset) = match command.arguments.first() {
            // play2 puts them into an object
            Some(options @ Value::Object(_)) => {
                let number = |name| options.get(name).and_then(Value::as_f64);
                let name = options.get("streamName").and_then(Value::as_str);
                (name, number("start"), number("len"), None)
            }
            _ => (
                command.text(0),
                command.number(1),
                command.number(2),
                command.flag(3),
            ),
        };
        let Some(stream) = self.streams.for_command(msid) else {
            self.on_status(msid, StatusCode::StreamFailed, "play without createStream");
            return None;
        };
        let msid = stream.msid;
        let ended = stream.end(false);
        let Some(name) = name.filter(|name| !name.is_empty()).map(str::to_owned) else {
            self.on_status(msid, StatusCode::PlayFailed, "play without a name");
            return ended;
        };
        let reset = reset.unwrap_or(true);
        stream.role = Role::PlayAsked { reset };
        self.use_stream();
        let (start, duration) = (start.unwrap_or(-2.0), duration.unwrap_or(-1.0));
        self.in_order(
            ended,
            Event::Play {
                msid,
                name,
                start,
                duration,
                reset,
            },
        )
    }

    /// The peer has shown what it is here for: nothing more is waited for.
    fn use_stream(&mut self) {
        self.state = State::InUse;
        self.deadline = None;
    }

    /// Gives `first`, if there is one, and `second` with the next call.
    fn in_order(&mut self, first: Option<Event>, second: Event) -> Option<Event> {
        if first.is_none() {
            return Some(second);
        }
        self.queued = Some(Box::new(second));
        first
    }

    fn delete_stream(&mut self, msid: u32, command: &Command) -> Option<Event> {
        // a number that is no stream id becomes one that does not exist
        let msid = command.number(0).map_or(msid, |number| number as u32);
        let ended = self.streams.find(msid)?.end(true);
        self.streams.remove(msid);
        ended
    }

    fn close_stream(&mut self, msid: u32) -> Option<Event> {
        self.streams.for_command(msid)?.end(true)
    }

    fn fc_publish(&mut self, command: &Command) -> Option<Event> {
        self.result(command, Value::Undefined);
        let (name, code) = (
            command.text(0).unwrap_or_default(),
            StatusCode::PublishStart,
        );
        replies::write_on_fc(&mut self.output, "onFCPublish", code, name, self.chunk_size);
        None
    }

    fn fc_unpublish(&mut self, command: &Command) -> Option<Event> {
        self.result(command, Value::Undefined);
        let stream = self.streams.publishing_as(command.text(0))?;
        let msid = stream.msid;
        let ended = stream.end(true);
        let (name, code) = (
            command.text(0).unwrap_or_default(),
            StatusCode::UnpublishSuccess,
        );
        replies::write_on_fc(
            &mut self.output,
            "onFCUnpublish",
            code,
            name,
            self.chunk_size,
        );
        self.on_status(msid, code, "Stopped publishing stream.");
        ended
    }

    fn pause(&mut self, msid: u32, command: &Command) -> Option<Event> {
        let paused = command.flag(0)?;
        let stream = self.streams.for_command(msid)?;
        if stream.role != Role::Playing {
            return None;
        }
        let msid = stream.msid;
        let (notice, code, text) = if paused {
            (
                UserControl::StreamEof(msid),
                StatusCode::PauseNotify,
                "Paused stream.",
            )
        } else {
            (
                UserControl::StreamBegin(msid),
                StatusCode::UnpauseNotify,
                "Resumed stream.",
            )
        };
        Control::User(notice).write(&mut self.output, self.chunk_size);
        self.on_status(msid, code, text);
        Some(Event::Pause { msid, paused })
    }

    fn seek(&mut self, msid: u32) -> Option<Event> {
        let msid = self.streams.for_command(msid)?.msid;
        self.on_status(
            msid,
            StatusCode::SeekFailed,
            "A live stream cannot be sought.",
        );
        None
    }

    fn receive(&mut self, msid: u32, command: &Command, audio: bool) -> Option<Event> {
        let enabled = command.flag(0)?;
        let msid = self.streams.for_command(msid)?.msid;
        Some(if audio {
            Event::ReceiveAudio { msid, enabled }
        } else {
            Event::ReceiveVideo { msid, enabled }
        })
    }
}
