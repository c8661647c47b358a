import type { LeaseRequest } from "./types.ts";

/**
 * Claims that wait for room in a pool, first come, first served. It is in memory only: who waits is a call that is open,
 * and ends with it. Bounded in number, and each in time.
 */
export class Line<T> {
  readonly #most: number;
  readonly #find: Find<T>;
  readonly #places: Place<T>[] = [];
  #serving: Promise<void> | null = null;
  #again = false;

  constructor(most: number, find: Find<T>) {
    this.#most = most;
    this.#find = find;
  }

  get length(): number {
    return this.#places.length;
  }

  /** Those that wait for what the pool may get; without those that wait for themselves (`not-it`). */
  get forRoom(): number {
    return this.#places.filter(({ last }) => last !== "not-it").length;
  }

  /**
   * Resolves with what is found for it when its turn comes, or with why there is nothing when its time is over. Everybody
   * is tried for once, behind those who wait already: what they do not want, or cannot have, is not kept from others.
   */
  wait(request: LeaseRequest, waitMs: number): Promise<Answer<T>> {
    if (this.#places.length >= this.#most) return Promise.resolve("full");
    return new Promise((resolve) => {
      const place: Place<T> = {
        request,
        last: null,
        isPatient: waitMs > 0,
        leave: (answer) => {
          clearTimeout(timer);
          const index = this.#places.indexOf(place);
          if (index >= 0) this.#places.splice(index, 1);
          resolve(answer);
        },
      };
      const timer = setTimeout(() => place.leave(place.last ?? "full"), place.isPatient ? waitMs : TRY_MS);
      this.#places.push(place);
    });
  }

  /** Tries for each in turn. Called again meanwhile, it goes through them once more. */
  serve(): Promise<void> {
    this.#again = true;
    this.#serving ??= this.#serve();
    return this.#serving;
  }

  async #serve(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        await this.#pass();
        if (!this.#again) this.#dismiss();
      }
    } catch (error) {
      this.#dismiss(); // nobody stays who does not wait
      throw error;
    } finally {
      this.#serving = null; // in the same turn in which it saw that nobody called again
    }
  }

  async #pass(): Promise<void> {
    const nothingFor = new Set<string>();
    for (const place of [...this.#places]) {
      if (!this.#places.includes(place)) continue;
      const wanted = wantOf(place.request);
      if (nothingFor.has(wanted)) place.last = "full";
      else if ((await this.#try(place)) === "full") nothingFor.add(wanted);
    }
  }

  async #try(place: Place<T>): Promise<Answer<T>> {
    const answer = await this.#find(place.request, () => this.#places.includes(place));
    if (typeof answer === "string") place.last = answer;
    else place.leave(answer);
    return answer;
  }

  /** Who does not wait has had its try. */
  #dismiss(): void {
    for (const place of this.#places.filter(({ isPatient }) => !isPatient)) place.leave(place.last ?? "full");
  }
}

/** How long a try may take for somebody who does not wait. */
const TRY_MS = 10_000;

/**
 * `full`: there is nothing for it, and so nothing for those behind it that want the same. `not-it`: it alone has to wait.
 */
export type Answer<T> = { found: T } | "full" | "not-it";

/** Takes nothing for somebody of whom `isThere` says, at that moment, that they do not wait any more. */
export type Find<T> = (request: LeaseRequest, isThere: () => boolean) => Promise<Answer<T>>;

const wantOf = ({ tier, minWorkloadVersion, runs }: LeaseRequest): string =>
  JSON.stringify([tier, minWorkloadVersion, runs]);

interface Place<T> {
  request: LeaseRequest;
  /** What was last found for it; null before the first try. */
  last: "full" | "not-it" | null;
  isPatient: boolean;
  leave(answer: Answer<T>): void;
}
