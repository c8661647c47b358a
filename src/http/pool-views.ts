import { z } from "@hono/zod-openapi";
import type { DeletionView, PoolDescription } from "../pool/types.ts";
import type { RegisteredPool } from "../registry/store.ts";
import { upgradeOf } from "../registry/upgrade.ts";
import { TIERS } from "../runtime/port.ts";
import { iso, isoOrNull, time } from "./iso.ts";

/** What pools look like from outside (contract: Pool). */

const failures = z.array(z.object({ tenantId: z.string(), code: z.string(), detail: z.string() }));

const upgradeView = z.object({
  policy: z.enum(["onRestart", "rolling", "pinned"]),
  concurrency: z.int(),
  maxFailures: z.int(),
  healthyMs: z.int(),
});
const rolloutState = z.enum(["idle", "rolling", "halted", "done"]).openapi({
  description: "idle: no tenant has to be brought to another version, or the policy is not rolling.",
});

export const rolloutBody = z
  .object({
    poolId: z.string(),
    ...upgradeView.shape,
    state: rolloutState,
    to: z.int().openapi({ description: "The version that is started from now on." }),
    outdated: z.int().openapi({ description: "Tenants whose containers run an earlier version." }),
    moving: z.array(z.object({ tenantId: z.string(), since: time, step: z.enum(["asked", "restarting", "watched"]) })),
    upgraded: z.int(),
    failed: z.array(failures.element.extend({ at: time })),
    halted: z
      .object({ at: time, actor: z.string(), reason: z.string() })
      .nullable()
      .openapi({ description: "By whom, or by itself (`system`) after failures." }),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
  })
  .openapi("PoolRollout");

