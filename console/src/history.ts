// Series of samples: merging what arrives, drawing lines.

export interface Sample {
  at: number;
  streams: number;
  publishers: number;
  viewers: number;
  kbps_in: number;
  kbps_out: number;
  cpu_percent: number;
  rss: number;
  errors: number;
}

/** How far back graphs reach. */
export const SPAN_MS = 300_000;

/** Old and new samples in order of time, each time once, cut to the last five minutes. */
export function merge<T extends { at: number }>(old: readonly T[], fresh: readonly T[]): T[] {
  const byTime = new Map<number, T>();
  for (const sample of [...old, ...fresh]) byTime.set(sample.at, sample);
  const all = [...byTime.values()].sort((a, b) => a.at - b.at);
  const last = all[all.length - 1];
  return last === undefined ? [] : all.filter((sample) => sample.at > last.at - SPAN_MS);
}

export interface Point {
  at: number;
  value: number;
}

/** A round number at or above `value`, for the top of an axis. */
export function top(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * 0.999999) ?? 10;
  return step * power;
}

/** The path of a line in a box of `width` and `height`; `from` and `to` are the times at its edges. */
export function line(
  points: readonly Point[],
  box: { width: number; height: number; from: number; to: number; max: number },
): string {
  const reach = Math.max(1, box.to - box.from);
  const max = box.max > 0 ? box.max : 1;
  const parts = points
    .filter((point) => point.at >= box.from && Number.isFinite(point.value))
    .map(({ at, value }) => {
      const x = ((at - box.from) / reach) * box.width;
      const y = box.height - (Math.min(Math.max(value, 0), max) / max) * box.height;
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
  return parts.length === 0 ? "" : `M${parts.join("L")}`;
}

/** The same line closed along the bottom. */
export function area(path: string, height: number): string {
  const first = /^M([\d.-]+) /.exec(path)?.[1];
  const last = /([\d.-]+) [\d.-]+$/.exec(path)?.[1];
  if (first === undefined || last === undefined) return "";
  return `${path}L${last} ${height}L${first} ${height}Z`;
}
