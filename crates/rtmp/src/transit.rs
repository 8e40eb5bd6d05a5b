//! A session that is passed on to another server.
//!
//! Owns: the opening of a client's session up to its `publish` or `play` ([`Opening`]), the same opening said again to the
//! server that has the stream ([`Upstream`]), and what happens to the bytes afterwards ([`accept`]): they may pass
//! unseen where it is proved that both connections are in the same state, else messages are passed on whole
//! ([`Messages`]). Does not: choose the server, read sockets or clocks, or look into media.
//!
//! Why bytes may pass unseen. A chunk header can leave out what an earlier header of the same chunk stream said. The two
//! connections have different histories, so the same bytes could mean different things on them; unless every chunk stream
//! that was used in the opening stands at the same [`StreamHeader`](crate::chunk::StreamHeader) on both, in both
//! directions, and the message stream has the same number. The opening is therefore said again with the client's own
//! messages on the client's own chunk streams, and the server's answers are passed on likewise; then the states are
//! compared. From there on chunk sizes, acknowledgements and pings go from end to end, as on one connection.

mod accept;
mod messages;
mod opening;
mod replay;
#[cfg(test)]
mod tests;
mod upstream;
mod writer;

pub use accept::{Output, Path, accept};
pub use messages::Messages;
pub use opening::{Opening, OpeningConfig, Request};
pub use replay::Role;
pub use upstream::{Answer, SESSION_PROPERTY, Upstream, UpstreamConfig};
