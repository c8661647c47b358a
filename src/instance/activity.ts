import { Document } from "../durable/document.ts";

/** How exactly the last activity is known after the object left memory; in between nothing is written. */
const GRAIN_MS = 60_000;

/**
 * When somebody last used the container, kept over the object's stays in memory: an eviction or a deploy is no activity, and
 * puts no sleep off. Stored at most once a minute, and only while there is activity: an assignment, which others know the
 * time of, costs no write.
 */
export class Activity {
  readonly #stored: Document<{ at: number }>;
  #storedAt: number;
  #at: number;
  /** Whether it is known, and not assumed. */
  #isNoted = false;

  constructor(sql: SqlStorage) {
    this.#stored = new Document(sql, "activity");
    this.#storedAt = this.#stored.read()?.at ?? -Infinity;
    this.#at = assumed(this.#storedAt);
  }

  get at(): number {
    return this.#at;
  }

  /** The container serves somebody since then. */
  assigned(since: number): void {
    this.#storedAt = Math.max(this.#storedAt, since);
    if (!this.#isNoted) this.#at = assumed(this.#storedAt);
  }

  note(now: number): void {
    this.#at = now;
    this.#isNoted = true;
    if (now - this.#storedAt < GRAIN_MS) return;
    this.#stored.write({ at: now });
    this.#storedAt = now;
  }
}

/** It may have gone on for as long as nothing was written. Of a container of which nothing is known it may go on. */
const assumed = (known: number): number => {
  const now = Date.now();
  return known === -Infinity ? now : Math.min(now, known + GRAIN_MS);
};
