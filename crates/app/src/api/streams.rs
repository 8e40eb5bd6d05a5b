//! The streams and their virtual hosts.
//!
//! Owns: the lists, one stream, one virtual host. Does not: count traffic (`rates` does).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use weir_gate::DEFAULT_VHOST;
use weir_hub::{StreamSnapshot, TrackSnapshot};
use weir_media::{Codec, Media, StreamKey};
use weir_net::clock;

use super::Shared;
use super::about::{millis, unix_ms};
use super::answer::{ErrorBody, Failure, Head};
use super::identity::{stream_id, vhost_id};
use super::page::Page;
use super::rates::Kbps;
use super::server::now_ms;

/// Port of an RTMP address that names none.
const RTMP_PORT: u16 = 1935;

/// Who publishes a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Publish {
    /// Whether somebody publishes the stream now.
    active: bool,
    /// Id of the client that does; left out when nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
}

/// What is known of the default video track.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Video {
    /// Name of the codec as SRS writes it.
    #[schema(example = "H264")]
    codec: String,
    /// Profile as the codec's standard names it; empty when the header does not say.
    #[schema(example = "High")]
    profile: String,
    /// Level as the codec's standard writes it; empty when the header does not say.
    #[schema(example = "3.1")]
    level: String,
    /// Width of the picture in pixels; 0 when the header does not say.
    width: u32,
    /// Height of the picture in pixels; 0 when the header does not say.
    height: u32,
    /// Frames a second; null when the header does not say.
    fps: Option<f64>,
}

/// What is known of the default audio track.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audio {
    /// Name of the codec as SRS writes it.
    #[schema(example = "AAC")]
    codec: String,
    /// Samples a second; 0 when the header does not say.
    #[schema(example = 44100)]
    sample_rate: u32,
    /// Number of channels; 0 when the header does not say.
    #[schema(example = 2)]
    channel: u16,
    /// Profile as the codec's standard names it; empty when the header does not say.
    #[schema(example = "LC")]
    profile: String,
}

/// A track of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Track {
    /// `video`, `audio` or `data`.
    media: &'static str,
    /// Number among the tracks of that medium; 0 is the default track.
    index: u8,
    /// Name of the codec; empty while it is not known.
    codec: String,
    /// Profile as the codec's standard names it; empty when the header does not say.
    profile: String,
    /// Level as the codec's standard writes it; empty when the header does not say, and for sound.
    level: String,
    /// Width of the picture in pixels; 0 when the header does not say, and for sound.
    width: u32,
    /// Height of the picture in pixels; 0 when the header does not say, and for sound.
    height: u32,
    /// Samples a second; 0 when the header does not say, and for pictures.
    sample_rate: u32,
    /// Number of channels; 0 when the header does not say, and for pictures.
    channels: u16,
    /// Kilobits a second received over the last 30 seconds.
    kbps: u64,
    /// Frames a second, measured; null before there were two.
    frame_rate: Option<f64>,
    /// Frames received.
    frames: u64,
    /// Bytes received.
    bytes: u64,
}

