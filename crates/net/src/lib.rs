//! Listeners, per-core runtimes, clocks and limits
