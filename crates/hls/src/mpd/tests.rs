//! Tests of manifests by element; whole files of ffmpeg are in the crate's `tests`.

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
fn marked(text: &str) -> Result<String, MpdError> {
    rewrite(text, &mut |_, uri| Some(format!("{uri}?id")))
}

fn mpd(inner: &str) -> String {
    format!("<MPD>{inner}</MPD>")
}

#[test]
fn every_uri_is_found_and_nothing_else() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- <BaseURL>no</BaseURL> -->
<m:MPD xmlns:m="urn:mpeg:dash:schema:mpd:2011" xmlns:x='urn:x' type='dynamic'>
  <m:BaseURL serviceLocation="a"> http://h/live/ </m:BaseURL>
  <m:Location>live.mpd</m:Location>
  <m:PatchLocation ttl="60">patch.mpp</m:PatchLocation>
  <m:Period id="&lt;1"><x:Unknown media="no" a = "b"/>
    <m:SegmentTemplate timescale="1" media='c-$RepresentationID$-$Number%05d$.m4s' initialization="i.mp4"
      index="x.sidx" bitstreamSwitching="b.mp4" />
    <m:SegmentList><m:Initialization sourceURL="init.mp4" range="0-9"/>
      <m:RepresentationIndex sourceURL="r.sidx"/><m:BitstreamSwitching sourceURL="bs.mp4"/>
      <m:SegmentURL media="s1.m4s" index="s1.sidx" mediaRange="1-2"></m:SegmentURL>
    </m:SegmentList>
    <m:EventStream value="media"><m:Event><![CDATA[<a>]]> &amp; x</m:Event></m:EventStream>
  </m:Period>
  <m:UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="http://time/?x"/>
</m:MPD>
<?end?>
"#;
    let expected = [
        (UriKind::Base, "http://h/live/"),
        (UriKind::Location, "live.mpd"),
        (UriKind::PatchLocation, "patch.mpp"),
        (UriKind::Media, "c-$RepresentationID$-$Number%05d$.m4s"),
        (UriKind::Initialization, "i.mp4"),
        (UriKind::Index, "x.sidx"),
        (UriKind::BitstreamSwitching, "b.mp4"),
        (UriKind::Initialization, "init.mp4"),
        (UriKind::Index, "r.sidx"),
        (UriKind::BitstreamSwitching, "bs.mp4"),
        (UriKind::Media, "s1.m4s"),
        (UriKind::Index, "s1.sidx"),
    ];
    let found = uris(text);
    let found: Vec<_> = found
        .iter()
        .map(|(kind, uri)| (*kind, uri.as_str()))
        .collect();
    assert_eq!(found, expected);
    let changed = marked(text).expect("a manifest");
    assert_eq!(changed.matches("?id").count(), expected.len());
    assert_eq!(changed.replace("?id", ""), text);
}

