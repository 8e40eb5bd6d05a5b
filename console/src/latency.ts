// How a player is doing, from what its parts say.

/** What a video element's `buffered` is. */
export interface Ranges {
  readonly length: number;
  start(index: number): number;
  end(index: number): number;
}

/** Rounding errors of media times that are no gap, in seconds. */
const SLACK = 0.1;

/** Seconds that can be played from `time` on without a gap. */
export function ahead(ranges: Ranges, time: number): number {
  for (let index = 0; index < ranges.length; index += 1) {
    if (ranges.start(index) - SLACK <= time && time <= ranges.end(index)) return ranges.end(index) - time;
  }
  return 0;
}

/** Seconds to the newest that has arrived: the latency of a player that gets everything as it comes. */
export function behindNewest(ranges: Ranges, time: number): number | null {
  return ranges.length === 0 ? null : Math.max(0, ranges.end(ranges.length - 1) - time);
}

/** A latency that a player reports; what is no time is null. */
export function reported(seconds: number | null | undefined): number | null {
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

/** Counts the stalls of a player: each time it waits after it has played, but not for a seek. */
export class Stalls {
  count = 0;
  private hasPlayed = false;
  private isWaiting = false;

  playing(): void {
    this.hasPlayed = true;
    this.isWaiting = false;
  }

  waiting(isSeeking: boolean): void {
    if (this.hasPlayed && !this.isWaiting && !isSeeking) this.count += 1;
    this.isWaiting = true;
  }
}
