import type { LeaseRequest } from "./types.ts";

/**
 * Claims that wait for room in a pool, first come, first served. It is in memory only: who waits is a call that is open,
 * and ends with it. Bounded in number, and each in time.
 */
export class Line<T> {
  readonly #most: number;
  readonly #waiting: Place<T>[] = [];
  #serving: Promise<void> | null = null;
  #again = false;

  constructor(most: number) {
    this.#most = most;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Resolves with what `serve` found for it; null when its time is over, or the line is full. */
  wait(request: LeaseRequest, waitMs: number): Promise<T | null> {
    if (waitMs <= 0 || this.#waiting.length >= this.#most) return Promise.resolve(null);
    return new Promise((resolve) => {
      const place: Place<T> = {
        request,
        resolve: (value) => {
          clearTimeout(timer);
          const index = this.#waiting.indexOf(place);
          if (index >= 0) this.#waiting.splice(index, 1);
          resolve(value);
        },
      };
      const timer = setTimeout(() => place.resolve(null), waitMs);
      this.#waiting.push(place);
    });
  }

  /**
   * Tries for each in turn. What nobody waits for any more is given back. Called again meanwhile, it goes through them
   * once more.
   */
  serve(find: Find<T>, giveBack: (found: T) => void): Promise<void> {
    this.#again = true;
    this.#serving ??= this.#serve(find, giveBack).finally(() => {
      this.#serving = null;
    });
    return this.#serving;
  }

  async #serve(find: Find<T>, giveBack: (found: T) => void): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const nothingFor = new Set<string>();
      for (const place of [...this.#waiting]) {
        const wanted = wantOf(place.request);
        if (nothingFor.has(wanted) || !this.#waiting.includes(place)) continue;
        const found = await find(place.request);
        if (found.kind === "full") nothingFor.add(wanted);
        if (found.kind !== "found") continue;
        if (this.#waiting.includes(place)) place.resolve(found.value);
        else giveBack(found.value);
      }
    }
  }
}

/** `full`: there is nothing for it, and so nothing for those behind it that want the same. `not-it`: it alone has to wait. */
export type Find<T> = (
  request: LeaseRequest,
) => Promise<{ kind: "found"; value: T } | { kind: "full" } | { kind: "not-it" }>;

const wantOf = ({ tier, minWorkloadVersion, runs }: LeaseRequest): string =>
  JSON.stringify([tier, minWorkloadVersion, runs]);

interface Place<T> {
  request: LeaseRequest;
  resolve(value: T | null): void;
}
