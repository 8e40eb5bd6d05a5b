// Making and changing elements. What is shown is always text: no HTML is ever parsed.

export type Child = Node | string | number | null | undefined | false | readonly Child[];

type Handler = (event: never) => void;

export type Props = Record<string, string | number | boolean | null | undefined | Handler>;

/** An element. Functions under `on…` listen, `true` sets an empty attribute, `false` and nothing set none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  apply(element, props);
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of SVG. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  apply(element, props);
  append(element, children);
  return element;
}

function apply(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      element.addEventListener(name.replace(/^on/, ""), value as EventListener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child as readonly Child[]);
    else if (child instanceof Node) element.append(child);
    else if (typeof child === "string" || typeof child === "number") element.append(String(child));
  }
}

/** Replaces what an element holds. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** Sets an element's text, and leaves the element alone when it has it, so that selections survive. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, or removes it. */
export function setAttribute(element: Element, name: string, value: string | boolean | null): void {
  const text = value === true ? "" : value;
  if (text === null || text === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Keeps the children of an element in step with a list: one child per key, kept while its key stays. */
export class Keyed<T> {
  private readonly kept = new Map<string, { element: HTMLElement; update: (item: T) => void }>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => { element: HTMLElement; update: (item: T) => void },
  ) {}

  update(items: readonly T[]): void {
    const wanted = new Set(items.map(this.key));
    for (const [key, { element }] of this.kept) {
      if (wanted.has(key)) continue;
      element.remove();
      this.kept.delete(key);
    }
    let before = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      const row = this.kept.get(key) ?? this.make(item);
      this.kept.set(key, row);
      row.update(item);
      if (row.element === before) before = before.nextElementSibling;
      else this.parent.insertBefore(row.element, before);
    }
  }
}
