// HLS and low-latency HLS by hls.js.

import Hls from "hls.js";
import { reported } from "../latency";
import type { Engine, Start } from "./engine";

/** Behind the live position by more than this, in seconds, hls.js does not play faster any more. */
const TOO_LATE_S = 2;

export function hls({ video, url, failed }: Start, isLowLatency: boolean): Engine {
  const player = new Hls({
    lowLatencyMode: isLowLatency,
    enableWorker: false,
    backBufferLength: 30,
    // catches up by playing faster rather than by a jump
    maxLiveSyncPlaybackRate: isLowLatency ? 1.2 : 1,
  });
  let recoveries = 0;
  player.on(Hls.Events.ERROR, (_event, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries < 2) {
      recoveries += 1;
      player.recoverMediaError();
      return;
    }
    const status = data.response?.code;
    failed(status === undefined || status === 0 ? data.details : `${data.details}, HTTP ${status}`);
  });
  if (isLowLatency) {
    player.on(Hls.Events.LEVEL_UPDATED, () => {
      const { latency, targetLatency, liveSyncPosition } = player;
      if (targetLatency === null || liveSyncPosition === null || video.paused || video.seeking) return;
      // after a long pause of the network or the machine it would stay behind for good
      if (latency > targetLatency + TOO_LATE_S) video.currentTime = liveSyncPosition;
    });
  }
  player.attachMedia(video);
  player.loadSource(url);
  return {
    latency: () => reported(player.latency),
    stop: () => player.destroy(),
  };
}
