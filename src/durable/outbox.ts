import { log } from "../log.ts";
import { messageOf, sleep, within } from "./deadline.ts";

/** Changes that follow one another closely go together. */
const GATHER_MS = 60;
/** In a burst, deliveries of one isolate beyond this many wait: what they tell is for lists and records, and D1 is one writer. */
const AT_ONCE = 4;
const BUSY_MS = 1_000;
const DELIVERY_MS = 15_000;

let underWay = 0;

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
    this.#waitUntil(this.#run());
  }

  async #run(): Promise<void> {
    await sleep(GATHER_MS);
    while (underWay >= AT_ONCE) await sleep(BUSY_MS * (0.5 + Math.random()));
    this.#scheduled = false; // what changes from now on is a delivery of its own
    underWay += 1;
    try {
      while ((await within(DELIVERY_MS, "delivery", this.#deliver())) === "more");
    } catch (error) {
      log.warn("delivery to D1 failed; it is tried again", { error: messageOf(error) });
    } finally {
      underWay -= 1;
    }
  }
}
