/**
 * The one alarm of an object. It is only ever brought forward: every change costs a write of its own, and an alarm that
 * rings early finds nothing due and is set again. What is due is always computed from the whole record, never added.
 */
export class Alarm {
  readonly #storage: DurableObjectStorage;
  /** When it will ring; null when none is known to be set. */
  #at: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Sets it, unless it rings earlier anyway. Inside a commit it is part of that. */
  arm(at: number | null): void {
    if (at === null || (this.#at !== null && this.#at <= at)) return;
    this.#storage.setAlarm(at);
    this.#at = at;
  }

  /** It rang, so none is set now. */
  rang(): void {
    this.#at = null;
  }
}