export const poolView = z
  .object({
    id: z.string(),
    workloadId: z.string(),
    workloadVersion: z
      .int()
      .openapi({ description: "What is started from now on; containers may run an earlier one." }),
    minSize: z.int(),
    maxSize: z.int(),
    target: z.int().openapi({
      description: "Slots kept warm now: what was asked for with `scale`, else what the schedule says, else minSize.",
    }),
    scheduledMinSize: z
      .int()
      .nullable()
      .openapi({ description: "Of the schedule's windows that are open now; null while none is." }),
    schedule: z.array(z.object({ cron: z.string(), durationMs: z.int(), minSize: z.int() })).optional(),
    fallbackPoolId: z.string().optional(),
    idleTimeoutMs: z.int(),
    tier: z.enum(TIERS),
    network: z.object({ name: z.enum(["none", "restricted", "open"]) }).optional(),
    paused: z.boolean().openapi({ description: "No refill and no shrinking; claims go on." }),
    size: z.int().openapi({ description: "Warm, starting and claimed." }),
    warm: z.int(),
    claimed: z.int(),
    starting: z.int(),
    unhealthy: z.int(),
    draining: z.int(),
    abandoned: z.int().openapi({
      description: "Containers whose end was asked for fifty times without a confirmation; they count as draining.",
    }),
    waiting: z.int().openapi({ description: "Claims that wait for room." }),
    status: z.enum(["healthy", "degraded", "error", "draining"]).openapi({
      description:
        "healthy: warm slots as many as the target. error: the breaker is open, or the pool does not answer.",
    }),
    claims: z.int(),
    hits: z.int().openapi({ description: "Claims that found a warm slot." }),
    misses: z.int(),
    hitRate: z.number().nullable().openapi({ description: "Null before the first claim." }),
    secondsSaved: z.number().openapi({ description: "What claims of warm slots did not wait for." }),
    recommendedSize: z
      .object({ warm: z.int(), because: z.string() })
      .openapi({ description: "From the claims that come and what starts take." }),
    monthlyCostUsd: z.number().openapi({
      description: "Of the target, at list prices for memory and disk; CPU is billed as it is used.",
    }),
    breaker: z.object({
      state: z.enum(["closed", "open", "half-open"]),
      reason: z.enum(["failures", "permanent"]).nullable().openapi({
        description: "Why it is open: starts that failed, or one fault that trying again does not mend.",
      }),
      failures: z.int().openapi({ description: "Starts that failed one after the other." }),
      openedAt: time.nullable(),
      retryAt: time.nullable().openapi({ description: "From then on one start is tried." }),
      lastError: z.string().nullable(),
    }),
    lastError: z.string().nullable(),
    upgrade: upgradeView,
    rollout: z.object({
      state: rolloutState,
      outdated: z.int().openapi({ description: "Tenants whose containers run an earlier version." }),
    }),
    deletion: z
      .object({
        operationId: z.string(),
        since: time,
        failed: failures,
      })
      .optional()
      .openapi({ description: "While the pool is being deleted; `failed`: whose release failed." }),
    version: z.int(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Pool");
export type PoolView = z.output<typeof poolView>;

export const deletionView = z
  .object({
    id: z.string(),
    state: z.enum(["draining", "deleted"]),
    operationId: z.string(),
    left: z.int().openapi({ description: "Containers that are not gone yet." }),
    failed: failures,
  })
  .openapi("PoolDeletion");

export const poolOperationView = z
  .object({
    id: z.string(),
    poolId: z.string(),
    kind: z.literal("drain"),
    status: z
      .enum(["running", "succeeded", "failed"])
      .openapi({ description: "failed: tenants could not be released." }),
    step: z.string(),
    startedAt: time,
    endedAt: time.optional(),
    left: z.int(),
    error: z
      .object({ code: z.literal("in_use"), detail: z.string(), failed: failures })
      .optional()
      .openapi({ description: "The tenants that keep it from ending." }),
  })
  .openapi("PoolOperation");

export function viewOf(registered: RegisteredPool, description: PoolDescription): PoolView {
  const { breaker, deletion, rollout, schedule, ...rest } = description;
  const { state, outdated, policy, concurrency, maxFailures, healthyMs } = rollout;
  return {
    ...rest,
    upgrade: { policy, concurrency, maxFailures, healthyMs },
    rollout: { state, outdated },
    ...(schedule ? { schedule: [...schedule] } : {}),
    breaker: { ...breaker, openedAt: isoOrNull(breaker.openedAt), retryAt: isoOrNull(breaker.retryAt) },
    ...(deletion ? { deletion: { ...deletion, since: iso(deletion.since) } } : {}),
    version: registered.version,
    createdAt: iso(registered.createdAt),
    updatedAt: iso(registered.updatedAt),
  };
}

/** A pool of which nothing is known but what is registered. */
export function unknownView(registered: RegisteredPool, why: string): PoolView {
  const { id, workloadId, minSize, maxSize, idleTimeoutMs, tier = "lite", network } = registered.spec;
  const { fallbackPoolId, schedule } = registered.spec;
  return {
    ...{ id, workloadId, workloadVersion: 0, minSize, maxSize, target: minSize, idleTimeoutMs, tier },
    ...(network ? { network: { name: network.name } } : {}),
    ...(fallbackPoolId ? { fallbackPoolId } : {}),
    ...(schedule ? { schedule } : {}),
    ...{ scheduledMinSize: null, abandoned: 0, waiting: 0 },
    ...{ paused: false, size: 0, warm: 0, claimed: 0, starting: 0, unhealthy: 0, draining: 0, status: "error" },
    ...{ claims: 0, hits: 0, misses: 0, hitRate: null, secondsSaved: 0, monthlyCostUsd: 0 },
    recommendedSize: { warm: 0, because: why },
    breaker: { state: "closed", reason: null, failures: 0, openedAt: null, retryAt: null, lastError: null },
    lastError: why,
    upgrade: upgradeOf(registered.spec),
    rollout: { state: "idle", outdated: 0 },
    version: registered.version,
    createdAt: iso(registered.createdAt),
    updatedAt: iso(registered.updatedAt),
  };
}

export function rolloutOf({ id, rollout }: PoolDescription): z.output<typeof rolloutBody> {
  const { moving, failed, halted, startedAt, endedAt, ...rest } = rollout;
  return {
    poolId: id,
    ...rest,
    moving: moving.map((one) => ({ ...one, since: iso(one.since) })),
    failed: failed.map((one) => ({ ...one, at: iso(one.at) })),
    halted: halted && { ...halted, at: iso(halted.at) },
    startedAt: isoOrNull(startedAt),
    endedAt: isoOrNull(endedAt),
  };
}

export const deletionOf = (view: DeletionView): z.output<typeof deletionView> => ({
  id: view.poolId,
  state: view.status === "succeeded" ? "deleted" : "draining",
  operationId: view.operationId,
  left: view.left,
  failed: view.failed,
});

export const poolOperation = (view: DeletionView): z.output<typeof poolOperationView> => ({
  id: view.operationId,
  poolId: view.poolId,
  kind: "drain",
  status: view.status,
  step: view.status === "running" ? "draining" : view.status,
  startedAt: iso(view.startedAt),
  ...(view.endedAt === null ? {} : { endedAt: iso(view.endedAt) }),
  left: view.left,
  ...(view.status === "failed" ? { error: stuck(view) } : {}),
});

/** What keeps a deletion from ending, as a problem says it. */
export const stuck = ({ poolId, failed }: DeletionView) => ({
  code: "in_use" as const,
  detail: `Pool ${poolId} is being deleted, but ${failed.length} tenants could not be released.`,
  usedBy: failed.map(({ tenantId }) => `tenant:${tenantId}`),
  failed,
});
