//! Playlists of HLS and manifests of MPEG-DASH as text: read line by line, changed, and written back.
//!
//! Owns: their syntax. Does not: fetch them or know where they lead.

#![forbid(unsafe_code)]
