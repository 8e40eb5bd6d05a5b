//! Tests of playlists line by line; whole files of servers are in the crate's `tests`.

use proptest::prelude::*;

use super::*;

/// The URIs of `text` with their kinds.
fn uris(text: &str) -> Vec<(UriKind, String)> {
    let mut found = Vec::new();
    let same = rewrite(text, &mut |kind, uri| {
        found.push((kind, uri.to_owned()));
        None
    });
    assert_eq!(same.as_deref(), Ok(text));
    found
}

/// `text` with `?id` behind each URI.
fn marked(text: &str) -> Result<String, PlaylistError> {
    rewrite(text, &mut |_, uri| Some(format!("{uri}?id")))
}

#[test]
fn every_uri_of_the_standard_is_found() {
    let text = r#"#EXTM3U
#EXT-X-SESSION-DATA:DATA-ID="a",URI="data.json"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="x,y"
#EXT-X-CONTENT-STEERING:SERVER-URI="/steer?x=1",PATHWAY-ID="A"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b, URI=no",URI="audio.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="d",INSTREAM-ID="CC1"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframes.m3u8"
#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI="images.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a,b"
# a comment between
low.m3u8
#EXT-X-MAP:URI="init.mp4",BYTERANGE="9@0"
#EXT-X-KEY:METHOD=AES-128,URI="key?a=1,b=2",IV=0x0F
#EXT-X-DATERANGE:ID="x",X-ASSET-URI="ad.m3u8",X-ASSET-LIST="ads.json",SCTE35-OUT=0xFC
#EXT-X-PART:DURATION=0.2,URI="p1.mp4",INDEPENDENT=YES
segment.ts
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p2.mp4"
#EXT-X-RENDITION-REPORT:URI="../1/x.m3u8",LAST-MSN=1
#EXT-X-UNKNOWN:URI="untouched"
"#;
    let expected = [
        (UriKind::SessionData, "data.json"),
        (UriKind::SessionKey, "skd://key"),
        (UriKind::Steering, "/steer?x=1"),
        (UriKind::Media, "audio.m3u8"),
        (UriKind::IFrames, "iframes.m3u8"),
        (UriKind::Images, "images.m3u8"),
        (UriKind::Variant, "low.m3u8"),
        (UriKind::Map, "init.mp4"),
        (UriKind::Key, "key?a=1,b=2"),
        (UriKind::Asset, "ad.m3u8"),
        (UriKind::AssetList, "ads.json"),
        (UriKind::Part, "p1.mp4"),
        (UriKind::Segment, "segment.ts"),
        (UriKind::PreloadHint, "p2.mp4"),
        (UriKind::RenditionReport, "../1/x.m3u8"),
    ];
    let found = uris(text);
    let found: Vec<_> = found
        .iter()
        .map(|(kind, uri)| (*kind, uri.as_str()))
        .collect();
    assert_eq!(found, expected);
    let changed = marked(text).expect("a playlist");
    for (_, uri) in expected {
        assert!(changed.contains(&format!("{uri}?id")), "{uri}");
    }
    assert_eq!(changed.replace("?id", ""), text);
}

/// W42: names of files in comments, hosts and other text are not URIs.
#[test]
fn what_is_no_uri_stays() {
    let text = "#EXTM3U\n# seg.ts?x\n#EXTINF:2,seg.ts?\nhttp://h.ts/a.tsx\n";
    assert_eq!(
        uris(text),
        [(UriKind::Segment, "http://h.ts/a.tsx".to_owned())]
    );
    let expected = "#EXTM3U\n# seg.ts?x\n#EXTINF:2,seg.ts?\nhttp://h.ts/a.tsx?id\n";
    assert_eq!(marked(text).as_deref(), Ok(expected));
}

#[test]
fn line_ends_marks_and_spaces_stay() {
    let text = "\u{feff}#EXTM3U \r\n\r\n  a.ts \t\r\n#EXTINF:1,\nb.ts\n\n#EXT-X-ENDLIST";
    let expected = "\u{feff}#EXTM3U \r\n\r\n  a.ts?id \t\r\n#EXTINF:1,\nb.ts?id\n\n#EXT-X-ENDLIST";
    assert_eq!(marked(text).as_deref(), Ok(expected));
    assert_eq!(marked("#EXTM3U\na.ts").as_deref(), Ok("#EXTM3U\na.ts?id"));
    assert_eq!(marked("#EXTM3U").as_deref(), Ok("#EXTM3U"));
    let with_attributes = "#EXTM3U x-tvg-url=\"http://h/\"\n";
    assert_eq!(marked(with_attributes).as_deref(), Ok(with_attributes));
}

#[test]
fn broken_attributes_stay() {
    for line in [
        "#EXT-X-MAP:URI=\"init.mp4",
        "#EXT-X-MAP:URI=\"\"",
        "#EXT-X-MAP:URI",
        "#EXT-X-MAP",
        "#EXT-X-MAP:,,=,URI,",
        "#EXT-X-MAPS:URI=\"x\"",
        "#ext-x-map:URI=\"x\"",
        "#EXT-X-MAP:URI=x\"",
        "#EXT-X-MAP:URI=x y",
        "#EXT-X-MAP:URI=\"x\ry\"",
        "x\ry",
    ] {
        assert_eq!(uris(&format!("#EXTM3U\n{line}\n")), [], "{line}");
    }
    let bare = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128, URI=a.key ,IV=0x1\n";
    let expected = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128, URI=a.key?id ,IV=0x1\n";
    assert_eq!(marked(bare).as_deref(), Ok(expected));
}

