//! Each rule is shown a fault that only it finds.

use super::*;

const SOUND: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=3.0,HOLD-BACK=6.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x01
#EXT-X-MAP:URI=\"i.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.0,
10.m4s
#EXTINF:2.0,
11.m4s
#EXT-X-DISCONTINUITY
#EXTINF:2.0,
12.m4s
#EXT-X-PART:DURATION=1.0,URI=\"13.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"13.1.m4s\"
#EXTINF:2.0,
13.m4s
#EXT-X-PART:DURATION=1.0,URI=\"14.0.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"a.m3u8\",LAST-MSN=14,LAST-PART=0
";

fn rules(found: &[Finding]) -> Vec<Rule> {
    found.iter().map(|finding| finding.rule).collect()
}

/// The sound playlist with `old` in it replaced.
fn with(old: &str, new: &str) -> String {
    assert!(SOUND.contains(old), "{old}");
    SOUND.replacen(old, new, 1)
}

#[test]
fn a_sound_playlist_is_read_whole() {
    assert_eq!(check(SOUND), []);
    let list = Listing::parse(SOUND).0;
    assert_eq!(
        (list.version, list.target, list.part_target),
        (6, Some(2), Some(1.0))
    );
    assert_eq!((list.media_sequence, list.next_number()), (10, 14));
    let numbers: Vec<_> = list
        .segments
        .iter()
        .map(|s| (s.number, s.discontinuity))
        .collect();
    assert_eq!(numbers, [(10, 3), (11, 3), (12, 4), (13, 4)]);
    assert_eq!(list.segments[3].parts.len(), 2);
    assert!(list.segments[3].parts[0].is_independent);
    assert_eq!(list.segments[1].map.as_deref(), Some("i.mp4"));
    assert!(
        list.segments[1]
            .key
            .as_ref()
            .is_some_and(|key| key.contains("0x01"))
    );
    assert_eq!(list.open_parts.len(), 1);
    assert_eq!(list.hint.as_deref(), Some("14.1.m4s"));
    assert_eq!(
        (list.reports[0].last_segment, list.reports[0].last_part),
        (14, Some(0))
    );
    assert_eq!(list.duration(), 8.0);
}

#[test]
fn each_fault_in_a_playlist_is_found() {
    let faults = [
        (with("#EXTM3U\n", ""), Rule::Header),
        (with("VERSION:6", "VERSION:5"), Rule::Version),
        (
            with(
                "#EXTINF:2.0,\n10",
                "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXTINF:2.0,\n10",
            ),
            Rule::Version,
        ),
        (
            with("#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6"),
            Rule::Once,
        ),
        (
            with("10.m4s", "10.m4s\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1")
                .replace("VERSION:6", "VERSION:9"),
            Rule::Once,
        ),
        (with("URI=\"i.mp4\"", "BYTERANGE=\"1@2\""), Rule::Attribute),
        (
            with(
                "DURATION=1.0,URI=\"14.0.m4s\"",
                "DURATION=x,URI=\"14.0.m4s\"",
            ),
            Rule::Attribute,
        ),
        (with(",LAST-MSN=14", ""), Rule::Attribute),
        (with("TYPE=PART,", ""), Rule::Attribute),
        (with("#EXTINF:2.0,\n11.m4s\n", "11.m4s\n"), Rule::Pairs),
        (with("11.m4s\n", ""), Rule::Pairs),
        (with("#EXTINF:2.0,\n10", "#EXTINF:2.5,\n10"), Rule::Target),
        (with("#EXT-X-TARGETDURATION:2\n", ""), Rule::Target),
        (
            with("#EXT-X-PART-INF:PART-TARGET=1.0\n", ""),
            Rule::PartTarget,
        ),
        (
            with("DURATION=1.0,URI=\"14", "DURATION=1.001,URI=\"14"),
            Rule::PartTarget,
        ),
        (with("CAN-BLOCK-RELOAD=YES,", ""), Rule::Blocking),
        (
            with("PART-HOLD-BACK=3.0,", "PART-HOLD-BACK=1.99,"),
            Rule::PartHoldBack,
        ),
        (with("PART-HOLD-BACK=3.0,", ""), Rule::PartHoldBack),
        (
            with("PART-HOLD-BACK=3.0,", "PART-HOLD-BACK=2.5,"),
            Rule::PartHoldBackAdvised,
        ),
        (with(",HOLD-BACK=6.0", ",HOLD-BACK=5.9"), Rule::HoldBack),
        (
            with("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9"),
            Rule::SkipUntil,
        ),
        (with("URI=\"14.1.m4s\"", "URI=\"14.0.m4s\""), Rule::Hint),
        (SOUND.to_owned() + "#EXT-X-ENDLIST\n", Rule::Hint),
        (
            with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"\n", ""),
            Rule::HintAdvised,
        ),
        (with(",IV=0x01", ""), Rule::MapKey),
        (
            with("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", ""),
            Rule::DateAdvised,
        ),
        (
            with("#EXT-X-PART:DURATION=1.0,URI=\"13.1.m4s\"\n", ""),
            Rule::PartSum,
        ),
    ];
    assert_eq!(rules(&check("")), [Rule::Header, Rule::Target]);
    for (text, rule) in faults {
        let found = check(&text);
        assert!(!found.is_empty(), "{rule:?} is not found in\n{text}");
        assert!(
            rules(&found).iter().all(|own| *own == rule),
            "{rule:?}: {found:?}"
        );
    }
}

