//! HTTP-FLV gate: play by GET and WebSocket, publish by POST
