import { commit } from "../durable/commit.ts";
import type { Document } from "../durable/document.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import { type BootRecord, newBoot } from "./record.ts";
import { containerUp, type Started, startContainer } from "./start.ts";
import type { TenantStorage } from "./tenant-storage.ts";
import type { BootPlan } from "./types.ts";
import type { Upkeep } from "./upkeep.ts";
import type { Watch } from "./watch.ts";

/** The start of an Instance's container, once in its life. */
export class Starting {
  readonly #storage: DurableObjectStorage;
  readonly #record: Document<BootRecord>;
  readonly #life: Life;
  readonly #watch: Watch;
  readonly #upkeep: Upkeep;
  readonly #reach: TenantStorage;
  #underWay: Promise<Outcome<Started>> | null = null;
  /** This life of the object saw it come up. */
  #isUp = false;

  constructor(
    storage: DurableObjectStorage,
    record: Document<BootRecord>,
    life: Life,
    parts: { watch: Watch; upkeep: Upkeep; reach: TenantStorage },
  ) {
    this.#storage = storage;
    this.#record = record;
    this.#life = life;
    this.#watch = parts.watch;
    this.#upkeep = parts.upkeep;
    this.#reach = parts.reach;
  }

  boot(plan: BootPlan, notAfter: number): Promise<Outcome<Started>> {
    this.#underWay ??= this.#boot(plan, notAfter).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #boot(plan: BootPlan, notAfter: number): Promise<Outcome<Started>> {
    const { boot, state, retired, runtime } = this.#life;
    if (retired) return failed("start_failed", "The container was retired before it started.");
    if (!boot) {
      if (Date.now() > notAfter)
        return failed("start_failed", "Nobody waits for the start of this container any more.");
      return this.#start(plan);
    }
    if (!runtime.running || (state !== "warm" && state !== "assigned"))
      return failed("start_failed", "The container of this id ended; ids are not used again.");
    if (this.#isUp || state === "assigned") return done({ startMs: 0, readyMs: 0 });
    // An earlier life of this object may have left memory between the start and its end.
    const up = await containerUp(new Inside(runtime, boot), Date.now(), this.#watch.ended);
    this.#isUp = up.ok;
    return up;
  }

  async #start(plan: BootPlan): Promise<Outcome<Started>> {
    const now = Date.now();
    const boot = newBoot(plan, now);
    commit(this.#storage, () => {
      this.#record.write(boot);
      this.#upkeep.arm(now, now + plan.workload.healthCheck.intervalMs);
    });
    this.#life.boot = boot;
    this.#life.state = "starting";
    const inside = new Inside(this.#life.runtime, boot);
    this.#watch.workloadStarts();
    const register = async () => {
      this.#watch.begin();
      await this.#reach.control(boot);
    };
    const outcome = await startContainer(inside, register, this.#watch.ended);
    if (outcome.ok && this.#life.move("booted")) {
      this.#isUp = true;
      if (plan.workload.start === "on-boot") this.#watch.workloadAnswered();
      return outcome;
    }
    this.#life.move("failed");
    return outcome.ok ? failed("start_failed", "The container was retired while it started.") : outcome;
  }
}
