import { configOf } from "../config.ts";
import { messageOf, sleep, within } from "../durable/deadline.ts";
import { instanceOf, poolOf, specVaultOf, vaultOf } from "../durable/stubs.ts";
import { generation, type PoolId } from "../ids.ts";
import type { Assignment } from "../instance/types.ts";
import { log } from "../log.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import { specsOfPool } from "../registry/sync-cache.ts";
import { upgradeOf } from "../registry/upgrade.ts";
import { gatewayGrant } from "../sessions/gateway-token.ts";
import type { Committed } from "../vault/types.ts";
import { claimEnvironment } from "./environment.ts";
import type { Step, StepResult, TenantEvent } from "./events.ts";
import { retireStep } from "./planning.ts";
import { type Made, type TenantRecord, versionsOf } from "./record.ts";
import { openAll } from "./secrets.ts";
import { briefsIfKnown, claimRuns, performSync } from "./sync-effects.ts";
import { withdraw } from "./withdraw.ts";

/** How long a start waits for the tenant's previous container to be gone; after that the vault's fence protects it. */
const RETIRE_PATIENCE_MS = 2_000;
const OBSERVE_MS = 5_000;
/** For as much as fits; what is left is erased when it is asked for again. */
const ERASE_MS = 60_000;
/** After which it is asked for again. */
const RETIRE_MS = 30_000;
const QUIESCE_MS = 10_000;
const VAULT_MS = 30_000;
/** What an RPC may take beyond the deadline that the callee keeps itself. */
const GRACE_MS = 5_000;

/** Performs the steps of plans. Nothing here throws: whatever went wrong is an event. */
export class Effects {
  readonly #env: Env;
  constructor(env: Env) {
    this.#env = env;
  }

