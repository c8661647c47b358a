import { CHAIN_START } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { fleetOf, instanceOf, poolOf, tenantOf } from "../durable/stubs.ts";
import type { Counted } from "../fleet/types.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { detached, done, failed, type Outcome } from "../outcome.ts";
import { findPool, findWorkload } from "../registry/store.ts";
import { findVersion } from "../registry/workload-versions.ts";
import type { Tier } from "../runtime/port.ts";
import type { Given } from "./administer.ts";
import { admission, type Entry, LONGEST_TURN_MS, notWanted } from "./admission.ts";
import { missingVersion } from "./pinned.ts";
import { type PoolRecord, type Slot, type SlotLease, workloadOf } from "./record.ts";
import { syncSpecsOf } from "./registry.ts";
import type { Lease, LeaseRequest } from "./types.ts";

/** However long a caller would wait for room. */
export const LONGEST_WAIT_MS = 120_000;
const OBSERVE_MS = 5_000;
const RETIRE_MS = 20_000;
const REGISTRY_MS = 5_000;
/** What an RPC may take beyond the deadline that the callee keeps itself. */
const GRACE_MS = 5_000;

/** What a pool does outside itself: start, look, ask, destroy. Nothing here throws; everything may be done again. */
export class Effects {
  readonly #env: Env;
  constructor(env: Env) {
    this.#env = env;
  }

  /** Admission by the fleet, then the container. */
  async start(record: PoolRecord, slot: Slot, entry: Entry): Promise<Outcome<null>> {
    const { containerId, tier, workloadVersion } = slot;
    const { startMs } = configOf(this.#env).deadlines;
    const workload = workloadOf(record, slot);
    const plan = { containerId, poolId: record.id, workload, workloadVersion, tier, startTimeoutMs: startMs };
    try {
      const admitted = await admission(this.#env, { containerId, poolId: record.id, tier }, entry);
      if (!admitted.ok) return admitted;
      entry.onAdmitted();
      if (!entry.isWanted()) return notWanted();
      const patienceMs = startMs + GRACE_MS;
      const boot = instanceOf(this.#env, containerId).boot(plan, Date.now() + patienceMs);
      const booted = await within(patienceMs, "start", boot);
      return booted.ok ? done(null) : detached(booted);
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

  /** Tells the fleet everything that the pool has or may have. Null when it does not answer. */
  async renew(poolId: PoolId, held: readonly Counted[]): Promise<ContainerId[] | null> {
    try {
      return (await within(OBSERVE_MS, "renew", fleetOf(this.#env).renew(poolId, held))).strangers;
    } catch (error) {
      log.warn("a pool could not renew its leases with the fleet", { pool: poolId, error: messageOf(error) });
      return null;
    }
  }

  /** A lease from another pool. */
  async leaseFrom(poolId: PoolId, request: LeaseRequest): Promise<Outcome<Lease>> {
    const { startMs } = configOf(this.#env).deadlines;
    try {
      return detached(await within(startMs + GRACE_MS, "fallback", poolOf(this.#env, poolId).lease(request)));
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
  }

  /** A version that a pinned tenant keeps, where the pool has forgotten what it says. */
  missingVersion = (record: PoolRecord, request: LeaseRequest) => missingVersion(this.#env.DB, record, request);

  /** Whether sync specs name the pool; true also when that is not known. */
  async isSynchronised(id: PoolId): Promise<boolean> {
    try {
      return (await within(REGISTRY_MS, "registry", syncSpecsOf(this.#env.DB, id))).length > 0;
    } catch {
      return true;
    }
  }

  /** What D1 was last told of a pool: its containers, its tenants, and the end of its chain. @throws when D1 does not answer */
  async copiesOf(id: PoolId): Promise<{ containers: Known[]; tenants: TenantId[]; chain: ChainEnd }> {
    const { DB } = this.#env;
    const [containers, tenants, chain] = await within(
      REGISTRY_MS,
      "registry",
      DB.batch([
        DB.prepare(
          `SELECT container_id AS containerId, tenant_id AS tenantId, epoch, tier, workload_version AS workloadVersion,
             started_at AS startedAt FROM containers WHERE pool_id = ?`,
        ).bind(id),
        DB.prepare("SELECT tenant_id AS tenantId FROM tenants WHERE pool_id = ?").bind(id),
        DB.prepare("SELECT seq, hash FROM audit WHERE subject = ? AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1").bind(
          `pool:${id}`,
        ),
      ]),
    );
    return {
      containers: (containers?.results ?? []) as unknown as Known[],
      tenants: ((tenants?.results ?? []) as { tenantId: TenantId }[]).map((row) => row.tenantId),
      chain: ((chain?.results ?? []) as unknown as ChainEnd[])[0] ?? { seq: 0, hash: CHAIN_START },
    };
  }

  /** How a container was started, and whom it serves, by itself; null for one that is gone. @throws when it does not answer */
  async identify(id: ContainerId): Promise<Known | null> {
    const described = await within(OBSERVE_MS, "describe", instanceOf(this.#env, id).describe());
    if (described.ok) {
      const { tenantId = null, epoch = null, tier, workloadVersion, startedAt } = described.value;
      return { containerId: id, tenantId, epoch, tier, workloadVersion, startedAt: Date.parse(startedAt) };
    }
    if (described.failure.code === "not_found") return null;
    throw new Error(described.failure.detail);
  }

  /** The longest that a start may take, in ms: its turn, a full fleet, and the start of a new image. */
  startCeilingMs(): number {
    return LONGEST_WAIT_MS + LONGEST_TURN_MS + 2 * configOf(this.#env).deadlines.startMs + GRACE_MS;
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
      return detached(gone);
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
  async registered(id: PoolId): Promise<Given | null> {
    try {
      return await this.lookUp(id);
    } catch (error) {
      log.warn("a pool could not read its registration", { pool: id, error: messageOf(error) });
      return null;
    }
  }

  /** The same, where it matters that the registration is certainly not there. @throws when D1 does not answer */
  async lookUp(id: PoolId): Promise<Given | null> {
    const pool = await within(REGISTRY_MS, "registry", findPool(this.#env.DB, id));
    if (!pool) return null;
    const { spec, version, createdAt } = pool;
    const workload = await within(REGISTRY_MS, "registry", findWorkload(this.#env.DB, spec.workloadId));
    const registered = { version, createdAt };
    return workload && { spec, workload: workload.spec, workloadVersion: workload.version, registered };
  }

  /** What the workload said in versions that are not the present one; those that it never had are left out. @throws when D1 does not answer */
  async versions(
    { spec: { workloadId }, workloadVersion }: Given,
    wanted: ReadonlySet<number>,
  ): Promise<PoolRecord["earlier"]> {
    const earlier: PoolRecord["earlier"] = [];
    for (const version of wanted) {
      if (version === workloadVersion) continue;
      const workload = await within(REGISTRY_MS, "registry", findVersion(this.#env.DB, workloadId, version));
      if (workload) earlier.push({ version, workload });
    }
    return earlier;
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
}

/** The end of a journal. */
export interface ChainEnd {
  seq: number;
  hash: string;
}

/** A container as somebody else than its pool knows it. */
export interface Known {
  containerId: ContainerId;
  tenantId: TenantId | null;
  epoch: Epoch | null;
  tier: Tier;
  workloadVersion: number;
  startedAt: number | null;
}
