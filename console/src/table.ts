// Tables that are kept in step with lists: rows stay while their keys do, so focus and selection stay too.

import { fill, h, Keyed, setAttribute, setText } from "./dom";
import { icon } from "./icons";
import { t } from "./i18n";
import type { Order, Sorting } from "./order";

export interface Column<T> {
  id: string;
  title: string;
  /** Numbers stand at the end of their cells. */
  isNumber?: boolean;
  /** Left out on narrow screens; 0 goes first. */
  leave?: 0 | 1 | 2;
  /** The order of the first click on its head; no order, no sorting. */
  sort?: Order;
  /** Writes an item into its cell, which keeps what was written for it before. */
  show: (cell: HTMLTableCellElement, item: T) => void;
}

/** A column of plain text. */
export function textColumn<T>(column: Omit<Column<T>, "show">, text: (item: T) => string): Column<T> {
  return { ...column, show: (cell, item) => setText(cell, text(item)) };
}

export class Table<T> {
  private readonly heads = new Map<string, { cell: HTMLElement; arrow: HTMLElement }>();
  private readonly rows: Keyed<T>;
  private readonly table: HTMLTableElement;
  private readonly note = h("p", { class: "empty", role: "status", hidden: true });
  readonly element: HTMLElement;

  constructor(options: {
    label: string;
    testId: string;
    columns: readonly Column<T>[];
    key: (item: T) => string;
    onSort?: (column: string, first: Order) => void;
  }) {
    const { columns, onSort } = options;
    const head = h("tr", {}, ...columns.map((column) => this.head(column, onSort)));
    const body = h("tbody");
    this.rows = new Keyed(body, options.key, (item) => {
      const cells = columns.map((column) =>
        h("td", { class: css(column), "data-label": column.title, "data-column": column.id }),
      );
      const element = h("tr", { "data-key": options.key(item) }, cells);
      const update = (changed: T): void => {
        columns.forEach((column, index) => {
          const cell = cells[index];
          if (cell !== undefined) column.show(cell, changed);
        });
      };
      return { element, update };
    });
    this.table = h("table", { "aria-label": options.label }, h("thead", {}, head), body);
    this.element = h("div", { class: "table", "data-testid": options.testId }, this.table, this.note);
  }

  /** Shows a list; `note` is what is said when it is empty. */
  update(items: readonly T[], note: string): void {
    this.rows.update(items);
    setText(this.note, note);
    this.note.hidden = items.length > 0;
    this.table.hidden = items.length === 0;
  }

  /** Marks the column that the list is sorted by. */
  sorted({ by, order }: Sorting): void {
    for (const [id, { cell, arrow }] of this.heads) {
      setAttribute(cell, "aria-sort", id === by ? (order === "asc" ? "ascending" : "descending") : null);
      if (id === by) fill(arrow, icon(order === "asc" ? "up" : "down"));
      else fill(arrow);
    }
  }

  private head(column: Column<T>, onSort?: (column: string, first: Order) => void): HTMLElement {
    const { sort } = column;
    if (sort === undefined || onSort === undefined) {
      return h("th", { class: css(column), scope: "col" }, column.title);
    }
    const arrow = h("span", { class: "arrow" });
    const button = h(
      "button",
      { type: "button", title: t("clients.sort", { column: column.title }), onclick: () => onSort(column.id, sort) },
      column.title,
      arrow,
    );
    const cell = h("th", { class: css(column), scope: "col" }, button);
    this.heads.set(column.id, { cell, arrow });
    return cell;
  }
}

function css<T>(column: Column<T>): string {
  const parts = [column.isNumber === true ? "num" : "", column.leave === undefined ? "" : `leave-${column.leave}`];
  return parts.filter((part) => part !== "").join(" ");
}
