// Plays one stream and reports what is seen: runs in the browser, in `play.html`.
//
// Owns: the choice of the player library and its configuration, and the report, which is told to the driver by
// `weirTold` whenever it has changed, at most once in TELL_MS. The report's fields are those of `PlayReport` in
// `src/browser/playback.rs` of this crate.
// Does not: judge. What is an error to the library is an error in the report.

import { CELL, COLUMNS, ROWS, age, cellOf, read } from '/clock.mjs';

/** Shortest time between two reports. */
const TELL_MS = 200;

/** Most of each kind that is kept: what one reads of a failure, and the latencies of a minute or so. */
const MOST_TEXTS = 100;
const MOST_LATENCIES = 2048;

const video = document.getElementById('video');
// above the corner with the clock, below the whole picture: reading pixels back costs by the call
const [width, height] = [COLUMNS * CELL, ROWS * CELL];
const canvas = new OffscreenCanvas(width, 2 * height);
const pixels = canvas.getContext('2d', { willReadFrequently: true });

const report = {
  first_frame_ms: null,
  current_time: 0,
  started_at: null,
  shown: 0,
  decoded: 0,
  dropped: 0,
  pictures: 0,
  unread: 0,
  latencies: [],
  stalls: 0,
  stalled: false,
  ended: false,
  width: 0,
  height: 0,
  sizes: [],
  buffered: 0,
  rate: 1,
  errors: [],
  warnings: [],
  events: [],
};

let began = 0;
let lastHash = null;
let hadClock = false;
let lastTold = '';
let timer = null;

function keep(list, text) {
  if (list.length < MOST_TEXTS) list.push(String(text));
  soon();
}

function event(text) {
  keep(report.events, `${Math.round(performance.now() - began)} ms: ${text}`);
}

function tell() {
  timer = null;
  const quality = video.getVideoPlaybackQuality();
  report.current_time = video.currentTime;
  report.decoded = quality.totalVideoFrames;
  report.dropped = quality.droppedVideoFrames;
  report.width = video.videoWidth;
  report.height = video.videoHeight;
  report.rate = video.playbackRate;
  const ranges = video.buffered;
  report.buffered = ranges.length ? ranges.end(ranges.length - 1) - video.currentTime : 0;
  const text = JSON.stringify(report);
  if (text !== lastTold) {
    lastTold = text;
    window.weirTold(text);
  }
}

function soon() {
  timer ??= setTimeout(tell, TELL_MS);
}

function hash(data) {
  let value = 0x811c9dc5;
  for (const byte of data) value = Math.imul(value ^ byte, 0x01000193);
  return value;
}

function look() {
  const now = Date.now();
  if (report.first_frame_ms === null) {
    report.first_frame_ms = performance.now() - began;
    report.started_at = video.currentTime;
    event('first frame');
  }
  report.shown += 1;
  const size = `${video.videoWidth}x${video.videoHeight}`;
  if (report.sizes.at(-1) !== size) keep(report.sizes, size);
  const cell = cellOf(video.videoWidth);
  pixels.drawImage(video, 0, 0, COLUMNS * cell, ROWS * cell, 0, 0, width, height);
  pixels.drawImage(video, 0, height, width, height);
  const { data } = pixels.getImageData(0, 0, width, 2 * height);
  const seen = hash(data);
  if (seen !== lastHash) report.pictures += 1;
  lastHash = seen;
  const time = read(data);
  if ((time !== null) !== hadClock) event(`${hadClock ? 'no clock' : 'a clock'} at ${video.currentTime}`);
  hadClock = time !== null;
  if (time === null) {
    report.unread += 1;
  } else {
    if (report.latencies.length === MOST_LATENCIES) report.latencies.shift();
    report.latencies.push(age(now, time));
  }
  soon();
  video.requestVideoFrameCallback(look);
}

function watch() {
  video.requestVideoFrameCallback(look);
  video.addEventListener('waiting', () => {
    event(`waiting at ${video.currentTime}`);
    // before the first picture and in a seek it is no stall
    if (report.first_frame_ms === null || video.seeking || report.stalled) return;
    report.stalls += 1;
    report.stalled = true;
  });
  video.addEventListener('playing', () => {
    report.stalled = false;
    event('playing');
  });
  video.addEventListener('ended', () => {
    report.ended = true;
    event('ended');
  });
  for (const name of ['loadedmetadata', 'seeking', 'pause', 'resize']) {
    video.addEventListener(name, () => event(`${name} at ${video.currentTime}`));
  }
  video.addEventListener('timeupdate', soon);
  video.addEventListener('error', () => {
    keep(report.errors, `video: ${video.error?.code} ${video.error?.message}`);
  });
}

function script(path) {
  return new Promise((loaded, failed) => {
    const element = document.createElement('script');
    element.src = path;
    element.onload = loaded;
    element.onerror = () => failed(new Error(`no ${path}`));
    document.head.append(element);
  });
}

async function mpegts(type, url, options) {
  await script('/mpegts.js');
  const { mpegts } = window;
  mpegts.LoggingControl.enableAll = false;
  const source = { type, url, isLive: true, cors: true };
  const player = mpegts.createPlayer(source, { lazyLoad: false, enableStashBuffer: false, ...options });
  player.on(mpegts.Events.ERROR, (kind, detail, info) => {
    keep(report.errors, `mpegts.js: ${kind} ${detail} ${JSON.stringify(info ?? null)}`);
  });
  player.on(mpegts.Events.LOADING_COMPLETE, () => event('end of the answer'));
  player.attachMediaElement(video);
  player.load();
  return player;
}

async function hls(url, options) {
  await script('/hls.js');
  const { Hls } = window;
  const player = new Hls(options);
  player.on(Hls.Events.ERROR, (_, data) => {
    const code = data.response?.code ?? '';
    const text = `hls.js: ${data.type} ${data.details} ${code} ${data.reason ?? ''} ${data.error?.message ?? ''}`;
    keep(data.fatal ? report.errors : report.warnings, text.trim());
  });
  player.on(Hls.Events.LEVEL_SWITCHED, (_, data) => event(`level ${data.level}`));
  player.loadSource(url);
  player.attachMedia(video);
  return player;
}

async function dash(url, options) {
  await script('/dash.js');
  const player = window.dashjs.MediaPlayer().create();
  player.updateSettings({ debug: { logLevel: 0 }, ...options });
  player.on('error', ({ error }) => keep(report.errors, `dash.js: ${error?.code} ${error?.message ?? error}`));
  player.on('playbackError', ({ error }) => keep(report.errors, `dash.js: playback: ${error?.message ?? error}`));
  player.initialize(video, url, true);
  return player;
}

const players = {
  flv: (url, options) => mpegts('flv', url, options),
  ts: (url, options) => mpegts('mpegts', url, options),
  hls: (url, options) => hls(url, { lowLatencyMode: false, ...options }),
  'low-latency-hls': (url, options) => hls(url, { lowLatencyMode: true, ...options }),
  dash,
};

/** Begins to play; the driver calls it once. The library's object is left at `window.player`. */
window.weirPlay = async ({ player, url, options }) => {
  began = performance.now();
  watch();
  window.video = video;
  window.player = await players[player](url, options);
  // dash.js plays by itself, and misses that the element plays when it does so before there is a stream
  if (player === 'dash') return;
  // refused where the element is paused again before it plays, which the report shows anyway
  video.play().catch((error) => event(`play: ${error.message}`));
};
