import { configOf } from "../config.ts";
import { messageOf, sleep, within } from "../durable/deadline.ts";
import { fleetOf, instanceOf, tenantOf } from "../durable/stubs.ts";
import type { ContainerId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { PoolRecord, Slot, SlotLease } from "./record.ts";

const OBSERVE_MS = 5_000;
const RETIRE_MS = 20_000;
/** How often a start waits for its turn in the fleet's token bucket before it gives up. */
const ADMISSION_ATTEMPTS = 20;
/** What an RPC may take beyond the deadline that the callee keeps itself. */
const GRACE_MS = 5_000;

/** What a pool does outside itself: start, look, ask, destroy. Nothing here throws; everything may be done again. */
export class Effects {
  readonly #env: Env;
  constructor(env: Env) {
    this.#env = env;
  }

  /** Admission by the fleet, then the container. */
  async start(record: PoolRecord, slot: Slot): Promise<Outcome<null>> {
    const { containerId, tier } = slot;
    const { startMs } = configOf(this.#env).deadlines;
    const plan = { containerId, poolId: record.id, workload: record.workload, tier, startTimeoutMs: startMs };
    try {
      const admitted = await this.#admit(containerId, record, tier);
      if (!admitted.ok) return admitted;
      const booted = await within(startMs + GRACE_MS, "start", instanceOf(this.#env, containerId).boot(plan));
      return booted.ok ? done(null) : booted;
    } catch (error) {
      return failed("start_failed", messageOf(error));
    }
  }

  /** No answer counts as no: a slot that does not answer is not worth keeping. */
  async isAlive(id: ContainerId): Promise<boolean> {
    try {
      return (await within(OBSERVE_MS, "observe", instanceOf(this.#env, id).observe())).alive;
    } catch {
      return false;
    }
  }

  /** Whether the tenant of a lease has the container; null when it does not answer, or has not decided yet. */
  async isOwned(id: ContainerId, lease: SlotLease): Promise<boolean | null> {
    try {
      return await within(OBSERVE_MS, "owns", tenantOf(this.#env, lease.tenantId).owns(id, lease.epoch));
    } catch {
      return null;
    }
  }

  /** Destroys the container and gives its admission back. A failure means: not confirmed, ask again. */
  async retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    try {
      const gone = await within(RETIRE_MS, "retire", instanceOf(this.#env, id).retire(reason));
      if (gone.ok) await within(OBSERVE_MS, "release", fleetOf(this.#env).release(id));
      return gone;
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
  }

  async #admit(id: ContainerId, record: PoolRecord, tier: Tier): Promise<Outcome<null>> {
    const fleet = fleetOf(this.#env);
    for (let attempt = 1; ; attempt += 1) {
      const admission = await within(OBSERVE_MS, "admit", fleet.admit(id, record.id, tier));
      if (admission.admitted) return done(null);
      const { reason, retryAfterMs } = admission;
      if (reason === "cap") return failed("capacity_exhausted", `Tier ${tier} is at its cap.`, { retryAfterMs });
      if (attempt >= ADMISSION_ATTEMPTS) {
        return failed("capacity_exhausted", "Too many containers are starting.", { retryAfterMs });
      }
      await sleep(retryAfterMs);
    }
  }
}
