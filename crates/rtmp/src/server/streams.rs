//! The message streams of one connection.
//!
//! Owns: which exist and what each is used for. Does not: send anything.

use crate::server::event::Event;

/// Message streams on one connection. Encoders use one, players of several angles a handful; the bound keeps a
/// peer from filling memory with `createStream`.
pub const MAX_MESSAGE_STREAMS: usize = 16;

/// The message streams of a connection, few enough to search in order.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<MessageStream>);

#[derive(Debug)]
pub(super) struct MessageStream {
    pub(super) msid: u32,
    pub(super) role: Role,
}

/// What a message stream is used for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing yet, or no more.
    Idle,
    /// The application has to answer the publish.
    PublishAsked { name: Box<str> },
    /// Media of the peer is taken.
    Publishing { name: Box<str> },
    /// The application has to answer the play.
    PlayAsked { reset: bool },
    /// Media is sent by the application.
    Playing,
}

impl Streams {
    /// Makes a stream with the lowest free id, so that the first one always has 1. `None` when there are too many.
    pub(super) fn create(&mut self) -> Option<u32> {
        if self.0.len() >= MAX_MESSAGE_STREAMS {
            return None;
        }
        let msid = (1..).find(|&msid| self.find(msid).is_none())?;
        self.0.push(MessageStream {
            msid,
            role: Role::Idle,
        });
        Some(msid)
    }

    pub(super) fn find(&mut self, msid: u32) -> Option<&mut MessageStream> {
        self.0.iter_mut().find(|stream| stream.msid == msid)
    }

    /// The stream a command is for. Servers of the field ignore the id, so encoders that send commands with a
    /// wrong one exist: those get the newest stream.
    pub(super) fn for_command(&mut self, msid: u32) -> Option<&mut MessageStream> {
        match self.0.iter().position(|stream| stream.msid == msid) {
            Some(index) => self.0.get_mut(index),
            None => self.0.last_mut(),
        }
    }

    /// The publishing stream that media on `msid` belongs to. As with commands, a wrong id is understood where
    /// only one stream publishes.
    pub(super) fn for_media(&self, msid: u32) -> Option<u32> {
        let mut publishing = self
            .0
            .iter()
            .filter(|stream| matches!(stream.role, Role::Publishing { .. }));
        let first = publishing.next()?;
        if first.msid == msid {
            return Some(msid);
        }
        match publishing.next() {
            None => Some(first.msid),
            Some(second) if second.msid == msid => Some(msid),
            Some(_) => publishing
                .find(|stream| stream.msid == msid)
                .map(|stream| stream.msid),
        }
    }

    /// The publishing stream that `FCUnpublish` names; with a query or without, or the only one.
    pub(super) fn publishing_as(&mut self, wanted: Option<&str>) -> Option<&mut MessageStream> {
        let bare = |name: &str| name.split('?').next().unwrap_or_default().to_owned();
        let wanted = wanted.map(bare);
        let mut first = None;
        let mut count = 0;
        for (index, stream) in self.0.iter().enumerate() {
            let Role::Publishing { name } = &stream.role else {
                continue;
            };
            if wanted.as_ref().is_some_and(|wanted| *wanted == bare(name)) {
                return self.0.get_mut(index);
            }
            count += 1;
            first = first.or(Some(index));
        }
        first
            .filter(|_| count == 1)
            .and_then(|index| self.0.get_mut(index))
    }

    pub(super) fn remove(&mut self, msid: u32) {
        self.0.retain(|stream| stream.msid != msid);
    }

    /// Whether a publish waits for its answer.
    pub(super) fn any_publish_asked(&self) -> bool {
        self.0
            .iter()
            .any(|stream| matches!(stream.role, Role::PublishAsked { .. }))
    }

    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<MessageStream>()
    }
}

impl MessageStream {
    /// Ends the use of the stream. The event tells the application, if it has to know.
    pub(super) fn end(&mut self, clean: bool) -> Option<Event> {
        let msid = self.msid;
        match std::mem::replace(&mut self.role, Role::Idle) {
            Role::Idle | Role::PublishAsked { .. } => None,
            Role::Publishing { .. } => Some(Event::Unpublish { msid, clean }),
            Role::PlayAsked { .. } | Role::Playing => Some(Event::StopPlay { msid }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_start_at_one_and_are_used_again() {
        let mut streams = Streams::default();
        assert_eq!([streams.create(), streams.create()], [Some(1), Some(2)]);
        streams.remove(1);
        assert_eq!([streams.create(), streams.create()], [Some(1), Some(3)]);
        while streams.create().is_some() {}
        assert_eq!(streams.0.len(), MAX_MESSAGE_STREAMS);
    }

    #[test]
    fn media_with_a_wrong_id_finds_the_only_publisher() {
        let mut streams = Streams::default();
        let publishing = |name: &str| Role::Publishing { name: name.into() };
        for name in ["a", "b?k=1", "c"] {
            let msid = streams.create().unwrap();
            assert_eq!(streams.for_media(9), if msid == 2 { Some(1) } else { None });
            streams.find(msid).unwrap().role = publishing(name);
        }
        assert_eq!(
            [1, 2, 3, 9].map(|msid| streams.for_media(msid)),
            [Some(1), Some(2), Some(3), None]
        );
        assert_eq!(
            streams.publishing_as(Some("b")).map(|stream| stream.msid),
            Some(2)
        );
        assert!(streams.publishing_as(Some("x")).is_none());
        streams.remove(1);
        streams.remove(2);
        assert_eq!(
            streams.publishing_as(Some("x")).map(|stream| stream.msid),
            Some(3)
        );
    }
}
