//! HTTP through the proxy over real sockets, with origins made for each test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
mod files;
mod pages;
mod playlists;
mod rig;
mod rules;
mod secure;
mod segments;
mod streams;
