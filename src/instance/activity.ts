import { Document } from "../durable/document.ts";

/** How exactly the last activity is known after the object left memory; in between nothing is written. */
const GRAIN_MS = 60_000;

/**
 * When somebody last used the container, kept over the object's stays in memory: an eviction or a deploy is no activity, and
 * puts no sleep off. Stored at most once a minute, and only while there is activity.
 */
export class Activity {
  readonly #stored: Document<{ at: number }>;
  #storedAt: number;
  #at: number;

  constructor(sql: SqlStorage) {
    this.#stored = new Document(sql, "activity");
    const now = Date.now();
    const at = this.#stored.read()?.at;
    this.#storedAt = at ?? -Infinity;
    // It may have gone on for as long as nothing was written. Of a container that was assigned before this was stored nothing is known.
    this.#at = Math.min(now, (at ?? now) + GRAIN_MS);
  }

  get at(): number {
    return this.#at;
  }

  note(now: number): void {
    this.#at = now;
    if (now - this.#storedAt < GRAIN_MS) return;
    this.#stored.write({ at: now });
    this.#storedAt = now;
  }
}
