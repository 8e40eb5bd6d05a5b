//! Configuration, roles, HTTP API, metrics, logs and drain

#![forbid(unsafe_code)]

mod activation;
pub mod api;
pub mod cli;
pub mod config;
pub mod log;
pub mod origin;
pub mod relay;
pub mod run;
mod signals;
#[cfg(target_os = "linux")]
pub mod systemd;
