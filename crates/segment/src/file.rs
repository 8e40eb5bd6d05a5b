//! The files of a stream: what their names say.
//!
//! Owns: [`File`], [`View`], and the one place where names are made and read. Does not: know which files exist.
//!
//! | name | file |
//! |---|---|
//! | `X.m3u8` | [`File::Multivariant`] |
//! | `X-av.m3u8`, `X-v.m3u8`, `X-a.m3u8` | [`File::Playlist`] of fragmented MP4 |
//! | `X-ts.m3u8` | [`File::Playlist`] of MPEG-TS |
//! | `X-av-7.mp4` | [`File::Init`] of the segments from number 7 on |
//! | `X-av-7.m4s` | [`File::Segment`] 7 |
//! | `X-av-4-7.m4s` | [`File::Listed`]: segment 7 if it goes with the init segment `X-av-4.mp4` |
//! | `X-av-7.0.m4s` | [`File::Part`] 0 of it |
//! | `X-7.ts` | [`File::Ts`], as SRS and nginx call them |
//! | `X-7.key` | [`File::Key`] |
//! | `X.mpd` | [`File::Manifest`] |

use std::fmt::Write;

/// Which tracks a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// All of them.
    Both,
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl View {
    /// Every view.
    pub const ALL: [Self; 3] = [Self::Both, Self::Video, Self::Audio];

    /// The word in names.
    pub fn label(self) -> &'static str {
        match self {
            Self::Both => "av",
            Self::Video => "v",
            Self::Audio => "a",
        }
    }

    fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.label() == label)
    }

    /// Its place in [`View::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What a media playlist lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// Segments of fragmented MP4.
    Fmp4(View),
    /// Segments of MPEG-TS.
    Ts,
}

/// A file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum File {
    /// The multivariant playlist.
    Multivariant,
    /// A media playlist.
    Playlist(List),
    /// An initialisation segment.
    Init {
        /// Its tracks.
        view: View,
        /// The number of the first segment that needs it.
        first: u64,
    },
    /// A segment of fragmented MP4.
    Segment {
        /// Its tracks.
        view: View,
        /// Its media sequence number.
        msn: u64,
    },
    /// A segment of fragmented MP4 as manifests name it, which list segments before they begin: a publisher who comes
    /// back with other codecs may begin one that was listed with the init segment before.
    Listed {
        /// Its tracks.
        view: View,
        /// The `first` of the init segment it is listed with.
        first: u64,
        /// Its media sequence number.
        msn: u64,
    },
    /// A part of a segment.
    Part {
        /// Its tracks.
        view: View,
        /// The segment's media sequence number.
        msn: u64,
        /// Its number in the segment, from 0.
        part: u32,
    },
    /// A segment of MPEG-TS.
    Ts {
        /// Its media sequence number.
        msn: u64,
    },
    /// A key.
    Key {
        /// The number of the first segment it is for.
        number: u64,
    },
    /// The manifest of MPEG-DASH.
    Manifest,
}

impl File {
    /// The stream's name and the file that `name` (decoded, the part behind the last slash) means, the longest stream
    /// name first: `cam-v.m3u8` is the multivariant playlist of `cam-v`, else a playlist of `cam`. Which of the streams
    /// exists decides.
    pub fn candidates(name: &str) -> [Option<(&str, Self)>; 2] {
        let Some((stem, extension)) = name.rsplit_once('.') else {
            return [None, None];
        };
        let whole = match extension {
            "m3u8" => Some((stem, Self::Multivariant)),
            "mpd" => Some((stem, Self::Manifest)),
            _ => None,
        };
        [whole, Self::piece(stem, extension)].map(|file| file.filter(|(stem, _)| !stem.is_empty()))
    }

