//! Cluster state in Redis, with exactly the keys, values and lifetimes of the SRS proxy.
//!
//! Owns: the connection to Redis and the form of what is kept there. Does not: choose nodes, cache or retry.

#![forbid(unsafe_code)]
