/** Answers with the next bytes, never empty, or null at the end. */
export type Pull = () => Promise<Uint8Array | null>;

/** The stream ended before what was promised. */
export class TruncatedError extends Error {
  constructor() {
    super("The stream ends in the middle.");
    this.name = "TruncatedError";
  }
}

/**
 * Bytes by count out of a stream of chunks. What it hands out stays valid and is a view where it can be: only what lies across two chunks is copied.
 */
export class ByteSource {
  readonly #pull: Pull;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(pull: Pull) {
    this.#pull = pull;
  }

  /** Exactly `count` bytes. Answers without waiting when they are there: a thousand small files must not cost a thousand turns. @throws TruncatedError */
  take(count: number): Uint8Array | Promise<Uint8Array> {
    return this.#chunk.length - this.#at < count ? this.#across(count) : this.#cut(count);
  }

  /** Up to `count` bytes, at least one. @throws TruncatedError */
  async some(count: number): Promise<Uint8Array> {
    if (this.#at === this.#chunk.length) await this.#next();
    return this.#cut(Math.min(count, this.#chunk.length - this.#at));
  }

  /** Whether nothing is left; waits for the next bytes, or the end. */
  async ended(): Promise<boolean> {
    if (this.#at < this.#chunk.length) return false;
    const chunk = await this.#pull();
    if (chunk === null) return true;
    this.#chunk = chunk;
    this.#at = 0;
    return false;
  }

  /** Passes over `count` bytes. @throws TruncatedError */
  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.some(left)).length;
  }

  /** Reads to the end. */
  async drain(): Promise<void> {
    this.#at = this.#chunk.length;
    while ((await this.#pull()) !== null);
  }

  #cut(count: number): Uint8Array {
    const view = this.#chunk.subarray(this.#at, this.#at + count);
    this.#at += count;
    return view;
  }

  async #across(count: number): Promise<Uint8Array> {
    const whole = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      const part = await this.some(count - filled);
      whole.set(part, filled);
      filled += part.length;
    }
    return whole;
  }

  async #next(): Promise<void> {
    const chunk = await this.#pull();
    if (chunk === null) throw new TruncatedError();
    this.#chunk = chunk;
    this.#at = 0;
  }
}