    /// A file whose name says more than the stream's.
    fn piece<'a>(stem: &'a str, extension: &str) -> Option<(&'a str, Self)> {
        let (head, tail) = match extension {
            // the dot of a part's number
            "m4s" => stem.rsplit_once('-')?,
            "m3u8" | "mp4" | "ts" | "key" => stem.rsplit_once('-')?,
            _ => return None,
        };
        let viewed = |head: &'a str| {
            let (name, label) = head.rsplit_once('-')?;
            Some((name, View::parse(label)?))
        };
        match extension {
            "m3u8" if tail == "ts" => Some((head, Self::Playlist(List::Ts))),
            "m3u8" => Some((head, Self::Playlist(List::Fmp4(View::parse(tail)?)))),
            "ts" => Some((head, Self::Ts { msn: number(tail)? })),
            "key" => {
                let number = number(tail)?;
                Some((head, Self::Key { number }))
            }
            "mp4" => {
                let (name, view) = viewed(head)?;
                let first = number(tail)?;
                Some((name, Self::Init { view, first }))
            }
            _ => match (tail.split_once('.'), viewed(head)) {
                (Some((msn, part)), Some((name, view))) => {
                    let (msn, part) = (number(msn)?, u32::try_from(number(part)?).ok()?);
                    Some((name, Self::Part { view, msn, part }))
                }
                (None, Some((name, view))) => {
                    let msn = number(tail)?;
                    Some((name, Self::Segment { view, msn }))
                }
                (None, None) => {
                    let (head, first) = head.rsplit_once('-')?;
                    let (name, view) = viewed(head)?;
                    let (first, msn) = (number(first)?, number(tail)?);
                    Some((name, Self::Listed { view, first, msn }))
                }
                (Some(_), None) => None,
            },
        }
    }

    /// Appends the file's name; `stem` is the stream's, as it stands in a URI.
    pub fn write(self, stem: &str, out: &mut String) {
        out.push_str(stem);
        // a text takes any write
        let _ = match self {
            Self::Multivariant => out.write_str(".m3u8"),
            Self::Manifest => out.write_str(".mpd"),
            Self::Playlist(List::Ts) => out.write_str("-ts.m3u8"),
            Self::Playlist(List::Fmp4(view)) => write!(out, "-{}.m3u8", view.label()),
            Self::Init { view, first } => write!(out, "-{}-{first}.mp4", view.label()),
            Self::Segment { view, msn } => write!(out, "-{}-{msn}.m4s", view.label()),
            Self::Listed { view, first, msn } => {
                write!(out, "-{}-{first}-{msn}.m4s", view.label())
            }
            Self::Part { view, msn, part } => write!(out, "-{}-{msn}.{part}.m4s", view.label()),
            Self::Ts { msn } => write!(out, "-{msn}.ts"),
            Self::Key { number } => write!(out, "-{number}.key"),
        };
    }
}

/// A number as names have it: decimal digits without leading zeros, so that one file has one name.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_say_what_they_are() {
        let both = |name| {
            let [whole, piece] = File::candidates(name);
            (whole, piece)
        };
        assert_eq!(both("x.m3u8"), (Some(("x", File::Multivariant)), None));
        assert_eq!(
            both("cam-v.m3u8"),
            (
                Some(("cam-v", File::Multivariant)),
                Some(("cam", File::Playlist(List::Fmp4(View::Video))))
            )
        );
        assert_eq!(both("cam-1-12.ts").1, Some(("cam-1", File::Ts { msn: 12 })));
        let listed = File::Listed {
            view: View::Video,
            first: 4,
            msn: 7,
        };
        assert_eq!(both("cam-1-v-4-7.m4s").1, Some(("cam-1", listed)));
        for name in [
            "",
            ".m3u8",
            "x",
            "x.flv",
            "-v.m4s",
            "x-v-.m4s",
            "x-v-01.m4s",
            "x-v-1.2.3.m4s",
            "x-q-1.m4s",
            "x-v-1-2.3.m4s",
            "x-v-1-02.m4s",
            "x-v-1-2-3.m4s",
            "-v-1-2.m4s",
            "-av-1.m4s",
            "x-v-99999999999999999999.m4s",
            "x-v-1.4294967296.m4s",
            "x-+1.ts",
            "x-v-1.m4s.m4s",
        ] {
            let [whole, piece] = File::candidates(name);
            assert_eq!(piece, None, "{name}");
            assert!(whole.is_none(), "{name}");
        }
    }

    fn files() -> impl Strategy<Value = File> {
        let view = || prop_oneof![Just(View::Both), Just(View::Video), Just(View::Audio)];
        prop_oneof![
            Just(File::Multivariant),
            Just(File::Manifest),
            Just(File::Playlist(List::Ts)),
            view().prop_map(|view| File::Playlist(List::Fmp4(view))),
            (view(), any::<u64>()).prop_map(|(view, first)| File::Init { view, first }),
            (view(), any::<u64>()).prop_map(|(view, msn)| File::Segment { view, msn }),
            (view(), any::<u64>(), any::<u64>()).prop_map(|(view, first, msn)| File::Listed {
                view,
                first,
                msn
            }),
            (view(), any::<u64>(), any::<u32>()).prop_map(|(view, msn, part)| File::Part {
                view,
                msn,
                part
            }),
            any::<u64>().prop_map(|msn| File::Ts { msn }),
            any::<u64>().prop_map(|number| File::Key { number }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(file in files(), stem in "[a-z.-]{0,6}[a-z]") {
            let mut name = String::new();
            file.write(&stem, &mut name);
            let found = File::candidates(&name);
            prop_assert!(found.contains(&Some((stem.as_str(), file))), "{name}: {found:?}");
        }

        #[test]
        fn any_text_is_read_without_harm(name in "\\PC*") {
            let _ = File::candidates(&name);
        }
    }
}
