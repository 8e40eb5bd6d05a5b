// HTTP-FLV by mpegts.js: an endless answer, played as it comes.

import mpegts from "mpegts.js";
import { behindNewest } from "../latency";
import type { Engine, Start } from "./engine";

export function flv({ video, url, hasVideo, hasAudio, failed }: Start): Engine {
  mpegts.LoggingControl.enableAll = false;
  const player = mpegts.createPlayer(
    { type: "flv", isLive: true, url, hasVideo, hasAudio, cors: false },
    {
      // the page's policy would allow its worker, but a second thread gains nothing for one stream
      enableWorker: false,
      enableStashBuffer: false,
      lazyLoad: false,
      autoCleanupSourceBuffer: true,
      // played a little faster while more than this is waiting, in seconds
      liveSync: true,
      liveSyncMaxLatency: 1.2,
      liveSyncTargetLatency: 0.6,
      liveSyncPlaybackRate: 1.2,
    },
  );
  player.on(mpegts.Events.ERROR, (kind: string, detail: string, info?: { msg?: string }) => {
    failed([kind, detail, info?.msg ?? ""].filter((part) => part !== "").join(", "));
  });
  player.on(mpegts.Events.LOADING_COMPLETE, () => failed("end of stream"));
  player.attachMediaElement(video);
  player.load();
  return {
    latency: () => behindNewest(video.buffered, video.currentTime),
    stop: () => player.destroy(),
  };
}
