import { log } from "../log.ts";
import { messageOf, sleep, within } from "./deadline.ts";

/** Changes that follow one another closely go together. */
const GATHER_MS = 60;
/**
 * In a burst deliveries wait: what they tell is for lists and records, D1 is one writer, and whoever waits for a claim
 * comes first. Counted per isolate, which is what shares a processor.
 */
const BURST_PER_SECOND = 50;
const AT_ONCE = 4;
const BUSY_MS = 4_000;
const DELIVERY_MS = 15_000;

/**
 * When each delivery that is under way began its present batch. One that is cut off with its object never says that it
 * ended, so it counts no longer than a batch may take.
 */
const underWay = new Map<object, number>();
const lately = { second: 0, changes: 0, before: 0 };

/** Counts one change; whether there are many of them, now or a second ago. */
function isBurst(now: number): boolean {
  const second = Math.floor(now / 1_000);
  if (second !== lately.second) {
    lately.before = second === lately.second + 1 ? lately.changes : 0;
    lately.second = second;
    lately.changes = 0;
  }
  lately.changes += 1;
  return Math.max(lately.changes, lately.before) > BURST_PER_SECOND;
}

function isBusy(now: number): boolean {
  for (const [delivery, since] of underWay) {
    if (now - since > DELIVERY_MS) underWay.delete(delivery);
  }
  return underWay.size >= AT_ONCE;
}

/** Sends an object's journal and projection to D1 soon after each change; what fails is sent by the object's next change or alarm. */
export class Outbox {
  readonly #waitUntil: (work: Promise<unknown>) => void;
  readonly #deliver: () => Promise<"all" | "more">;
  #scheduled = false;

  /** `deliver` sends one batch, at least once, and says whether there is more. */
  constructor(waitUntil: (work: Promise<unknown>) => void, deliver: () => Promise<"all" | "more">) {
    this.#waitUntil = waitUntil;
    this.#deliver = deliver;
  }

  /** Soon, and once for all that changes until then. */
  soon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#waitUntil(this.#run(isBurst(Date.now()) ? BUSY_MS * (0.5 + Math.random()) : GATHER_MS));
  }

  async #run(delayMs: number): Promise<void> {
    await sleep(delayMs);
    while (isBusy(Date.now())) await sleep(BUSY_MS * (0.5 + Math.random()));
    this.#scheduled = false; // what changes from now on is a delivery of its own
    const delivery = {};
    try {
      do underWay.set(delivery, Date.now());
      while ((await within(DELIVERY_MS, "delivery", this.#deliver())) === "more");
    } catch (error) {
      log.warn("delivery to D1 failed; it is tried again", { error: messageOf(error) });
    } finally {
      underWay.delete(delivery);
    }
  }
}
