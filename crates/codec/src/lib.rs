//! Codec headers: H.264, H.265, AV1, VP9, AAC, Opus, MP3, FLAC, AC-3
