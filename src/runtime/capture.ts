/** What a command printed, up to a limit for each stream: also of one that never ends. What is more is read and forgotten, so that nobody waits for it. */
export class Capture {
  readonly stdout: Captured;
  readonly stderr: Captured;

  /** @param limit bytes of each stream */
  constructor(limit: number) {
    this.stdout = new Captured(limit);
    this.stderr = new Captured(limit);
  }
}

export class Captured {
  readonly #limit: number;
  readonly #chunks: Uint8Array[] = [];
  #kept = 0;
  /** Bytes printed, kept or not. */
  length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Uint8Array): void {
    this.length += chunk.byteLength;
    const kept = chunk.subarray(0, this.#limit - this.#kept);
    if (kept.byteLength === 0) return;
    this.#chunks.push(kept.slice()); // the stream may use its buffer again
    this.#kept += kept.byteLength;
  }

  /** Reads a stream to its end. */
  async drain(stream: ReadableStream<Uint8Array> | null): Promise<void> {
    for await (const chunk of stream ?? []) this.push(chunk);
  }

  get truncated(): boolean {
    return this.length > this.#kept;
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#kept);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.byteLength;
    }
    return all;
  }
}