/// The connection that publishes a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamPublisher {
    /// Its id, as in the list of clients.
    #[schema(example = "1tq5p0ao3k")]
    id: String,
    /// Address of the other end, without its port.
    #[schema(example = "192.0.2.7")]
    ip: String,
    /// Its protocol.
    #[schema(example = "rtmp")]
    protocol: &'static str,
    /// The software at the other end, as it names itself; empty when it does not.
    agent: String,
    /// When it connected, in milliseconds since 1970 UTC.
    since: u64,
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stream {
    /// Its id, made from its key: the same after a restart and on every server.
    #[schema(example = "vid-85944171f73967e8")]
    id: String,
    /// Its name.
    #[schema(example = "livestream")]
    name: String,
    /// Id of its virtual host.
    vhost: String,
    /// Its application.
    #[schema(example = "live")]
    app: String,
    /// RTMP address of its application. It is made from the names of the virtual host and the application, and is not
    /// what the publisher used.
    #[serde(rename = "tcUrl")]
    #[schema(example = "rtmp://localhost/live")]
    tc_url: String,
    /// Its path, with the virtual host in front unless it is the default one.
    #[schema(example = "/live/livestream")]
    url: String,
    /// The time of the answer, in milliseconds since 1970 UTC, as in SRS; how long it has been live is `uptime_ms`.
    live_ms: u64,
    /// Clients now: viewers and the publisher.
    clients: u64,
    /// Frames received, of all tracks.
    frames: u64,
    /// Bytes sent to viewers; at most 5 s old, and without what viewers that left got after the last sample.
    send_bytes: u64,
    /// Media bytes received from publishers.
    recv_bytes: u64,
    kbps: Kbps,
    publish: Publish,
    /// The default video track; null when there is none.
    video: Option<Video>,
    /// The default audio track; null when there is none.
    audio: Option<Audio>,
    /// Viewers now, by protocol; a protocol without any is left out.
    #[schema(example = json!({"rtmp": 2, "http-flv": 1}))]
    viewers: BTreeMap<&'static str, u64>,
    /// Viewers now, of all protocols.
    viewers_total: u64,
    /// Who publishes it; null when nobody does.
    publisher: Option<StreamPublisher>,
    /// Media time between the last two key frames, in milliseconds; null before there were two.
    gop_ms: Option<u64>,
    /// Pictures a second, measured; null before there were two.
    frame_rate: Option<f64>,
    /// What was lost or mended since the stream is there, by cause: `viewer_skipped`, `viewer_disconnected`, `time_held`,
    /// `time_jump`, `before_key`.
    #[schema(example = json!({"viewer_skipped": 0, "time_jump": 1}))]
    drops: BTreeMap<&'static str, u64>,
    /// How far the viewer that is furthest behind is behind live, in milliseconds; null when nobody watches. Viewers of
    /// segments choose their place themselves, and do not count.
    lag_ms: Option<u64>,
    /// How long it has been published, in milliseconds; null when nobody publishes it.
    uptime_ms: Option<u64>,
    /// All tracks seen since it was published.
    tracks: Vec<Track>,
    /// Bytes of frames in the GOP cache.
    gop_cache_bytes: u64,
    /// Media time in the GOP cache, in milliseconds.
    gop_cache_ms: u64,
    /// Bytes of the logs that viewers read; one log for each wire format that is watched.
    log_bytes: u64,
}

/// A page of streams.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Streams {
    #[serde(flatten)]
    head: Head,
    /// Streams in the whole list.
    total: usize,
    /// Streams left out before this page.
    start: usize,
    /// Streams of this page, in order of key.
    streams: Vec<Stream>,
}

/// One stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneStream {
    #[serde(flatten)]
    head: Head,
    stream: Stream,
}

/// Whether HLS is served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hls {
    /// Whether it is.
    enabled: bool,
}

/// A virtual host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Vhost {
    /// Its id, made from its name.
    id: String,
    /// Its name.
    #[schema(example = "__defaultVhost__")]
    name: String,
    /// Always true.
    enabled: bool,
    /// Clients of its streams now.
    clients: u64,
    /// Its streams that are published now.
    streams: u64,
    /// Bytes sent to viewers of the streams that it has now.
    send_bytes: u64,
    /// Media bytes received by the streams that it has now.
    recv_bytes: u64,
    kbps: Kbps,
    hls: Hls,
}

/// All virtual hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Vhosts {
    #[serde(flatten)]
    head: Head,
    /// The virtual hosts that are configured or have streams, in order of name.
    vhosts: Vec<Vhost>,
}

/// One virtual host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneVhost {
    #[serde(flatten)]
    head: Head,
    vhost: Vhost,
}

