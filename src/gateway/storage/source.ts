/** The stream ended before what was promised. */
export class TruncatedError extends Error {
  constructor() {
    super("The stream ends in the middle.");
    this.name = "TruncatedError";
  }
}

/** Answers with the next bytes, never empty, or null at the end. */
export type Pull = () => Promise<Uint8Array | null>;

/**
 * Bytes by count out of a stream of chunks. What it hands out are views that stay valid, so that small contents are copied once, by whoever keeps them.
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
    if (this.#chunk.length - this.#at < count) return this.#fill(count).then(() => this.#cut(count));
    return this.#cut(count);
  }

  /** Up to `count` bytes, at least one. @throws TruncatedError */
  async some(count: number): Promise<Uint8Array> {
    if (this.#at === this.#chunk.length) await this.#fill(1);
    return this.#cut(Math.min(count, this.#chunk.length - this.#at));
  }

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

  async #fill(count: number): Promise<void> {
    const parts = [this.#chunk.subarray(this.#at)];
    let length = this.#chunk.length - this.#at;
    while (length < count) {
      const next = await this.#pull();
      if (next === null) throw new TruncatedError();
      parts.push(next);
      length += next.length;
    }
    this.#chunk = join(parts, length);
    this.#at = 0;
  }
}

function join(parts: Uint8Array[], length: number): Uint8Array {
  const filled = parts.filter((part) => part.length > 0);
  if (filled.length === 1) return filled[0] as Uint8Array;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of filled) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
