//! What real peers sent, byte by byte, from captures in `tests/data/<program>`.

use weir_rtmp::command::PublishKind;
use weir_rtmp::handshake::Form;
use weir_rtmp::handshake::digest::Schema;
use weir_rtmp::{Event, MediaKind, ServerConfig, ServerSession};

use crate::pair::{feed, start};

fn replay(capture: &[u8], step: usize) -> (Vec<Event>, ServerSession) {
    let mut server = ServerSession::new(ServerConfig::default(), start(), 1);
    let mut events = Vec::new();
    for piece in capture.chunks(step) {
        events.extend(feed(&mut server, start(), piece).unwrap());
    }
    (events, server)
}

#[test]
fn ffmpeg_publishes() {
    let capture = include_bytes!("../data/ffmpeg-5.1/publish.bin");
    for step in [1, 1537, capture.len()] {
        let (events, server) = replay(capture, step);
        assert_eq!(server.handshake_form(), Some(Form::Digest(Schema::One)));
        let Event::Connect(request) = &events[0] else {
            panic!()
        };
        assert_eq!(request.app, "live");
        assert_eq!(request.flash_ver, "FMLE/3.0 (compatible; Lavf59.27.100)");
        let name = "cam?token=abc".to_owned();
        assert_eq!(
            events[1],
            Event::Publish {
                msid: 1,
                name,
                kind: PublishKind::Live
            }
        );
        let kinds: Vec<_> = events[2..]
            .iter()
            .map(|event| match event {
                Event::Media {
                    msid: 1,
                    kind,
                    body,
                    ..
                } => (*kind, body[0], body[1]),
                other => panic!("{other:?}"),
            })
            .collect();
        // @setDataFrame, then the two sequence headers in either order
        assert_eq!(kinds[0].0, MediaKind::Data);
        assert!(
            kinds[1..3].contains(&(MediaKind::Video, 0x17, 0)),
            "{kinds:?}"
        );
        assert!(
            kinds[1..3]
                .iter()
                .any(|kind| kind.0 == MediaKind::Audio && kind.2 == 0)
        );
    }
}

#[test]
fn ffmpeg_plays() {
    let (events, _) = replay(include_bytes!("../data/ffmpeg-5.1/play.bin"), 100);
    assert!(matches!(&events[0], Event::Connect(request) if request.flash_ver == "LNX 9,0,124,2"));
    let name = "cam".to_owned();
    let play = Event::Play {
        msid: 1,
        name,
        start: -2000.0,
        duration: -1.0,
        reset: true,
    };
    assert_eq!(events[1], play);
    assert_eq!(
        events[2],
        Event::BufferLength {
            msid: 1,
            millis: 3000
        }
    );
}

#[test]
fn rtmpdump_plays_and_leaves() {
    let (events, server) = replay(include_bytes!("../data/rtmpdump-2.4/play.bin"), 100);
    assert_eq!(server.handshake_form(), Some(Form::Simple));
    let name = "cam".to_owned();
    let play = Event::Play {
        msid: 1,
        name,
        start: -1000.0,
        duration: 1000.0,
        reset: true,
    };
    assert_eq!(events[1], play);
    assert_eq!(
        events[2],
        Event::BufferLength {
            msid: 1,
            millis: 36_000_000
        }
    );
    assert_eq!(events[3..], [Event::StopPlay { msid: 1 }]);
}
