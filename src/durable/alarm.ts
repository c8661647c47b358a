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

  /**
   * Sets it, unless it rings earlier anyway. Inside a commit it is part of that. `at` lies in the future, and one that is
   * known to have been due is not relied on: it may be lost.
   */
  arm(at: number | null): void {
    if (at === null || (this.#at !== null && this.#at <= at && this.#at > Date.now())) return;
    this.#storage.setAlarm(at);
    this.#at = at;
  }

  /**
   * Whatever is asked of an object also finds out whether its alarm got lost: one that is due and not set, or that should
   * have rung long ago, is set again. Costs nothing while one is known to be set.
   */
  async rearm(due: () => number | null): Promise<void> {
    if (this.#at !== null && this.#at > Date.now()) return;
    const armed = await this.#storage.getAlarm();
    if (this.#at !== null && this.#at > Date.now()) return; // set meanwhile
    if (armed !== null && !isLate(armed)) {
      this.#at ??= armed;
      return;
    }
    this.arm(due());
  }

  /** For a sweep: whether what is due will ring. While it rings it may seem to be lost. */
  async standing(due: number | null): Promise<AlarmStanding> {
    if (due === null) return "none";
    const armed = await this.#storage.getAlarm();
    return armed === null || isLate(armed) ? "lost" : "set";
  }

  /** It rang, or a transaction was rolled back: what is set is not known now. */
  rang(): void {
    this.#at = null;
  }
}

/** What became of an object's alarm. */
export type AlarmStanding = "none" | "set" | "lost";

/** An alarm that is later than this does not come any more (the platform's own repetitions end before). */
const LATE_MS = 120_000;
export const isLate = (at: number): boolean => at < Date.now() - LATE_MS;
