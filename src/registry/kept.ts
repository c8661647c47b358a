/**
 * How long an isolate believes what it read of the registry (ms since it was read).
 *
 * `freshMs`: it is taken without looking. `besideMs`: it is taken so long, while one caller looks beside its own work.
 * `failingMs`: it is taken where a look fails, and the next look comes after another `freshMs`.
 */
export interface Keeps {
  freshMs: number;
  besideMs?: number;
  failingMs?: number;
  most: number;
}

interface Entry<T> {
  value: T;
  readAt: number;
  lookedAt: number;
  failedAt: number;
}

/**
 * What an isolate remembers of the registry, by key. Values are shared, never promises: an answer belongs to the request or
 * object that asked for it, and whoever waits for another's may wait until that one has nothing else to do.
 */
export class Kept<T> {
  readonly #keeps: Required<Keeps>;
  readonly #entries = new Map<string, Entry<T>>();
  /** Counts what was dropped: a look that began before must not bring back what it saw. */
  #drops = 0;

  constructor({ freshMs, besideMs = freshMs, failingMs = 0, most }: Keeps) {
    this.#keeps = { freshMs, besideMs, failingMs, most };
  }

  /**
   * What `look` finds, or what it found a while ago. Null, for what is not there, is never remembered. `background` keeps
   * a caller alive for a look that it does not wait for. @throws what `look` throws, where nothing is known
   */
  async get(
    key: string,
    now: number,
    look: () => Promise<T | null>,
    background: (work: Promise<unknown>) => void = () => {},
  ): Promise<T | null> {
    const { freshMs, besideMs, failingMs } = this.#keeps;
    const entry = this.#entries.get(key);
    const age = entry ? now - entry.readAt : Infinity;
    if (entry && age <= besideMs) {
      if (age > freshMs && now - entry.lookedAt > freshMs) {
        entry.lookedAt = now; // one look is enough
        background(this.#look(key, now, look).catch(() => {}));
      }
      return entry.value;
    }
    const usable = age <= failingMs ? entry : undefined;
    if (usable && now - usable.failedAt <= freshMs) return usable.value;
    try {
      return await this.#look(key, now, look);
    } catch (error) {
      if (!usable) throw error;
      usable.failedAt = now;
      return usable.value;
    }
  }

  forget(key: string): void {
    this.#drops += 1;
    this.#entries.delete(key);
  }

  forgetAll(drops: (value: T) => boolean = () => true): void {
    this.#drops += 1;
    for (const [key, { value }] of this.#entries) if (drops(value)) this.#entries.delete(key);
  }

  async #look(key: string, now: number, look: () => Promise<T | null>): Promise<T | null> {
    const begun = this.#drops;
    const value = await look();
    if (begun !== this.#drops) return value;
    if (value === null) this.#entries.delete(key);
    else {
      if (this.#entries.size >= this.#keeps.most) this.#entries.clear();
      this.#entries.set(key, { value, readAt: now, lookedAt: now, failedAt: -Infinity });
    }
    return value;
  }
}
