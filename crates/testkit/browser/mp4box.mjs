// A second parser of fragmented MP4, on mp4box.js: the arguments are an init segment and any number of media segments;
// what they hold is one JSON object on standard output, in the shape that `src/mp4box.rs` of this crate reads.
//
// Owns: what is an error of the structure: boxes that do not fill a segment, fragments without data, samples outside of
// the data, data without samples. Does not: judge times, which may jump for good reasons.

import { readFileSync } from 'node:fs';
import { Log, createFile } from 'mp4box';

const errors = [];
// mp4box.js complains on the console; that several segments are read as one file is no fault of theirs
console.warn = (...words) => {
  const text = words.join(' ');
  if (!text.includes('no array exists')) errors.push(text);
};
console.error = console.warn;
Log.setLogLevel(Log.warn);

const file = createFile();
file.onError = (module, message) => errors.push(`${module}: ${message}`);

/** Where each segment begins and ends in their concatenation; the init segment comes first. */
const places = [];
for (const path of process.argv.slice(2)) {
  const bytes = readFileSync(path);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const start = places.at(-1)?.end ?? 0;
  buffer.fileStart = start;
  places.push({ start, end: start + bytes.length, name: places.length ? `segment ${places.length - 1}` : 'init' });
  try {
    file.appendBuffer(buffer);
  } catch (error) {
    errors.push(`${places.at(-1).name}: ${error.message}`);
  }
}
file.flush();

const movie = file.moov ? file.getInfo() : { tracks: [], brands: [] };
const tracks = movie.tracks.map((track) => ({
  id: track.id,
  timescale: track.timescale,
  codec: track.codec,
  entry: file.getTrackById(track.id)?.mdia?.minf?.stbl?.stsd?.entries?.[0]?.type ?? null,
  width: track.video?.width ?? 0,
  height: track.video?.height ?? 0,
  sample_rate: track.audio?.sample_rate ?? 0,
  channels: track.audio?.channel_count ?? 0,
}));
if (!file.ftyp) errors.push('init: no ftyp');
if (!file.moov) errors.push('init: no moov');

/** Samples of a track by the number of their fragment. */
const samples = new Map();
for (const { id } of tracks) {
  for (const sample of file.getTrackSamplesInfo(id)) {
    const key = `${id} ${sample.moof_number}`;
    samples.set(key, [...(samples.get(key) ?? []), sample]);
  }
}

let number = 0;

function fragment(place, moof, mdat) {
  number += 1;
  const what = `${place.name}, fragment ${number}`;
  const dataStart = mdat ? mdat.start + mdat.hdr_size : 0;
  const dataEnd = mdat ? mdat.start + mdat.size : 0;
  if (!mdat) errors.push(`${what}: no mdat behind the moof`);
  let held = 0;
  const trafs = (moof.trafs ?? []).map((traf) => {
    const track = traf.tfhd.track_id;
    if (!tracks.some(({ id }) => id === track)) errors.push(`${what}: no track ${track}`);
    if (!traf.tfdt) errors.push(`${what}: track ${track} has no tfdt`);
    const own = samples.get(`${track} ${number}`) ?? [];
    const told = (traf.truns ?? []).reduce((sum, run) => sum + run.sample_count, 0);
    if (told !== own.length) errors.push(`${what}: track ${track} tells ${told} samples and has ${own.length}`);
    for (const sample of own) {
      held += sample.size;
      if (sample.offset < dataStart || sample.offset + sample.size > dataEnd) {
        errors.push(`${what}: sample ${sample.number} of track ${track} is outside of the mdat`);
      }
    }
    return {
      track,
      base_is_moof: (traf.tfhd.flags & 0x020000) !== 0,
      tfdt_version: traf.tfdt?.version ?? null,
      base_time: traf.tfdt?.baseMediaDecodeTime ?? null,
      trun_versions: (traf.truns ?? []).map((run) => run.version),
      samples: own.map((sample) => ({
        decode_time: sample.dts,
        composition: sample.cts - sample.dts,
        duration: sample.duration,
        size: sample.size,
        is_sync: sample.is_sync,
      })),
    };
  });
  if (mdat && held !== dataEnd - dataStart) {
    errors.push(`${what}: samples of ${held} bytes in an mdat of ${dataEnd - dataStart}`);
  }
  return {
    sequence: moof.mfhd?.sequence_number ?? null,
    moof_bytes: moof.size,
    data_bytes: dataEnd - dataStart,
    trafs,
  };
}

const segments = places.map((place) => {
  const boxes = file.boxes.filter((box) => box.start >= place.start && box.start < place.end);
  const last = boxes.at(-1);
  const filled = last ? last.start + last.size : place.start;
  if (filled !== place.end) errors.push(`${place.name}: boxes end at ${filled - place.start} of ${place.end - place.start} bytes`);
  const fragments = boxes.flatMap((box, at) => {
    if (box.type !== 'moof') return [];
    const next = boxes[at + 1];
    return [fragment(place, box, next?.type === 'mdat' ? next : null)];
  });
  if (place.start > 0 && fragments.length === 0) errors.push(`${place.name}: no fragment`);
  return { boxes: boxes.map((box) => box.type), fragments };
});

const [init, ...media] = segments;
process.stdout.write(JSON.stringify({ brands: movie.brands, tracks, init: init?.boxes ?? [], segments: media, errors }));
