// DASH by dash.js, with its settings for low latency.

import { Debug, MediaPlayer } from "dashjs";
import { reported } from "../latency";
import type { Engine, Start } from "./engine";

export function dash({ video, url, failed }: Start): Engine {
  const player = MediaPlayer().create();
  player.updateSettings({
    debug: { logLevel: Debug.LOG_LEVEL_NONE },
    streaming: {
      // catches up by playing faster rather than by a jump
      liveCatchup: { enabled: true, maxDrift: 6, playbackRate: { min: -0.2, max: 0.2 } },
    },
  });
  player.on(MediaPlayer.events.ERROR, (event) => {
    const { error } = event as { error?: string | { message?: string; code?: number } };
    failed(typeof error === "string" ? error : (error?.message ?? `error ${error?.code ?? ""}`));
  });
  player.on(MediaPlayer.events.PLAYBACK_NOT_ALLOWED, () => failed("the browser did not let it start"));
  player.initialize(video, undefined, true);
  // its own time servers are elsewhere, and nothing here asks elsewhere; the manifest names ours
  player.clearDefaultUTCTimingSources();
  player.attachSource(url);
  return {
    latency: () => reported(player.getCurrentLiveLatency()),
    // it refreshes the manifest from the moment it sees the video start, and is not there yet when we would start it
    startsItself: true,
    stop: () => player.destroy(),
  };
}
