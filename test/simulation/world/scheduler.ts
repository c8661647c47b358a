import { createHash } from "node:crypto";
import type { Random } from "../../support/random.ts";

/** Captured before a world replaces the globals: the one real thing that it waits for. */
const realSetImmediate = setImmediate;

/** Something that comes from outside the running code: a delivery, a reply, a timer, a confirmation. */
export interface Event {
  readonly at: number;
  readonly label: string;
  cancelled: boolean;
}

interface Queued extends Event {
  /** Orders what is due at the same time. */
  readonly lot: number;
  readonly run: () => void;
}

/** Lines that are hashed together. */
const BATCH = 256;

/** A line for each event that fired, hashed as it comes. */
export class Trace {
  readonly #hash = createHash("sha256");
  readonly #kept: string[] | null;
  readonly #pending: string[] = [];

  constructor(keep: "lines" | "hash") {
    this.#kept = keep === "lines" ? [] : null;
  }

  add(line: string): void {
    this.#pending.push(line);
    if (this.#pending.length === BATCH) this.#update();
    this.#kept?.push(line);
  }
  get hash(): string {
    this.#update();
    return this.#hash.copy().digest("hex");
  }
  get lines(): readonly string[] {
    return this.#kept ?? [];
  }

  #update(): void {
    if (this.#pending.length > 0) this.#hash.update(`${this.#pending.join("\n")}\n`);
    this.#pending.length = 0;
  }
}

/**
 * The virtual clock and the one queue. One event fires at a time; what it sets going comes to rest before the next, so
 * that nothing but the seed orders anything.
 */
export class Scheduler {
  readonly trace: Trace;
  now: number;
  fired = 0;
  onFire: (event: { index: number; label: string }) => void = () => {};

  readonly #start: number;
  readonly #random: Random;
  readonly #heap: Queued[] = [];

  constructor(start: number, random: Random, trace: Trace) {
    this.#start = start;
    this.now = start;
    this.#random = random;
    this.trace = trace;
  }

  /** `run` at a time, never before what is happening now is over. */
  at(when: number, label: string, run: () => void): Event {
    const event = { at: Math.max(when, this.now), lot: this.#random(), label, run, cancelled: false };
    push(this.#heap, event);
    return event;
  }

  after(ms: number, label: string, run: () => void): Event {
    return this.at(this.now + Math.max(0, ms), label, run);
  }

  /** After as long as a message takes: mostly next to nothing, sometimes long enough for others to overtake it. */
  soon(label: string, run: () => void, extraMs = 0): Event {
    const draw = this.#random();
    const ms = draw < 0.6 ? 0 : draw < 0.95 ? Math.floor((draw - 0.6) * 20) : Math.floor((draw - 0.95) * 1_000);
    return this.after(ms + extraMs, label, run);
  }

  /** When the next event is due; null when nothing is left. */
  get next(): number | null {
    return this.#top()?.at ?? null;
  }

  /** Fires the next event. False: nothing is left. */
  async fire(): Promise<boolean> {
    if (!this.#top()) return false;
    this.onFire({ index: this.fired, label: this.#top()?.label ?? "" });
    const event = this.#top(); // a fault may have cancelled what was next
    if (!event) return false;
    pop(this.#heap);
    this.now = Math.max(this.now, event.at);
    this.fired += 1;
    this.trace.add(`${this.now - this.#start} ${event.label}`);
    event.run();
    await rest();
    return true;
  }

  /** The clock goes on to a time at which, or before which, nothing is due. */
  skipTo(when: number): void {
    this.now = Math.max(this.now, Math.min(when, this.next ?? when));
  }

  /** The clock jumps over what is due in between; that fires late. */
  jump(ms: number): void {
    this.now += ms;
    this.note(`  the clock jumps ${ms} ms`);
  }

  note(text: string): void {
    this.trace.add(`${this.now - this.#start} ${text}`);
  }

  #top(): Queued | undefined {
    while (this.#heap[0]?.cancelled) pop(this.#heap);
    return this.#heap[0];
  }
}

/** Until every promise and every tick that is ready has run. */
export const rest = (): Promise<void> => new Promise((resolve) => realSetImmediate(resolve));

const before = (a: Queued, b: Queued): boolean => a.at < b.at || (a.at === b.at && a.lot < b.lot);

function push(heap: Queued[], event: Queued): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Queued;
    if (!before(event, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Queued[]): void {
  const last = heap.pop() as Queued;
  const size = heap.length;
  if (size === 0) return;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= size) break;
    if (child + 1 < size && before(heap[child + 1] as Queued, heap[child] as Queued)) child += 1;
    const below = heap[child] as Queued;
    if (!before(below, last)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}
