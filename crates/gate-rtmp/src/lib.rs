//! RTMP gate: socket, session core and hub, for publish, play and dialling out
