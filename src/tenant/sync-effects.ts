import { configOf } from "../config.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { instanceOf } from "../durable/stubs.ts";
import type { Epoch, PoolId, TenantId } from "../ids.ts";
import type { SpecRan, SpecRun } from "../instance/types.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { type PoolSpec, specsOfPool } from "../registry/sync-cache.ts";
import type { Step, TenantEvent } from "./events.ts";
import type { SpecBrief } from "./syncs.ts";

/** What an RPC may take beyond the deadline that the callee keeps itself: stopping the workload, and listing. */
const GRACE_MS = 30_000;

type SyncStep = Extract<Step, { do: "sync" }>;

/** The specs of a pool, as far as a tenant decides by them; nothing when the registry does not answer. */
export async function briefsIfKnown(env: Env, poolId: PoolId | null): Promise<{ specs?: SpecBrief[] }> {
  if (poolId === null) return { specs: [] };
  try {
    return { specs: (await specsOfPool(env.DB, poolId, Date.now())).map(briefOf) };
  } catch (error) {
    log.warn("sync specs could not be looked up", { poolId, error: messageOf(error) });
    return {};
  }
}

const briefOf = ({ spec, version, isState }: PoolSpec): SpecBrief => ({
  id: spec.id,
  version,
  kind: isState ? "state" : spec.sink.type === "s3" ? "s3" : "vault",
  intervalMs: spec.policy.intervalMs ?? null,
  onRelease: spec.policy.onRelease,
  manual: spec.policy.allowManualTrigger,
  outward: spec.mappings.some(({ direction }) => direction !== "download"),
  inward: spec.mappings.some(({ direction }) => direction !== "upload"),
});

/** What a claim fetches before the tenant is served. */
export async function claimRuns(
  env: Env,
  claim: { tenantId: TenantId; poolId: PoolId; epoch: Epoch; operationId: string },
  now: number,
): Promise<SpecRun[]> {
  const { tenantId, poolId, epoch, operationId } = claim;
  const specs = await specsOfPool(env.DB, poolId, now);
  return specs
    .filter(({ spec, isState }) => spec.policy.onClaim && !isState && briefOf({ spec, version: 0, isState }).inward)
    .map(({ spec, version }) => ({
      epoch,
      tenantId,
      runId: `${operationId}.${epoch}.${spec.id}`,
      spec,
      version,
      why: "claim" as const,
      way: "down" as const,
      startedAt: now,
      timeoutMs: configOf(env).deadlines.restoreMs,
    }));
}

/** One sync, as its spec is now. Nothing here throws: whatever went wrong is its outcome. */
export async function performSync(env: Env, tenantId: TenantId, step: SyncStep): Promise<TenantEvent> {
  const { runId, spec: brief } = step;
  const { syncMs, saveMs } = configOf(env).deadlines;
  const isState = brief.kind === "state";
  try {
    const timeoutMs = isState ? saveMs : syncMs;
    const call = isState ? save(env, step, timeoutMs) : run(env, tenantId, step, timeoutMs);
    return {
      type: "synced",
      runId,
      specId: brief.id,
      isState,
      outcome: await within(timeoutMs + GRACE_MS, "sync", call),
    };
  } catch (error) {
    const outcome = failed("operation_interrupted", `sync: ${messageOf(error)}`);
    return { type: "synced", runId, specId: brief.id, isState, outcome };
  }
}

async function run(env: Env, tenantId: TenantId, step: SyncStep, timeoutMs: number): Promise<Outcome<SpecRan>> {
  const found = (await specsOfPool(env.DB, step.poolId, Date.now())).find(({ spec }) => spec.id === step.spec.id);
  if (!found) return failed("not_found", `The sync spec ${step.spec.id} is not there any more.`);
  const { epoch, runId, why, way, startedAt, unless, force } = step;
  return instanceOf(env, step.containerId).syncSpec({
    epoch,
    tenantId,
    runId,
    spec: found.spec,
    version: found.version,
    why,
    way,
    startedAt,
    timeoutMs,
    ...(unless === undefined ? {} : { unless }),
    ...(force ? { force } : {}),
  });
}

async function save(env: Env, step: SyncStep, timeoutMs: number): Promise<Outcome<SpecRan>> {
  const request = {
    epoch: step.epoch,
    saveId: step.runId,
    force: false,
    timeoutMs,
    live: true as const,
    skipUnchanged: true as const,
  };
  const saved = await instanceOf(env, step.containerId).save(request);
  if (!saved.ok) return saved;
  const { files = 0, bytes = 0, unchanged, generation } = saved.value ?? { unchanged: true };
  return done({
    files,
    bytes,
    deleted: 0,
    unchanged: unchanged === true,
    fingerprint: null,
    ...(generation ? { generation } : {}),
  });
}
