import type { By } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { messageOf, sleep, within } from "../durable/deadline.ts";
import { fleetOf, instanceOf, tenantOf } from "../durable/stubs.ts";
import type { ContainerId, PoolId, TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import { findPool, findWorkload } from "../registry/store.ts";
import type { Tier } from "../runtime/port.ts";
import { type PoolRecord, type Slot, type SlotLease, workloadOf } from "./record.ts";

const OBSERVE_MS = 5_000;
const RETIRE_MS = 20_000;
const REGISTRY_MS = 5_000;
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
    const { containerId, tier, workloadVersion } = slot;
    const { startMs } = configOf(this.#env).deadlines;
    const workload = workloadOf(record, workloadVersion);
    const plan = { containerId, poolId: record.id, workload, workloadVersion, tier, startTimeoutMs: startMs };
    try {
      const admitted = await this.#admit(containerId, record, tier);
      if (!admitted.ok) return admitted;
      const booted = await within(startMs + GRACE_MS, "start", instanceOf(this.#env, containerId).boot(plan));
      return booted.ok ? done(null) : booted;
    } catch (error) {
      return failed("start_failed", messageOf(error));
    }
  }

  /** No answer counts as no: a slot that does not answer, or is known to have ended or to hang, is not worth keeping. */
  async isAlive(id: ContainerId): Promise<boolean> {
    try {
      const { alive, end } = await within(OBSERVE_MS, "observe", instanceOf(this.#env, id).observe());
      return alive && end === undefined;
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

  /** A release with a save. `released`: it ended; `pending`: it goes on by itself. */
  async release(id: TenantId, by: By): Promise<Outcome<"released" | "pending">> {
    const waitMs = configOf(this.#env).deadlines.saveMs;
    try {
      const release = tenantOf(this.#env, id).release(id, {}, waitMs, by);
      const released = await within(waitMs + GRACE_MS, "release", release);
      return released.ok ? done(released.value.kind === "done" ? "released" : "pending") : released;
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
  }

  /** The registration as it is; null for one that is not there, or when D1 does not answer. */
  async registered(id: PoolId): Promise<{ spec: PoolSpec; workload: Workload; workloadVersion: number } | null> {
    try {
      const pool = await within(REGISTRY_MS, "registry", findPool(this.#env.DB, id));
      const workload =
        pool && (await within(REGISTRY_MS, "registry", findWorkload(this.#env.DB, pool.spec.workloadId)));
      return workload && { spec: pool.spec, workload: workload.spec, workloadVersion: workload.version };
    } catch (error) {
      log.warn("a pool could not read its registration", { pool: id, error: messageOf(error) });
      return null;
    }
  }

  /** Takes the pool out of the registry; false when that is not certain. */
  async unregister(id: PoolId): Promise<boolean> {
    try {
      const removal = this.#env.DB.prepare("DELETE FROM pools WHERE id = ?").bind(id).run();
      await within(REGISTRY_MS, "registry", removal);
      return true;
    } catch (error) {
      log.warn("a pool could not be taken out of the registry", { pool: id, error: messageOf(error) });
      return false;
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
