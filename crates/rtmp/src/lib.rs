//! RTMP as a sans-IO core: handshake, chunk stream, server and client sessions
