import { DeadlineError, messageOf, within } from "../durable/deadline.ts";
import { vaultOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { detached, done, failed } from "../outcome.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";
import { saveState } from "./save.ts";
import type { TenantStorage } from "./tenant-storage.ts";
import type { InstanceState, SaveOutcome, SaveRequest } from "./types.ts";

/** What a save may take beyond its own deadline. */
const SAVE_GRACE_MS = 3_000;

/** The saves of one container, one at a time: the same one again joins, another one waits for its end. */
export class Saves {
  readonly #env: Env;
  readonly #life: Life;
  readonly #storage: TenantStorage;
  #underWay: { saveId: string; epoch: Epoch; outcome: Promise<SaveOutcome> } | null = null;

  constructor(env: Env, life: Life, storage: TenantStorage) {
    this.#env = env;
    this.#life = life;
    this.#storage = storage;
  }

  /** False when a save is still under way after that time. */
  async ended(patienceMs: number): Promise<boolean> {
    if (this.#underWay) await within(patienceMs, "save", this.#underWay.outcome).catch(() => {});
    return this.#underWay === null;
  }

  async run(request: SaveRequest): Promise<SaveOutcome> {
    const { epoch, saveId } = request;
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const boot = serving.value;
    const wanted: InstanceState = request.live ? "assigned" : "saving";
    if (this.#life.state !== wanted) {
      return failed("invalid_transition", `The container is ${this.#life.state}; this save needs it ${wanted}.`);
    }
    if (boot.plan.workload.volumes.state === undefined) return done(null);
    const before = this.#underWay;
    if (before && (before.saveId !== saveId || before.epoch !== epoch)) {
      // One of the workload while it ran ends soon after that was stopped: a last save is not given up for it.
      const since = Date.now();
      await within(request.timeoutMs, "save", before.outcome).catch(() => {});
      const timeoutMs = request.timeoutMs - (Date.now() - since);
      if (this.#underWay !== before && timeoutMs > 0) return this.run({ ...request, timeoutMs });
      return failed("operation_interrupted", "An earlier save of this container has not ended yet.");
    }
    // The same save again, after a lost reply, joins the one under way.
    this.#underWay ??= { saveId, epoch, outcome: this.#save(boot, request) };
    const outcome = await this.#underWay.outcome;
    if (!outcome.ok && !this.#life.runtime.running) {
      return failed("container_unavailable", outcome.failure.detail);
    }
    return outcome;
  }

  async #save(boot: BootRecord, request: SaveRequest): Promise<SaveOutcome> {
    try {
      return detached(await within(request.timeoutMs + SAVE_GRACE_MS, "save", this.#saveFenced(boot, request)));
    } catch (error) {
      return failed(error instanceof DeadlineError ? "deadline_exceeded" : "operation_interrupted", messageOf(error));
    } finally {
      this.#underWay = null;
    }
  }

  async #saveFenced(boot: BootRecord, request: SaveRequest): Promise<SaveOutcome> {
    const { epoch, saveId } = request;
    const fenced = this.#life.fenced === epoch ? null : await this.#storage.open(boot, epoch, "save");
    if (fenced && !fenced.ok) return fenced;
    const ref = { epoch, incarnation: boot.plan.containerId, saveId };
    const vault = vaultOf(this.#env, this.#life.holder?.tenantId as TenantId);
    return saveState(new Inside(this.#life.runtime, boot), vault, ref, request);
  }
}
