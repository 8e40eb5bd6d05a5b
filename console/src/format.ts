// Numbers and times as people read them. Units: kbit/s are 1000 bits, KiB are 1024 bytes.

export interface Quantity {
  value: string;
  unit: string;
}

/** What is shown for nothing. */
export const NONE = "–";

function scaled(value: number, step: number, units: readonly string[]): Quantity {
  let rest = Math.max(0, value);
  let index = 0;
  while (rest >= step && index < units.length - 1) {
    rest /= step;
    index += 1;
  }
  return { value: digits(rest, index > 0), unit: units[index] ?? "" };
}

/** Three significant digits for what was scaled, whole numbers else. */
function digits(value: number, fine: boolean): string {
  if (!fine || value >= 100) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}

export function rate(kbps: number): Quantity {
  return scaled(kbps, 1000, ["kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
}

export function bytes(count: number): Quantity {
  return scaled(count, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** Value and unit in one. */
export function joined({ value, unit }: Quantity): string {
  return unit === "" ? value : `${value} ${unit}`;
}

/** A number with its thousands apart. */
export function count(value: number, language: string): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 0 }).format(value);
}

/** A share of one core's time in percent; the API gives 1 for one core. */
export function percent(value: number): Quantity {
  return { value: value >= 100 ? String(Math.round(value)) : value.toFixed(1), unit: "%" };
}

/** A time span: `42 s`, `12:05`, `3:12:05`, `4 d 3 h`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (n: number): string => String(n).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}:${two(minutes % 60)}:${two(seconds % 60)}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A short time: `120 ms`, `1.25 s`, `34 s`. */
export function moment(milliseconds: number): Quantity {
  if (milliseconds < 1000) return { value: String(Math.round(milliseconds)), unit: "ms" };
  const seconds = milliseconds / 1000;
  return { value: seconds >= 30 ? String(Math.round(seconds)) : seconds.toFixed(2), unit: "s" };
}

/** Frames a second without digits that say nothing: 25, 29.97. */
export function fps(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Time of day with milliseconds. */
export function clock(unixMs: number): string {
  const date = new Date(unixMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Date and time in the reader's manner. */
export function date(unixMs: number, language: string): string {
  return new Date(unixMs).toLocaleString(language);
}