#[test]
fn values_of_attributes() {
    let text = "A=12,B=\"x,y=\",C=0x0fA,D=-1.5,E=YES,F=1280x720,G=\"12\"";
    let found: Vec<_> = attributes(text).collect();
    let of = |name| {
        found
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    assert_eq!(found.len(), 7);
    assert_eq!(of("A").and_then(Value::integer), Some(12));
    assert_eq!(of("A").and_then(Value::number), Some(12.0));
    assert_eq!(of("B"), Some(Value::Quoted("x,y=")));
    assert_eq!(of("C").and_then(Value::hexadecimal), Some("0fA"));
    assert_eq!(of("D").and_then(Value::number), Some(-1.5));
    assert_eq!(of("E"), Some(Value::Bare("YES")));
    assert_eq!(of("F").map(Value::text), Some("1280x720"));
    for name in ["B", "D", "E", "F", "G"] {
        assert_eq!(of(name).and_then(Value::integer), None, "{name}");
        assert_eq!(of(name).and_then(Value::hexadecimal), None, "{name}");
    }
    assert_eq!(of("G").and_then(Value::number), None);
    assert_eq!(Value::Bare("inf").number(), None);
    let endless = "A=1,".repeat(2 * MAX_ATTRIBUTES);
    assert_eq!(attributes(&endless).count(), MAX_ATTRIBUTES);
}

#[test]
fn lines_are_told_apart() {
    let found: Vec<_> = lines("\u{feff}#EXTM3U\r\n#EXTINF:1,a:b\n# c\n\nu v").collect();
    let tag = |name, value| Line::Tag { name, value };
    let expected = [
        tag("#EXTM3U", None),
        tag("#EXTINF", Some("1,a:b")),
        Line::Comment("# c"),
        Line::Blank,
        Line::Uri("u v"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_playlist_is_refused() {
    for text in [
        "",
        "\n#EXTM3U\n",
        "#EXTM3",
        "#EXTM3U8\n",
        "<html>",
        " #EXTM3U",
    ] {
        assert_eq!(marked(text), Err(PlaylistError::NotAPlaylist), "{text}");
    }
}

#[test]
fn bounds() {
    let line = "a".repeat(MAX_LINE_BYTES - 1);
    assert!(marked(&format!("#EXTM3U\n{line}\n")).is_ok());
    let long = format!("#EXTM3U\n{line}a\n");
    assert_eq!(marked(&long), Err(PlaylistError::LineTooLong { line: 2 }));
    let many = format!("#EXTM3U\n{}", "\n".repeat(MAX_LINES));
    assert_eq!(marked(&many), Err(PlaylistError::TooManyLines));
    assert!(marked(&many[..many.len() - 1]).is_ok());
    let uris = format!("#EXTM3U\n{}", "a\n".repeat(MAX_LINES - 1));
    let grown = rewrite(&uris, &mut |_, _| Some("b".repeat(100)));
    assert_eq!(grown, Err(PlaylistError::TooLong));
}

#[test]
fn a_change_cannot_break_a_playlist() {
    let text = "#EXTM3U\na.ts\n#EXT-X-MAP:URI=\"b\"\n#EXT-X-KEY:URI=c\n";
    let change =
        |old: &str, new: &str| rewrite(text, &mut |_, uri| (uri == old).then(|| new.to_owned()));
    for new in ["", "#x", "#EXT-X-ENDLIST", "x\ny", "x\r", " x"] {
        assert_eq!(
            change("a.ts", new),
            Err(PlaylistError::Uri { line: 2 }),
            "{new}"
        );
    }
    for new in ["", "x\"y", "x\ny"] {
        assert_eq!(
            change("b", new),
            Err(PlaylistError::Uri { line: 3 }),
            "{new}"
        );
    }
    for new in ["x,y", "x y", "\"x\""] {
        assert_eq!(
            change("c", new),
            Err(PlaylistError::Uri { line: 4 }),
            "{new}"
        );
    }
    assert!(change("b", "x,y").is_ok_and(|text| text.contains("URI=\"x,y\"")));
}

proptest! {
    #[test]
    fn any_text_is_judged(text: String) {
        for text in [&text, &format!("#EXTM3U\n{text}")] {
            match rewrite(text, &mut |_, _| None) {
                Ok(same) => prop_assert_eq!(&same, text),
                Err(error) => prop_assert_eq!(error, PlaylistError::NotAPlaylist),
            }
        }
    }

    #[test]
    fn only_uris_change(
        lines in prop::collection::vec(
            "(#EXT(-X-(MAP|KEY|MEDIA|PART|STREAM-INF|DATERANGE)|INF):?)?[ ,=a\"]{0,4}((,|,X-ASSET-)?URI=\"?[a-zé?/ ,]{0,9}\"?)?[a-z,=\" ]{0,9}",
            0..9,
        ),
        ends in prop::collection::vec("\r?\n", 9),
    ) {
        let mut text = String::from("#EXTM3U\n");
        for (line, end) in lines.iter().zip(&ends) {
            text.push_str(line);
            text.push_str(end);
        }
        let found = uris(&text);
        // with a character that is nowhere else, taking it out again gives the original
        let changed = rewrite(&text, &mut |_, uri| Some(format!("{uri}~")));
        let changed = changed?;
        prop_assert_eq!(changed.replace('~', ""), text);
        let again = uris(&changed);
        prop_assert_eq!(again.len(), found.len());
        for ((kind, uri), (kind_again, uri_again)) in found.iter().zip(&again) {
            prop_assert_eq!(kind, kind_again);
            prop_assert_eq!(&format!("{uri}~"), uri_again);
        }
    }
}