#[test]
fn uris_are_unescaped_and_escaped_again() {
    let text =
        mpd(r#"<BaseURL>a?b=1&amp;c=&#x41;</BaseURL><SegmentURL media="a?b=1&amp;c='&quot;"/>"#);
    let found = uris(&text);
    assert_eq!(
        found,
        [
            (UriKind::Base, "a?b=1&c=A".to_owned()),
            (UriKind::Media, "a?b=1&c='\"".to_owned())
        ]
    );
    let changed = rewrite(&text, &mut |_, uri| Some(format!("{uri}&<d>"))).expect("a manifest");
    let expected = mpd("<BaseURL>a?b=1&amp;c=A&amp;&lt;d&gt;</BaseURL>\
         <SegmentURL media=\"a?b=1&amp;c=&apos;&quot;&amp;&lt;d&gt;\"/>");
    assert_eq!(changed, expected);
}

#[test]
fn text_in_sections_is_a_uri_and_text_around_other_things_is_not() {
    let text = mpd(
        "<BaseURL> <![CDATA[a&b]]>\n</BaseURL><BaseURL/><BaseURL></BaseURL><BaseURL> </BaseURL>",
    );
    assert_eq!(uris(&text), [(UriKind::Base, "a&b".to_owned())]);
    let expected =
        mpd("<BaseURL> a&amp;b?id\n</BaseURL><BaseURL/><BaseURL></BaseURL><BaseURL> </BaseURL>");
    assert_eq!(marked(&text), Ok(expected));
    for inner in ["a<!-- b -->c", "a<x/>", "<x>a</x>", "a<?b?>", "<x></x>a"] {
        assert_eq!(
            uris(&mpd(&format!("<BaseURL>{inner}</BaseURL>"))),
            [],
            "{inner}"
        );
    }
}

#[test]
fn a_byte_order_mark_stays() {
    let text = format!("\u{feff}{}", mpd("<Location>a</Location>"));
    let expected = format!("\u{feff}{}", mpd("<Location>a?id</Location>"));
    assert_eq!(marked(&text), Ok(expected));
    let twice = format!("\u{feff}{text}");
    assert_eq!(marked(&twice), Err(MpdError::Xml { offset: 3 }));
}

#[test]
fn what_is_no_manifest_is_refused() {
    for text in [
        "",
        " ",
        "text",
        "#EXTM3U",
        "<mpd/>",
        "<Patch></Patch>",
        "<MPD/><MPD/>",
        "<?xml?>",
    ] {
        assert_eq!(marked(text), Err(MpdError::NotAManifest), "{text}");
    }
    for text in [
        "<MPD>",
        "<MPD></mpd>",
        "<MPD",
        "<MPD><a></MPD>",
        "<MPD/></MPD>",
        "<MPD>&</MPD>",
    ] {
        assert!(matches!(marked(text), Err(MpdError::Xml { .. })), "{text}");
    }
    let attribute = mpd("<SegmentURL media=a/>");
    assert!(matches!(marked(&attribute), Err(MpdError::Xml { .. })));
    let fault = MpdError::Xml { offset: 5 };
    assert_eq!(fault.to_string(), "origin's manifest is no xml at byte 5");
}

#[test]
fn nothing_expands() {
    let bomb = "<!DOCTYPE MPD [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><MPD>&b;</MPD>";
    assert_eq!(marked(bomb), Err(MpdError::Doctype));
    assert_eq!(marked("<!DOCTYPE MPD><MPD/>"), Err(MpdError::Doctype));
    for inner in ["&b;", "<SegmentURL media='&b;'/>", "&#xFFFFFFFF;"] {
        let error = marked(&mpd(inner));
        assert!(
            matches!(error, Err(MpdError::Entity { .. })),
            "{inner} {error:?}"
        );
    }
}

#[test]
fn bounds() {
    let nested = |depth| format!("{}{}", "<MPD>".repeat(depth), "</MPD>".repeat(depth));
    assert!(marked(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(marked(&nested(MAX_DEPTH + 1)), Err(MpdError::TooDeep));
    let attributes = |count| {
        let list: Vec<_> = (0..count).map(|i| format!("a{i}='b'")).collect();
        mpd(&format!("<SegmentURL {}/>", list.join(" ")))
    };
    assert!(marked(&attributes(MAX_ATTRIBUTES)).is_ok());
    let many = attributes(MAX_ATTRIBUTES + 1);
    assert_eq!(marked(&many), Err(MpdError::TooManyAttributes));
    let long = mpd(&" ".repeat(MAX_TEXT_BYTES));
    assert_eq!(marked(&long), Err(MpdError::TooLong));
    let list = mpd(&"<SegmentURL media='a'/>".repeat(1000));
    let grown = rewrite(&list, &mut |_, _| Some("b".repeat(20_000)));
    assert_eq!(grown, Err(MpdError::TooLong));
}

proptest! {
    #[test]
    fn any_text_is_judged(text: String, inner in "[<>/a-c'\"=& ;!?\\[\\]-]{0,30}") {
        for text in [&text, &mpd(&text), &mpd(&inner), &format!("<MPD>{inner}")] {
            if let Ok(same) = rewrite(text, &mut |_, _| None) {
                prop_assert_eq!(&same, text);
            }
        }
    }

    #[test]
    fn only_uris_change(
        parts in prop::collection::vec(
            "<(BaseURL|Location|Other)>[ a-z&&[^b]]{0,9}(&amp;|&#65;|<!--x-->|<!\\[CDATA\\[y\\]\\]>)?[a-z ]{0,9}</END>|<(SegmentURL|Initialization)( (media|sourceURL|x)=('[a-z]{0,5}'|\"( |&lt;)?\"))?/>",
            0..9,
        ),
    ) {
        let close = |part: &String| {
            let name = part.get(1..part.find('>').unwrap_or(1)).unwrap_or_default();
            part.replace("END", name)
        };
        let text = mpd(&parts.iter().map(close).collect::<String>());
        let found = uris(&text);
        let changed = rewrite(&text, &mut |_, uri| Some(format!("{uri}~")))?;
        let again = uris(&changed);
        prop_assert_eq!(again.len(), found.len());
        for ((kind, uri), (kind_again, uri_again)) in found.iter().zip(&again) {
            prop_assert_eq!(kind, kind_again);
            prop_assert_eq!(&format!("{uri}~"), uri_again);
        }
    }
}
