import { sleep, within } from "../durable/deadline.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { Life } from "./life.ts";

/** The least that a container which is about to end waits for an answer. */
const PAUSE_MS = 500;
/** What the call may take beyond the tenant's own wait. */
const GRACE_MS = 5_000;

/** The save of a container that the platform is about to end: one at a time, whoever asks and how often. */
export class Draining {
  readonly #env: Env;
  readonly #life: Life;
  #underWay: Promise<{ done: boolean }> | null = null;

  constructor(env: Env, life: Life) {
    this.#env = env;
    this.#life = life;
  }

  run(waitMs: number): Promise<{ done: boolean }> {
    this.#underWay ??= this.#ask(waitMs).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #ask(waitMs: number): Promise<{ done: boolean }> {
    const { boot, holder, leasedTo } = this.#life;
    const tenantId = (holder ?? leasedTo)?.tenantId;
    if (!boot || tenantId === undefined) return { done: true };
    this.#life.told = true;
    const [done] = await Promise.all([
      within(waitMs + GRACE_MS, "drain", tenantOf(this.#env, tenantId).drain(boot.plan.containerId, waitMs)),
      sleep(PAUSE_MS), // so that asking again and again costs little
    ]);
    return { done };
  }
}
