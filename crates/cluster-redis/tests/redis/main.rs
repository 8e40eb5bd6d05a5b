//! The state on real servers: its rules, the bytes that are kept, and what happens when a server fails.

mod conformance;
mod failures;
mod kept;
mod states;
