// Sorting and searching of lists that are here whole.

export type Order = "asc" | "desc";

export interface Sorting {
  by: string;
  order: Order;
}

/** Text in the reader's order with numbers by value, numbers by value; what is missing is last in either order. */
export function compare(a: unknown, b: unknown, order: Order): number {
  const none = (value: unknown): boolean =>
    value === null || value === undefined || value === "" || Number.isNaN(value);
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  const result =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });
  return order === "asc" ? result : -result;
}

/** A sorted copy; equals keep their order. */
export function sorted<T>(items: readonly T[], value: (item: T) => unknown, order: Order): T[] {
  return [...items].sort((a, b) => compare(value(a), value(b), order));
}

/** What a click on a column's head makes of the sorting. */
export function toggled(old: Sorting, by: string, first: Order): Sorting {
  if (old.by !== by) return { by, order: first };
  return { by, order: old.order === "asc" ? "desc" : "asc" };
}

/** Whether every word of `search` is in one of the texts, whatever its case. */
export function matches(search: string, ...texts: readonly string[]): boolean {
  const hay = texts.join("\n").toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

/** First and last entry of a page for people, and the starts of its neighbours; null where there is none. */
export function page(
  start: number,
  size: number,
  total: number,
): { from: number; to: number; previous: number | null; next: number | null } {
  return {
    from: total === 0 ? 0 : Math.min(start + 1, total),
    to: Math.min(start + size, total),
    previous: start > 0 ? Math.max(0, start - size) : null,
    next: start + size < total ? start + size : null,
  };
}
