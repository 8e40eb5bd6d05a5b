// Asking again and again: every so often while the server answers, less and less often while it does not.

import { ApiError } from "./api";

/** Waits after failures in a row, in milliseconds. */
const BACK_OFF = [2000, 4000, 8000, 15_000, 30_000];

/** How long to wait after the `failures`th failure in a row. */
export function wait(failures: number): number {
  const index = Math.min(Math.max(failures, 1), BACK_OFF.length) - 1;
  return BACK_OFF[index] ?? 30_000;
}

/** Whether the server answers, for whoever wants to show it. */
export interface Health {
  failures: number;
  /** When it is asked again, as `Date.now()`; null while it answers. */
  retryAt: number | null;
  /** It wants a token: why, and what it said. */
  token: ApiError | null;
}

type Listener = (health: Health) => void;

class Link {
  health: Health = { failures: 0, retryAt: null, token: null };
  private readonly listeners = new Set<Listener>();
  private readonly pollers = new Set<Poller>();

  listen(listener: Listener): void {
    this.listeners.add(listener);
  }

  add(poller: Poller): void {
    this.pollers.add(poller);
  }

  remove(poller: Poller): void {
    this.pollers.delete(poller);
  }

  answered(): void {
    const was = this.health;
    if (was.failures === 0 && was.token === null) return;
    this.tell({ failures: 0, retryAt: null, token: null });
    if (was.failures > 0) this.retry();
  }

  failed(error: ApiError): void {
    if (error.fault === "token") {
      this.tell({ failures: 0, retryAt: null, token: error });
    } else if (error.fault === "away") {
      // several questions that fail at once are one failure
      const { retryAt, failures } = this.health;
      const isNew = retryAt === null || Date.now() >= retryAt - 50;
      const count = isNew ? failures + 1 : failures;
      this.tell({ failures: count, retryAt: isNew ? Date.now() + wait(count) : retryAt, token: null });
    }
  }

  /** Asks everything at once. */
  retry(): void {
    for (const poller of this.pollers) poller.now();
  }

  private tell(health: Health): void {
    this.health = health;
    for (const listener of this.listeners) listener(health);
  }
}

export const link = new Link();

/** One question that is asked over and over until it is stopped. It rests while nobody sees the page. */
export class Poller {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isRunning = false;
  private isStopped = false;
  private isDue = false;

  /** `refused` gets what the server answers instead of what was asked for. */
  constructor(
    private readonly ask: () => Promise<void>,
    private readonly everyMs: number,
    private readonly refused: (error: ApiError) => void = () => undefined,
  ) {
    link.add(this);
    document.addEventListener("visibilitychange", this.wake);
    this.now();
  }

  /** Asks now, or again as soon as the answer under way is here. */
  now(): void {
    if (this.isRunning) {
      this.isDue = true;
      return;
    }
    clearTimeout(this.timer);
    void this.run();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.wake);
    link.remove(this);
  }

  private readonly wake = (): void => {
    if (!document.hidden) this.now();
  };

  private async run(): Promise<void> {
    if (this.isStopped || document.hidden) return;
    this.isRunning = true;
    this.isDue = false;
    let next = this.everyMs;
    try {
      await this.ask();
      link.answered();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      link.failed(error);
      if (error.fault === "refused" && !this.isStopped) {
        link.answered();
        this.refused(error);
      }
      next = error.fault === "away" ? Math.max(0, (link.health.retryAt ?? 0) - Date.now()) : this.everyMs;
      // a new token asks again by itself
      if (error.fault === "token") next = Infinity;
    } finally {
      this.isRunning = false;
    }
    if (this.isStopped) return;
    if (this.isDue) this.now();
    else if (next !== Infinity) this.timer = setTimeout(() => void this.run(), next);
  }
}
