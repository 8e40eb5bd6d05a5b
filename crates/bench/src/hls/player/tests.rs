//! What players ask for, step by step, without sockets.

use super::*;
use crate::tally::Window;

const MULTIVARIANT: &[u8] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na-av.m3u8\n";

fn tally() -> Tally {
    let mut tally = Tally::new();
    tally.window = Window {
        from: 0,
        to: 100 * SECOND,
    };
    tally
}

/// A playlist that lists parts `first..=last` of segment 5, and hints at the next.
fn parts(first: u32, last: u32) -> Vec<u8> {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n\
        #EXT-X-PART-INF:PART-TARGET=0.2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=0.4\n\
        #EXT-X-MAP:URI=\"a-av-5.mp4\"\n"
        .to_owned();
    for part in first..=last {
        text += &format!("#EXT-X-PART:DURATION=0.2,URI=\"a-av-5.{part}.m4s\"\n");
    }
    let next = last + 1;
    text += &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a-av-5.{next}.m4s\"\n");
    text.into_bytes()
}

/// A player, and what it plays with.
struct Seat {
    player: Player,
    board: Board,
    tally: Tally,
    now: u64,
}

impl Seat {
    fn new(mode: Mode) -> Self {
        let url = Url::parse("http://h/live/a.m3u8").unwrap();
        Self {
            player: Player::new(mode, url, 0),
            board: Board::default(),
            tally: tally(),
            now: SECOND,
        }
    }

    /// Answers the lane's request.
    fn answer(&mut self, lane: Lane, status: u16, body: &[u8]) -> Result<(), PlayError> {
        let (board, tally) = (&mut self.board, &mut self.tally);
        self.player.body(lane, status, body, true, board)?;
        self.player.end(lane, status, self.now, board, tally)
    }

    /// Asks for a playlist and answers it; gives what was asked for.
    fn playlist(&mut self, body: &[u8]) -> String {
        let target = self.player.ask_playlist(self.now);
        self.answer(Lane::Playlist, 200, body).unwrap();
        target
    }

    /// Takes all media that is wanted now; gives what was asked for.
    fn media(&mut self) -> Vec<String> {
        let mut asked = Vec::new();
        while let Some(target) = self.player.ask_media() {
            asked.push(target.to_owned());
            self.answer(Lane::Media, 200, b"media").unwrap();
        }
        asked
    }

    /// At the live edge, with part 3 received and part 4 asked for.
    fn at_edge() -> Self {
        let mut seat = Self::new(Mode::Hints);
        seat.playlist(MULTIVARIANT);
        seat.playlist(&parts(0, 3));
        for _ in 0..3 {
            seat.player.ask_media().unwrap();
            seat.answer(Lane::Media, 200, b"media").unwrap();
        }
        assert_eq!(seat.player.ask_media(), Some("/live/a-av-5.4.m4s"));
        seat
    }
}

#[test]
fn hints_are_asked_for_beside_blocking_reloads() {
    let mut seat = Seat::new(Mode::Hints);
    assert_eq!(seat.playlist(MULTIVARIANT), "/live/a.m3u8");
    assert_eq!(seat.playlist(&parts(0, 3)), "/live/a-av.m3u8");
    assert!(!seat.player.is_running());
    assert_eq!(
        seat.media(),
        [
            "/live/a-av-5.mp4",
            "/live/a-av-5.2.m4s",
            "/live/a-av-5.3.m4s",
            "/live/a-av-5.4.m4s"
        ]
    );
    assert!(seat.player.is_running());
    assert_eq!(seat.player.reload(), Reload::Now);
    assert_eq!(
        seat.playlist(&parts(0, 4)),
        "/live/a-av.m3u8?_HLS_msn=5&_HLS_part=4&_HLS_skip=YES"
    );
    // part 4 was the hint; only the next one is wanted
    assert_eq!(seat.media(), ["/live/a-av-5.5.m4s"]);
    assert_eq!((seat.tally.parts, seat.tally.missed), (4, 0));
    assert_eq!(seat.tally.first_media.count(), 1);
}

#[test]
fn without_hints_parts_are_asked_for_once_listed() {
    let mut seat = Seat::new(Mode::NoHints);
    seat.playlist(&parts(0, 3));
    assert_eq!(seat.media().len(), 3);
    seat.playlist(&parts(0, 5));
    assert_eq!(seat.media(), ["/live/a-av-5.4.m4s", "/live/a-av-5.5.m4s"]);
}

#[test]
fn a_reload_without_news_is_not_repeated_at_once() {
    let mut seat = Seat::new(Mode::Hints);
    seat.playlist(&parts(0, 3));
    seat.playlist(&parts(0, 3));
    assert_eq!(seat.player.reload(), Reload::At(seat.now + SECOND / 5));
    assert_eq!(seat.tally.stale, 1);
}

