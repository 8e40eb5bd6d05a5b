// Small live graphs.

import { h, s, setText } from "./dom";
import { area, line, SPAN_MS, top, type Point } from "./history";
import { clock } from "./format";
import { t } from "./i18n";

/** A line without axes, for a tile. It is a picture; `label` says it in words. */
export class Sparkline {
  private readonly path = s("path", { class: "spark-line", "vector-effect": "non-scaling-stroke" });
  private readonly ground = s("path", { class: "spark-area" });
  readonly element = s(
    "svg",
    { class: "spark", viewBox: "0 0 200 40", preserveAspectRatio: "none", role: "img" },
    this.ground,
    this.path,
  );

  update(points: readonly Point[], label: string): void {
    const to = points[points.length - 1]?.at ?? 0;
    const max = Math.max(...points.map((point) => point.value), 0);
    const path = line(points, { width: 200, height: 38, from: to - SPAN_MS, to, max: max * 1.15 });
    this.path.setAttribute("d", path);
    this.ground.setAttribute("d", area(path, 40));
    this.element.setAttribute("aria-label", label);
  }
}

/** Time that a graph shows at least, in milliseconds. */
const LEAST_MS = 60_000;

const WIDTH = 400;
const HEIGHT = 100;

/** A graph with an axis, a value at the pointer, and its newest value in words. */
export class Graph {
  private readonly path = s("path", { class: "graph-line", "vector-effect": "non-scaling-stroke" });
  private readonly ground = s("path", { class: "graph-area" });
  private readonly cursor = s("line", { class: "graph-cursor", y1: 0, y2: HEIGHT, "vector-effect": "non-scaling-stroke" });
  private readonly svg = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    [0, 0.5, 1].map((share) =>
      s("line", { class: "graph-grid", x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share, "vector-effect": "non-scaling-stroke" }),
    ),
    this.ground,
    this.path,
    this.cursor,
  );
  private readonly now = h("span", { class: "graph-now num" });
  private readonly at = h("span", { class: "graph-at num" });
  private readonly max = h("span", { class: "graph-max num" });
  private readonly half = h("span", { class: "graph-half num" });
  private points: readonly Point[] = [];
  private from = 0;
  private to = 1;
  readonly element: HTMLElement;

  constructor(
    private readonly title: string,
    private readonly show: (value: number) => string,
    testId: string,
    /** The axis reaches this far at least. */
    private readonly least = 0,
  ) {
    this.cursor.style.display = "none";
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.element = h(
      "figure",
      { class: "graph", "data-testid": testId },
      h("figcaption", {}, h("span", { class: "graph-title" }, title), this.at, this.now),
      h("div", { class: "graph-box" }, this.max, this.half, this.svg),
    );
  }

  update(points: readonly Point[]): void {
    this.points = points;
    this.to = points[points.length - 1]?.at ?? 0;
    // a graph that has just begun fills its box
    this.from = Math.max(this.to - SPAN_MS, Math.min(points[0]?.at ?? 0, this.to - LEAST_MS));
    const most = Math.max(...points.map((point) => point.value), 0);
    const max = top(Math.max(most, this.least));
    const path = line(points, { width: WIDTH, height: HEIGHT, from: this.from, to: this.to, max });
    this.path.setAttribute("d", path);
    this.ground.setAttribute("d", area(path, HEIGHT));
    const last = points[points.length - 1]?.value ?? 0;
    setText(this.now, this.show(last));
    setText(this.max, this.show(max));
    setText(this.half, this.show(max / 2));
    this.svg.setAttribute("aria-label", t("tile.graph", { name: this.title, now: this.show(last), max: this.show(most) }));
  }

  private point(event: PointerEvent): void {
    const box = this.svg.getBoundingClientRect();
    const at = this.from + ((event.clientX - box.left) / Math.max(1, box.width)) * (this.to - this.from);
    const nearest = this.points.reduce<Point | null>(
      (best, point) => (best === null || Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best),
      null,
    );
    if (nearest === null) return;
    const x = String(((nearest.at - this.from) / Math.max(1, this.to - this.from)) * WIDTH);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.cursor.style.display = "";
    setText(this.at, `${clock(nearest.at).slice(0, 8)}  ${this.show(nearest.value)}`);
  }

  private leave(): void {
    this.cursor.style.display = "none";
    setText(this.at, "");
  }
}
