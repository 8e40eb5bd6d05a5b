//! Configuration, roles, HTTP API, metrics, logs and drain