#[test]
fn plain_players_reload_by_the_target_duration() {
    let text = |segments: u32| {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
        text.extend((0..segments).map(|number| format!("#EXTINF:2,\n{number}.ts\n")));
        text.into_bytes()
    };
    let mut seat = Seat::new(Mode::Plain);
    seat.playlist(&text(5));
    assert_eq!(seat.media(), ["/live/2.ts", "/live/3.ts", "/live/4.ts"]);
    assert_eq!(seat.player.reload(), Reload::At(seat.now + 2 * SECOND));
    seat.now += 2 * SECOND;
    seat.playlist(&text(5));
    assert_eq!(seat.player.reload(), Reload::At(seat.now + SECOND));
    seat.now += SECOND;
    assert_eq!(seat.playlist(&text(6)), "/live/a.m3u8");
    assert_eq!(seat.media(), ["/live/5.ts"]);
    assert_eq!(seat.tally.stalls.count(), 0);
}

#[test]
fn a_refused_hint_is_asked_for_again_when_it_is_listed() {
    let mut seat = Seat::at_edge();
    seat.answer(Lane::Media, 404, b"").unwrap();
    assert_eq!((seat.tally.refused_hints, seat.tally.missed), (1, 0));
    assert_eq!(seat.player.ask_media(), None);
    seat.playlist(&parts(0, 4));
    assert_eq!(seat.media(), ["/live/a-av-5.4.m4s", "/live/a-av-5.5.m4s"]);
    // and when it was listed before it was refused
    let mut seat = Seat::at_edge();
    seat.playlist(&parts(0, 4));
    seat.answer(Lane::Media, 404, b"").unwrap();
    assert_eq!(seat.player.ask_media(), Some("/live/a-av-5.4.m4s"));
    seat.answer(Lane::Media, 404, b"").unwrap();
    assert_eq!((seat.tally.refused_hints, seat.tally.missed), (1, 1));
}

#[test]
fn what_slid_out_of_the_playlist_is_missed() {
    let mut seat = Seat::at_edge();
    seat.playlist(&parts(0, 4));
    assert_eq!(seat.tally.missed, 0);
    let later = String::from_utf8(parts(0, 1))
        .unwrap()
        .replace("SEQUENCE:5", "SEQUENCE:7");
    seat.playlist(later.as_bytes());
    assert_eq!(seat.tally.missed, 1);
}

#[test]
fn playback_halts_when_media_runs_out() {
    let (mut playback, mut tally) = (Playback::default(), tally());
    playback.missing = 2;
    playback.add(4, 10, &mut tally);
    assert_eq!(playback.from, None);
    playback.add(4, 20, &mut tally);
    playback.correct(4, 3);
    playback.add(5, 27, &mut tally);
    assert!(!playback.has_stalled);
    playback.add(5, 40, &mut tally);
    assert_eq!((tally.stalls.count(), tally.stalls.max()), (1, 8));
    // it went on at 40 with 5 of media
    playback.advance(45, &mut tally);
    assert_eq!(tally.stalls.count(), 1);
    playback.advance(46, &mut tally);
    assert_eq!(tally.stalls.count(), 2);
}

#[test]
fn viewers_give_up_in_the_end() {
    let mut seat = Seat::at_edge();
    seat.player.ask_playlist(seat.now);
    for _ in 1..MAX_FAILURES {
        seat.answer(Lane::Playlist, 503, b"").unwrap();
        assert_eq!(seat.player.reload(), Reload::At(seat.now + RETRY));
    }
    assert_eq!(
        seat.answer(Lane::Playlist, 503, b""),
        Err(PlayError::Refused(503))
    );
    // before there is anything, patience is not the player's
    let mut seat = Seat::new(Mode::Hints);
    for _ in 0..2 * MAX_FAILURES {
        seat.answer(Lane::Playlist, 404, b"").unwrap();
    }
    assert_eq!(seat.tally.statuses[&404], u64::from(2 * MAX_FAILURES));
}

#[test]
fn a_broken_request_is_made_again() {
    let mut seat = Seat::at_edge();
    seat.player.broken(Lane::Media, seat.now).unwrap();
    assert_eq!(seat.player.ask_media(), Some("/live/a-av-5.4.m4s"));
    seat.player.broken(Lane::Playlist, seat.now).unwrap();
    assert_eq!(seat.player.reload(), Reload::At(seat.now + RETRY));
}

#[test]
fn what_is_no_low_latency_playlist_is_told() {
    let mut seat = Seat::new(Mode::Hints);
    let classic = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n";
    assert_eq!(
        seat.answer(Lane::Playlist, 200, classic),
        Err(PlayError::NotLowLatency)
    );
    assert_eq!(
        Seat::new(Mode::Plain).answer(Lane::Playlist, 200, b"<html>"),
        Err(PlaylistError::Signature.into())
    );
    let ended = [&classic[..], b"#EXT-X-ENDLIST\n"].concat();
    assert_eq!(
        Seat::new(Mode::Plain).answer(Lane::Playlist, 200, &ended),
        Err(PlayError::Ended)
    );
}
