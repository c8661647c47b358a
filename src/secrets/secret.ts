const SHOWN = "[secret]";

/**
 * A value that prints nowhere: not in a string, JSON, a log, an inspection or a clone, and no RPC carries it. Only
 * `reveal()` gives it, so that every place where a secret is used can be found by that word.
 */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [Symbol.toPrimitive](): string {
    return SHOWN;
  }

  /** What `console.log` and `util.inspect` show, in Node and in workerd. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SHOWN;
  }
}