#[test]
fn short_and_far_parts_are_found() {
    let independent = with("DURATION=1.0,URI=\"13.0", "DURATION=0.84,URI=\"13.0")
        .replace("#EXTINF:2.0,\n13", "#EXTINF:1.84,\n13");
    assert_eq!(check(&independent), []);
    let short = independent.replace("13.0.m4s\",INDEPENDENT=YES", "13.0.m4s\"");
    assert_eq!(rules(&check(&short)), [Rule::PartShort]);
    // the last one may be short
    let last = with("DURATION=1.0,URI=\"13.1", "DURATION=0.1,URI=\"13.1")
        .replace("#EXTINF:2.0,\n13", "#EXTINF:1.1,\n13");
    assert_eq!(check(&last), []);

    let far = with(
        "#EXTINF:2.0,\n10",
        "#EXT-X-PART:DURATION=1.0,URI=\"a\"\n#EXT-X-PART:DURATION=1.0,URI=\"b\"\n#EXTINF:2.0,\n10",
    );
    assert_eq!(check(&far), []);
    let far = far.replace(
        "#EXT-X-PART:DURATION=1.0,URI=\"14",
        "#EXTINF:2.0,\n14.m4s\n#EXT-X-PART:DURATION=1.0,URI=\"15",
    );
    assert_eq!(rules(&check(&far)), [Rule::PartsFar]);
    assert!(!Rule::PartsFar.is_must() && Rule::Target.is_must());
    assert_eq!(
        check(&far)[0].to_string(),
        "PartsFar in line 14: 8 before the end"
    );
}