  async perform(step: Step, record: TenantRecord): Promise<TenantEvent | null> {
    switch (step.do) {
      case "retire":
        return this.#retire(step);
      case "observe":
        return this.#observe(step, record);
      case "lease":
        return { operationId: step.operationId, ...(await this.#lease(step, record)) };
      case "assign":
        return { operationId: step.operationId, ...(await this.#assign(step, record)) };
      case "erase": {
        const outcome = await this.#call(ERASE_MS, "erase", () =>
          vaultOf(this.#env, record.tenantId).erase(step.epoch),
        );
        return outcome.ok
          ? { type: "erased", proof: outcome.value }
          : { type: "erase_failed", failure: outcome.failure };
      }
      case "withdraw": {
        const { part } = step;
        const outcome = await this.#call(ERASE_MS, part, () => withdraw(this.#env, record, step, Date.now()));
        return { type: "withdrawn", part, failure: outcome.ok ? null : outcome.failure };
      }
      case "restore":
        return { operationId: step.operationId, type: "restored", outcome: await this.#restore(step, record) };
      case "conclude": {
        const { operationId } = step;
        const outcome = await this.#conclude(step, record);
        return outcome && { operationId, type: "imported", outcome };
      }
      case "sync":
        return performSync(this.#env, record.tenantId, step);
      case "cancel":
        await this.#call(OBSERVE_MS, "cancel", async () => {
          await instanceOf(this.#env, step.containerId).cancelSync(step.runId);
          return done(null);
        });
        return null; // the run's own end says whether it came in time
      case "settle":
        return { type: "settled" };
      case "revoke":
        await this.#call(OBSERVE_MS, "revoke", async () => {
          await instanceOf(this.#env, step.containerId).revoke(step.tokenVersion);
          return done(null);
        });
        return null; // sockets that are missed end with their session
      case "restart": {
        const { startMs } = configOf(this.#env).deadlines;
        const outcome = await this.#call(startMs + GRACE_MS, "restart", () =>
          instanceOf(this.#env, step.containerId).restart(step.epoch),
        );
        return { operationId: step.operationId, type: "restarted", failure: outcome.ok ? null : outcome.failure };
      }
      case "resume": {
        const { startMs } = configOf(this.#env).deadlines;
        const outcome = await this.#call(startMs + GRACE_MS, "resume", () =>
          instanceOf(this.#env, step.containerId).resume(step.epoch),
        );
        return { operationId: step.operationId, type: "resumed", failure: outcome.ok ? null : outcome.failure };
      }
      case "quiesce": {
        const [known, outcome] = await Promise.all([
          briefsIfKnown(this.#env, record.poolId),
          this.#call(QUIESCE_MS, "quiesce", () =>
            instanceOf(this.#env, step.containerId).quiesce(step.epoch, step.idleSince),
          ),
        ]);
        const failure = outcome.ok ? null : outcome.failure;
        const busy = outcome.ok && outcome.value.busy;
        return { operationId: step.operationId, type: "quiesced", busy, failure, ...known };
      }
      case "save": {
        const { saveMs: timeoutMs } = configOf(this.#env).deadlines;
        const { epoch, saveId, force } = step;
        const request = { epoch, saveId, force, timeoutMs, ...(step.live ? { live: true as const } : {}) };
        const outcome = await this.#call(timeoutMs + GRACE_MS, "save", () =>
          instanceOf(this.#env, step.containerId).save(request),
        );
        return { operationId: step.operationId, type: "saved", outcome };
      }
      case "promote": {
        const outcome = await this.#call(30_000, "promote", () =>
          vaultOf(this.#env, record.tenantId).promote(step.epoch, step.generation),
        );
        if (outcome.ok)
          return { operationId: step.operationId, type: "promoted", committed: outcome.value, failure: null };
        const nothing = outcome.failure.code === "not_found";
        return {
          operationId: step.operationId,
          type: "promoted",
          committed: null,
          failure: nothing ? null : outcome.failure,
        };
      }
    }
  }

  async #lease(step: Extract<Step, { do: "lease" }>, record: TenantRecord): Promise<StepResult> {
    const { startMs } = configOf(this.#env).deadlines;
    const waitMs = Math.max(0, (record.operation?.capacityUntil ?? 0) - Date.now());
    const restart = record.operation?.restart;
    const runs = record.ran?.poolId === step.poolId ? record.ran.version : undefined;
    const request = {
      tenantId: record.tenantId,
      epoch: step.epoch,
      ...(record.tier === null ? {} : { tier: record.tier }),
      ...(waitMs > 0 ? { waitMs } : {}),
      ...(restart?.scope === "image" ? { minWorkloadVersion: restart.minWorkloadVersion } : {}),
      ...(runs === undefined ? {} : { runs }),
    };
    const [outcome] = await Promise.all([
      this.#call(startMs + waitMs + GRACE_MS, "lease", () => poolOf(this.#env, step.poolId).lease(request)),
      // Looked up while the pool looks for a slot; the assignment has them in its hands then.
      specsOfPool(this.#env.DB, step.poolId, Date.now()).catch(() => null), // it asks again
    ]);
    return outcome.ok
      ? { type: "leased", lease: outcome.value }
      : { type: "start_failed", failure: outcome.failure, lease: null };
  }

  async #assign(step: Extract<Step, { do: "assign" }>, record: TenantRecord): Promise<StepResult> {
    const { lease } = step;
    const { startMs, restoreMs } = configOf(this.#env).deadlines;
    const started = record.operation?.startedAt ?? Date.now();
    const leasedAt = Date.now();
    const previous = record.retiring.filter((slot) => slot.containerId !== lease.containerId);
    if (previous.length > 0) {
      await Promise.race([
        Promise.all(previous.map((slot) => this.#retire(retireStep(slot, "superseded")))),
        sleep(RETIRE_PATIENCE_MS),
      ]);
    }
    const outcome = await this.#call(startMs + restoreMs + GRACE_MS, "assign", async () =>
      instanceOf(this.#env, lease.containerId).assign(await this.#assignment(step, record)),
    );
    if (!outcome.ok) return { type: "start_failed", failure: outcome.failure, lease };
    const known = await briefsIfKnown(this.#env, record.poolId);
    const timings = { lease: leasedAt - started, ...outcome.value.timings, total: Date.now() - started };
    return { type: "assigned", lease, assigned: outcome.value, fingerprint: versionsOf(record), timings, ...known };
  }

  async #assignment(step: Extract<Step, { do: "assign" }>, record: TenantRecord): Promise<Assignment> {
    const { delivery, tenantId, poolId } = record;
    const config = configOf(this.#env);
    const { deadlines } = config;
    const { workload, containerId } = step.lease;
    const claim = { tenantId, poolId: poolId as PoolId, epoch: step.epoch, operationId: step.operationId };
    const specs = await claimRuns(this.#env, claim, Date.now());
    const gateway = gatewayGrant(config, step.epoch, record.tokenVersion);
    const secrets = record.secrets ? await openAll(config, tenantId, record.secrets) : undefined;
    return {
      tenantId,
      epoch: step.epoch,
      ...(delivery.config === undefined ? {} : { config: delivery.config }),
      ...(secrets && Object.keys(secrets).length > 0 ? { secrets } : {}),
      environment: claimEnvironment(workload, {
        tenantId,
        poolId: poolId ?? "",
        workloadId: workload.id,
        containerId,
        publicUrl: delivery.publicUrl ?? "",
        config: delivery.config,
      }),
      ...(gateway ? { gateway } : {}),
      fresh: step.fresh,
      ...(record.generation > 0 ? { saved: generation(record.generation) } : {}),
      ...(specs.length > 0 ? { specs } : {}),
      restoreTimeoutMs: deadlines.restoreMs,
      startTimeoutMs: deadlines.startMs,
    };
  }

  async #restore(step: Extract<Step, { do: "restore" }>, record: TenantRecord): Promise<Outcome<Made>> {
    const vault = vaultOf(this.#env, record.tenantId);
    const { operationId, epoch, generation } = step;
    // A name of its own: it is asked for again when its answer got lost, also under a later epoch.
    const save = { epoch, incarnation: `restore:${operationId}`, saveId: `restore-${operationId}` };
    return this.#call(VAULT_MS, "restore", async () => {
      const { generations } = await vault.describe();
      const from = generations.find((one) => one.generation === generation);
      if (!from) return failed("not_found", `There is no generation ${generation}.`);
      const committed = await vault.restoreTo(save, generation);
      if (!committed.ok) return committed;
      const { files, bytes } = from;
      return done({ committed: committed.value, from: { generation, files, bytes } });
    });
  }

  /** Null when the vault did not answer: it is asked again. What was not committed by now never will be. */
  async #conclude(step: Extract<Step, { do: "conclude" }>, record: TenantRecord): Promise<Outcome<Committed> | null> {
    const source = record.operation?.import?.source;
    const isRebuild = source?.kind === "rebuild";
    const vault =
      isRebuild && source.spec !== undefined
        ? specVaultOf(this.#env, record.tenantId, source.spec)
        : vaultOf(this.#env, record.tenantId);
    const known = await this.#call(VAULT_MS, "conclude", async () => {
      const fenced = await vault.fence(step.epoch, `conclude:${step.operationId}`);
      return fenced.ok ? done(await vault.describe()) : fenced;
    });
    if (!known.ok) return known.failure.code === "operation_interrupted" ? null : known;
    // A rebuild brings back what others made; the vault that answered is whole again.
    const made = known.value.generations.find(
      (one) => one.status === "head" && (isRebuild || one.epoch === step.imported),
    );
    if (!made) return failed("deadline_exceeded", "It took longer than its deadline; nothing of it is kept.");
    const { generation, files, bytes, changed } = made;
    return done({ generation, files, bytes, changed });
  }

  async #observe(step: Extract<Step, { do: "observe" }>, record: TenantRecord): Promise<TenantEvent | null> {
    try {
      const [known, started, observation] = await Promise.all([
        briefsIfKnown(this.#env, record.poolId),
        versionIfKnown(this.#env, record.poolId),
        within(OBSERVE_MS, "observe", instanceOf(this.#env, step.containerId).observe()),
      ]);
      return { type: "observed", containerId: step.containerId, observation, ...known, ...started };
    } catch {
      return null; // no answer is not death: it is asked again at the next alarm
    }
  }

  async #retire(step: Extract<Step, { do: "retire" }>): Promise<TenantEvent | null> {
    const pool = poolOf(this.#env, step.poolId);
    const { containerId } = step;
    const outcome = await this.#call(RETIRE_MS, "retire", () => pool.retire(containerId, step.reason));
    return outcome.ok
      ? { type: "retired", containerId }
      : { type: "not_retired", containerId, failure: outcome.failure };
  }

  /** An RPC with a deadline. A call that broke off may have happened: everything called here may be called again. */
  async #call<T>(ms: number, what: string, call: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    try {
      return await within(ms, what, call());
    } catch (error) {
      const failure: Failure = { code: "operation_interrupted", detail: `${what}: ${messageOf(error)}` };
      return { ok: false, failure };
    }
  }
}

/** Which version of its workload the next container of a pool would run; nothing when the registry does not answer. */
async function versionIfKnown(env: Env, poolId: PoolId | null): Promise<{ workloadVersion?: number }> {
  if (poolId === null) return {};
  try {
    // What is looked up in the background may end with this object: it is looked up again then.
    const found = await poolAndWorkload(env.DB, poolId, Date.now(), (work) => work.catch(() => {}));
    // Whoever is pinned goes on with what it runs.
    const isPinned = found && upgradeOf(found.pool.spec).policy === "pinned";
    return found && !isPinned ? { workloadVersion: found.workload.version } : {};
  } catch (error) {
    log.warn("a pool could not be looked up", { poolId, error: messageOf(error) });
    return {};
  }
}
