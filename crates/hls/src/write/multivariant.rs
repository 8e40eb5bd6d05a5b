//! Multivariant playlists (RFC 8216 §4.3.4, draft §4.4.6).
//!
//! Owns: their tags. Does not: measure bit rates, or know codecs.

use super::text::{
    push_decimal, push_integer, push_quoted, push_quoted_list, push_uri, push_uri_line,
};

/// A rendition of the sound, apart from the picture (`EXT-X-MEDIA`).
#[derive(Debug, Clone, Copy)]
pub struct AudioRendition<'a> {
    /// The group that variants name.
    pub group: &'a str,
    /// What users read.
    pub name: &'a str,
    /// RFC 5646, such as `en`.
    pub language: Option<&'a str>,
    /// Channels of its sound.
    pub channels: Option<u32>,
    /// Whether it is played unless the user chooses another; one in a group.
    pub is_default: bool,
    /// Its media playlist; `None` if the sound is in the variant's own segments.
    pub uri: Option<&'a str>,
}

/// A variant (`EXT-X-STREAM-INF`).
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    /// Its media playlist.
    pub uri: &'a str,
    /// Highest bit rate of a segment with that of its renditions, in bit/s; at least 1 is written.
    pub bandwidth: u64,
    /// Average bit rate in bit/s.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381, of all that the variant and its renditions need; parts that are empty are left out.
    pub codecs: &'a [&'a str],
    /// Width and height in pixels; `None` for sound alone.
    pub resolution: Option<(u32, u32)>,
    /// Pictures a second, if they are known.
    pub frame_rate: Option<f64>,
    /// The group of [`AudioRendition`]s that goes with it.
    pub audio: Option<&'a str>,
}

/// A multivariant playlist. Players begin with the first variant.
#[derive(Debug, Clone, Copy)]
pub struct Multivariant<'a> {
    /// Whether in all variants every segment begins with a key frame (RFC 8216 §4.3.5.1).
    pub is_independent: bool,
    /// Sound apart from the picture.
    pub audio: &'a [AudioRendition<'a>],
    /// The variants.
    pub variants: &'a [Variant<'a>],
}

impl Multivariant<'_> {
    /// Appends the playlist.
    pub fn write(&self, out: &mut String) {
        out.push_str("#EXTM3U\n");
        if !self.audio.is_empty() {
            // renditions are of version 4, though players of older ones may skip them (draft §8)
            out.push_str("#EXT-X-VERSION:4\n");
        }
        if self.is_independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        for rendition in self.audio {
            rendition.write(out);
        }
        for variant in self.variants {
            variant.write(out);
        }
    }
}

impl AudioRendition<'_> {
    fn write(&self, out: &mut String) {
        out.push_str("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=");
        push_quoted(out, self.group);
        out.push_str(",NAME=");
        push_quoted(out, self.name);
        if let Some(language) = self.language {
            out.push_str(",LANGUAGE=");
            push_quoted(out, language);
        }
        // what is chosen by default may always be chosen without the user (RFC 8216 §4.3.4.1)
        out.push_str(match self.is_default {
            true => ",DEFAULT=YES,AUTOSELECT=YES",
            false => ",DEFAULT=NO,AUTOSELECT=YES",
        });
        if let Some(channels) = self.channels {
            out.push_str(",CHANNELS=\"");
            push_integer(out, channels.into());
            out.push('"');
        }
        if let Some(uri) = self.uri {
            out.push_str(",URI=");
            push_uri(out, |out| out.push_str(uri));
        }
        out.push('\n');
    }
}

impl Variant<'_> {
    fn write(&self, out: &mut String) {
        out.push_str("#EXT-X-STREAM-INF:BANDWIDTH=");
        push_integer(out, self.bandwidth.max(1));
        if let Some(average) = self.average_bandwidth {
            out.push_str(",AVERAGE-BANDWIDTH=");
            push_integer(out, average.max(1));
        }
        if self.codecs.iter().any(|codec| !codec.is_empty()) {
            out.push_str(",CODECS=");
            push_quoted_list(out, self.codecs);
        }
        if let Some((width, height)) = self.resolution {
            out.push_str(",RESOLUTION=");
            push_integer(out, width.into());
            out.push('x');
            push_integer(out, height.into());
        }
        if let Some(rate) = self.frame_rate {
            push_decimal(out, ",FRAME-RATE=", rate);
        }
        if let Some(group) = self.audio {
            out.push_str(",AUDIO=");
            push_quoted(out, group);
        }
        // else players look for captions in the pictures; if one variant says so, all must (RFC 8216 §4.3.4.2)
        out.push_str(",CLOSED-CAPTIONS=NONE\n");
        push_uri_line(out, |out| out.push_str(self.uri));
    }
}
