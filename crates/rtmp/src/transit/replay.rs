//! What a client said in its opening that its server has to hear too.
//!
//! Owns: the client's own messages, bounded. Does not: judge them.

use crate::chunk::StreamHeader;
use crate::message::Message;

/// What a client wants with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Send it.
    Publish,
    /// Receive it.
    Play,
}

/// Control messages that are kept, one for each chunk stream: clients use 2, and some 3 as well.
const MOST_CONTROLS: usize = 4;

/// The opening, to be said again. Bodies are shared, so a copy is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Replay {
    pub(super) connect: Option<Message>,
    pub(super) release_stream: Option<Message>,
    pub(super) fc_publish: Option<Message>,
    pub(super) create_stream: Option<Message>,
    pub(super) request: Option<Message>,
    /// The last control message of each chunk stream.
    controls: Vec<Message>,
}

impl Replay {
    /// Keeps a control message in place of the last one of its chunk stream.
    pub(super) fn keep_control(&mut self, message: &Message) {
        self.controls.retain(|kept| kept.csid != message.csid);
        if self.controls.len() < MOST_CONTROLS {
            self.controls.push(message.clone());
        }
    }

    /// The control message that left its chunk stream in the state `header`.
    pub(super) fn control_for(&self, header: &StreamHeader) -> Option<&Message> {
        self.controls.iter().find(|message| {
            message.csid == header.csid
                && message.type_id == header.type_id
                && message.timestamp == header.timestamp
                && message.msid == header.msid
                && message.body.len() == header.length as usize
        })
    }
}
