//! Configuration, roles, HTTP API, metrics, logs and drain

#![forbid(unsafe_code)]

mod activation;
pub mod api;
pub mod cli;
pub mod config;
mod heartbeat;
pub mod log;
pub mod origin;
mod pages;
pub mod proxy;
mod proxy_api;
pub mod relay;
pub mod run;
mod signals;
#[cfg(target_os = "linux")]
pub mod systemd;
