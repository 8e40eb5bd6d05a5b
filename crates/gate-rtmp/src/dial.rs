//! Dialling out: pull a stream from another server into the hub, push one from the hub to another server.