/// List virtual hosts
///
/// All of them: the default one, those that are configured, and those that have streams.
#[utoipa::path(
    operation_id = "listVhosts",
    get, path = "/api/v1/vhosts", tag = "streams",
    responses(
        (status = 200, description = "The virtual hosts", body = Vhosts),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn list_vhosts(State(shared): State<Arc<Shared>>) -> Json<Vhosts> {
    Json(Vhosts {
        head: shared.head(),
        vhosts: vhosts(&shared),
    })
}

/// One virtual host
///
/// The virtual host with this id.
#[utoipa::path(
    operation_id = "vhost",
    get, path = "/api/v1/vhosts/{id}", tag = "streams",
    params(("id" = String, Path, description = "The virtual host's id, as in the list")),
    responses(
        (status = 200, description = "The virtual host", body = OneVhost),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    )
)]
pub(super) async fn one_vhost(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<OneVhost>, Failure> {
    let vhost = vhosts(&shared).into_iter().find(|vhost| vhost.id == id);
    Ok(Json(OneVhost {
        head: shared.head(),
        vhost: vhost.ok_or_else(Failure::no_vhost)?,
    }))
}

/// List streams
///
/// The streams in order of key: those that are published, and those that viewers or a returning publisher are waited
/// for.
#[utoipa::path(
    operation_id = "listStreams",
    get, path = "/api/v1/streams", tag = "streams", params(Page),
    responses(
        (status = 200, description = "A page of the list", body = Streams),
        (status = 400, description = "start or count is no number", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn list_streams(State(shared): State<Arc<Shared>>, page: Page) -> Json<Streams> {
    let all = shared.origin().hub().snapshot(clock::now());
    let players = shared.origin().hub().sessions().players();
    let start = page.start();
    Json(Streams {
        head: shared.head(),
        total: all.len(),
        start,
        streams: all
            .iter()
            .skip(start)
            .take(page.count())
            .map(|snapshot| stream(&shared, snapshot, players.get(&snapshot.key)))
            .collect(),
    })
}

/// One stream
///
/// The stream with this id.
#[utoipa::path(
    operation_id = "stream",
    get, path = "/api/v1/streams/{id}", tag = "streams",
    params(("id" = String, Path, description = "The stream's id, as in the list")),
    responses(
        (status = 200, description = "The stream", body = OneStream),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such stream", body = ErrorBody),
    )
)]
pub(super) async fn one_stream(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<OneStream>, Failure> {
    let all = shared.origin().hub().snapshot(clock::now());
    let snapshot = all.iter().find(|snapshot| stream_id(&snapshot.key) == id);
    let snapshot = snapshot.ok_or_else(Failure::no_stream)?;
    let players = shared.origin().hub().sessions().players();
    Ok(Json(OneStream {
        head: shared.head(),
        stream: stream(&shared, snapshot, players.get(&snapshot.key)),
    }))
}

/// RTMP address of a stream's application; `port` is that of the RTMP listener.
pub(super) fn tc_url(key: &StreamKey, port: Option<u16>) -> String {
    let host = match key.vhost() {
        DEFAULT_VHOST => "localhost",
        name => name,
    };
    match port.filter(|port| *port != RTMP_PORT) {
        Some(port) => format!("rtmp://{host}:{port}/{}", key.app()),
        None => format!("rtmp://{host}/{}", key.app()),
    }
}

/// A stream's path as SRS writes it: with the virtual host in front unless it is the default one.
pub(super) fn stream_url(key: &StreamKey) -> String {
    let vhost = match key.vhost() {
        DEFAULT_VHOST => "",
        name => name,
    };
    format!("{vhost}/{}/{}", key.app(), key.name())
}

fn vhosts(shared: &Shared) -> Vec<Vhost> {
    let mut vhosts = BTreeMap::new();
    let config = shared.reloader.current();
    let (configured, hls) = (config.stream.vhosts, config.hls.enabled);
    for name in configured.iter().map(String::as_str).chain([DEFAULT_VHOST]) {
        vhosts.insert(name.to_owned(), empty_vhost(name, hls));
    }
    let players = shared.origin().hub().sessions().players();
    for stream in shared.origin().hub().snapshot(clock::now()) {
        let name = stream.key.vhost();
        let vhost = vhosts
            .entry(name.to_owned())
            .or_insert_with(|| empty_vhost(name, hls));
        let traffic = shared.rates.stream(&stream.key);
        let viewers = players.get(&stream.key).map_or(0, total);
        vhost.clients += viewers + u64::from(stream.publisher.is_some());
        vhost.streams += u64::from(stream.publisher.is_some());
        vhost.send_bytes += traffic.sent;
        vhost.recv_bytes += stream.bytes_in;
        vhost.kbps += traffic.kbps;
    }
    vhosts.into_values().collect()
}

fn empty_vhost(name: &str, hls: bool) -> Vhost {
    Vhost {
        id: vhost_id(name),
        name: name.to_owned(),
        enabled: true,
        clients: 0,
        streams: 0,
        send_bytes: 0,
        recv_bytes: 0,
        kbps: Kbps::default(),
        hls: Hls { enabled: hls },
    }
}

/// Players of all protocols.
fn total(players: &BTreeMap<&'static str, u64>) -> u64 {
    players.values().sum()
}

fn publisher(shared: &Shared, stream: &StreamSnapshot) -> Option<StreamPublisher> {
    let session = shared.origin().hub().sessions().find(stream.publisher?)?;
    Some(StreamPublisher {
        id: session.id.to_string(),
        ip: session.peer.ip().to_canonical().to_string(),
        protocol: session.protocol,
        agent: session.activity().agent,
        since: unix_ms(session.since_wallclock),
    })
}

/// Frames a second, with the digits that mean something.
fn per_second(interval: Option<Duration>) -> Option<f64> {
    let seconds = interval?.as_secs_f64();
    (seconds > 0.0).then(|| (100.0 / seconds).round() / 100.0)
}

fn stream(
    shared: &Shared,
    stream: &StreamSnapshot,
    players: Option<&BTreeMap<&'static str, u64>>,
) -> Stream {
    let key = &stream.key;
    let traffic = shared.rates.stream(key);
    let rhythm = stream.rhythm();
    let viewers_total = players.map_or(0, total);
    Stream {
        id: stream_id(key),
        name: key.name().to_owned(),
        vhost: vhost_id(key.vhost()),
        app: key.app().to_owned(),
        tc_url: tc_url(key, shared.rtmp_port),
        url: stream_url(key),
        live_ms: now_ms(),
        clients: viewers_total + u64::from(stream.publisher.is_some()),
        frames: stream.frames_in,
        send_bytes: traffic.sent,
        recv_bytes: stream.bytes_in,
        kbps: traffic.kbps,
        publish: Publish {
            active: stream.publisher.is_some(),
            cid: stream.publisher.map(|id| id.to_string()),
        },
        video: default_track(stream, Media::Video).map(video),
        audio: default_track(stream, Media::Audio).map(audio),
        viewers: players.cloned().unwrap_or_default(),
        viewers_total,
        publisher: publisher(shared, stream),
        gop_ms: rhythm.gop.map(millis),
        frame_rate: per_second(rhythm.frame_interval),
        drops: stream
            .drops
            .iter()
            .map(|(cause, count)| (cause.label(), *count))
            .collect(),
        lag_ms: stream.lag.map(millis),
        uptime_ms: stream.uptime.map(millis),
        tracks: stream
            .tracks
            .iter()
            .map(|one| track(one, shared.rates.track(key, one.track)))
            .collect(),
        gop_cache_bytes: stream.gop_bytes as u64,
        gop_cache_ms: millis(stream.gop_duration),
        log_bytes: stream.log_bytes as u64,
    }
}

/// The track of a medium with the lowest number.
fn default_track(stream: &StreamSnapshot, media: Media) -> Option<&TrackSnapshot> {
    let tracks = stream.tracks.iter();
    tracks
        .filter(|track| track.track.media == media)
        .min_by_key(|track| track.track.index)
}

fn codec(track: &TrackSnapshot) -> String {
    let info = track.info.as_ref();
    info.map_or_else(String::new, |info| info.codec.to_string())
}

fn video(track: &TrackSnapshot) -> Video {
    let info = track.info.as_ref().and_then(|info| info.video.clone());
    let info = info.unwrap_or_default();
    Video {
        codec: codec(track),
        profile: info.profile.unwrap_or_default(),
        level: info.level.unwrap_or_default(),
        width: info.width,
        height: info.height,
        fps: info.frame_rate,
    }
}

fn audio(track: &TrackSnapshot) -> Audio {
    let info = track.info.as_ref().and_then(|info| info.audio.clone());
    let info = info.unwrap_or_default();
    Audio {
        codec: codec(track),
        sample_rate: info.sample_rate,
        channel: info.channels,
        profile: info.profile.unwrap_or_default(),
    }
}

fn track(track: &TrackSnapshot, kbps: u64) -> Track {
    let info = track.info.as_ref();
    let video = info.and_then(|info| info.video.clone()).unwrap_or_default();
    let audio = info.and_then(|info| info.audio.clone()).unwrap_or_default();
    Track {
        media: match track.track.media {
            Media::Video => "video",
            Media::Audio => "audio",
            Media::Data => "data",
        },
        index: track.track.index,
        codec: match track.track.media {
            Media::Data => Codec::Script.to_string(),
            Media::Video | Media::Audio => codec(track),
        },
        profile: video.profile.or(audio.profile).unwrap_or_default(),
        level: video.level.unwrap_or_default(),
        width: video.width,
        height: video.height,
        sample_rate: audio.sample_rate,
        channels: audio.channels,
        kbps,
        frame_rate: per_second(track.rhythm().frame_interval),
        frames: track.frames,
        bytes: track.bytes,
    }
}

#[cfg(test)]
mod tests {
    use weir_media::{AppName, StreamName};

    use super::*;

    #[test]
    fn addresses_name_the_vhost_where_it_matters() {
        let key = |vhost| {
            StreamKey::new(weir_media::Vhost(vhost), AppName("a/b"), StreamName("s")).unwrap()
        };
        let (plain, own) = (key(DEFAULT_VHOST), key("live.example"));
        assert_eq!(stream_url(&plain), "/a/b/s");
        assert_eq!(stream_url(&own), "live.example/a/b/s");
        assert_eq!(tc_url(&plain, Some(1935)), "rtmp://localhost/a/b");
        assert_eq!(tc_url(&own, Some(1936)), "rtmp://live.example:1936/a/b");
        assert_eq!(tc_url(&own, None), "rtmp://live.example/a/b");
    }
}
