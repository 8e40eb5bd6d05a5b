//! The key of a stream, from what a client of each protocol names.
//!
//! Owns: one normal form for all protocols, and the Go proxy's own. Does not: parse requests.