#[test]
fn each_fault_between_reloads_is_found() {
    assert_eq!(check_reload(SOUND, SOUND), []);
    let part = "#EXT-X-PART:DURATION=1.0,URI=\"14.0.m4s\"\n";
    let next = with(
        part,
        &format!("{part}#EXT-X-PART:DURATION=1.0,URI=\"14.1.m4s\"\n#EXTINF:2.0,\n14.m4s\n"),
    );
    let next = next.replace(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"",
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"15.0.m4s\"",
    );
    assert_eq!(check_reload(SOUND, &next), []);
    let slid = next
        .replace("QUENCE:10", "QUENCE:11")
        .replacen("#EXTINF:2.0,\n10.m4s\n", "", 1);
    let slid = slid.replacen("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n", "", 1);
    assert_eq!(check_reload(SOUND, &slid), []);
    let ended = format!("{SOUND}#EXT-X-ENDLIST\n");
    let short = slid
        .replace("QUENCE:11", "QUENCE:12")
        .replacen("#EXTINF:2.0,\n11.m4s\n", "", 1);
    let short = short.replacen("#EXT-X-PART:DURATION=1.0,URI=\"14.0.m4s\"\n#EXT-X-PART:DURATION=1.0,URI=\"14.1.m4s\"\n#EXTINF:2.0,\n14.m4s\n", "", 1);
    let faults = [
        (
            SOUND.to_owned(),
            with("QUENCE:10", "QUENCE:9"),
            Rule::Backwards,
        ),
        (next.clone(), SOUND.to_owned(), Rule::Backwards),
        (SOUND.to_owned(), with("11.m4s", "11b.m4s"), Rule::Changed),
        (
            SOUND.to_owned(),
            with("#EXTINF:2.0,\n11", "#EXTINF:1.9,\n11"),
            Rule::Changed,
        ),
        (SOUND.to_owned(), with("i.mp4", "j.mp4"), Rule::Changed),
        (
            SOUND.to_owned(),
            with("DURATION=1.0,URI=\"13.0", "DURATION=0.9,URI=\"13.0"),
            Rule::Changed,
        ),
        (
            SOUND.to_owned(),
            with("14.0.m4s", "14.9.m4s"),
            Rule::Changed,
        ),
        (
            SOUND.to_owned(),
            next.replace("14.1.m4s", "14.7.m4s"),
            Rule::HintBroken,
        ),
        (
            SOUND.to_owned(),
            with("DURATION:2", "DURATION:3"),
            Rule::TargetChanged,
        ),
        (
            ended.clone(),
            ended.replace("LAST-PART=0", "LAST-PART=1"),
            Rule::AfterEnd,
        ),
        // tag and segment left, but the number stayed
        (
            slid.replace("QUENCE:11", "QUENCE:12")
                .replacen("#EXTINF:2.0,\n11.m4s\n", "", 1),
            {
                let gone = slid.replace("QUENCE:11", "QUENCE:13").replacen(
                    "#EXTINF:2.0,\n11.m4s\n",
                    "",
                    1,
                );
                gone.replacen("#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\n12.m4s\n", "", 1)
                    + "#EXTINF:2.0,\n15.m4s\n"
            },
            Rule::Changed,
        ),
        (SOUND.to_owned(), short, Rule::WindowShort),
    ];
    for (before, after, rule) in faults {
        let found = check_reload(&before, &after);
        assert!(
            rules(&found).contains(&rule),
            "{rule:?}: {found:?}\n{after}"
        );
    }
}

#[test]
fn each_fault_in_a_delta_update_is_found() {
    let full = with("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=5.0");
    let skip = |count: usize| {
        let start = full.find("#EXT-X-KEY").unwrap_or_default();
        let (head, body) = full.split_at(start);
        let end = body
            .match_indices("m4s\n")
            .nth(count - 1)
            .map(|(at, _)| at + 4);
        let rest = &body[end.unwrap_or_default()..];
        format!(
            "{}#EXT-X-SKIP:SKIPPED-SEGMENTS={count}\n{rest}",
            head.replace("VERSION:6", "VERSION:9")
        )
    };
    assert_eq!(check_delta(&full, &full), []);
    assert_eq!(check_delta(&full, &skip(2)), []);
    // three segments listed are more than the boundary, two are not, even with the part
    assert_eq!(check_delta(&full, &skip(1)), []);
    let near = skip(3).replace("#EXT-X-DISCONTINUITY\n", "");
    assert_eq!(rules(&check_delta(&full, &near)), [Rule::Skip]);
    let more = skip(2).replace("SEGMENTS=2", "SEGMENTS=5");
    assert_eq!(rules(&check_delta(&full, &more)), [Rule::Skip]);
    let huge = skip(2).replace("SEGMENTS=2", "SEGMENTS=18446744073709551615");
    assert_eq!(rules(&check_delta(&full, &huge)), [Rule::Skip]);
    let less = skip(2).replace("SEGMENTS=2", "SEGMENTS=1");
    assert_eq!(rules(&check_delta(&full, &less)), [Rule::Backwards]);
    let open = skip(2).replace(
        "#EXTINF:2.0,\n12",
        "#EXT-X-KEY:METHOD=NONE\n#EXTINF:2.0,\n12",
    );
    assert_eq!(
        rules(&check_delta(&full, &open)),
        [Rule::Changed, Rule::Changed]
    );
}
