import { within } from "../durable/deadline.ts";
import { KEEP_MS } from "./environment.ts";
import { whomItServes } from "./holder.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";
import type { TenantStorage } from "./tenant-storage.ts";

const REGISTER_MS = 5_000;

/** Learns again what an Instance's memory held, where it left memory while its container ran on (an eviction, a deploy, a hot reload). */
export class Settling {
  readonly #env: Env;
  readonly #life: Life;
  readonly #storage: TenantStorage;
  /** Whom the container serves could not be learnt yet. Until then nothing is said of it, least of all that it is dead. */
  #unsettled = false;
  #underWay: Promise<void> | null = null;

  constructor(env: Env, life: Life, storage: TenantStorage) {
    this.#env = env;
    this.#life = life;
    this.#storage = storage;
  }

  /** The object came to memory beside a container that runs already. */
  begin(): Promise<void> {
    this.#unsettled = true;
    return this.settle();
  }

  get isUnsettled(): boolean {
    return this.#unsettled;
  }

  /** Learns whom the container serves, where that is unclear. @throws when it cannot be learnt now */
  async settle(): Promise<void> {
    const { boot, runtime } = this.#life;
    if (!boot || !this.#isUnclear || !runtime.running) return;
    this.#underWay ??= this.#rehydrate(boot).finally(() => {
      this.#underWay = null;
    });
    await this.#underWay;
  }

  /** Leased when this object came back to memory, its container may have come to serve since. */
  get #isUnclear(): boolean {
    return this.#unsettled || (this.#life.leasedTo !== null && this.#life.state === "warm");
  }

  /**
   * What memory held is asked from the pool again, and what the platform forgot is registered again, before anything
   * else happens.
   */
  async #rehydrate(boot: BootRecord): Promise<void> {
    const life = this.#life;
    const registered = Promise.all([life.runtime.keepFor(KEEP_MS), this.#storage.control(boot)]);
    await within(REGISTER_MS, "what the platform forgot", registered);
    const whom = await whomItServes(this.#env, boot.plan);
    if (!this.#isUnclear) return; // somebody else was told meanwhile
    const { volumes } = boot.plan.workload;
    if (whom.holder && volumes.state) {
      const { tenantId, epoch } = whom.holder;
      await within(REGISTER_MS, "the storage intercept", this.#storage.intercept(boot, tenantId, epoch));
    }
    life.state = whom.state;
    life.holder = whom.holder;
    life.leasedTo = whom.leasedTo;
    if (whom.since !== undefined) life.assignedAt(whom.since);
    this.#unsettled = false;
    // A tenant is active only after its storage was fenced; one that is being left may have a newer epoch than that.
    if (whom.state === "assigned") life.fenced = whom.holder?.epoch ?? null;
  }
}
