import { z } from "@hono/zod-openapi";
import { TIERS } from "../runtime/port.ts";
import type { TenantStatus } from "../tenant/views.ts";
import type { Endpoints } from "./endpoints.ts";
import { iso, isoOrNull, time } from "./iso.ts";
import { driftView, failure, failureView, operation, operationView, stateView } from "./operation-views.ts";

/** What a tenant's status looks like from outside (contract: Shapes). Absent is absent. */

export const statusView = z
  .object({
    tenantId: z.string(),
    host: z.string(),
    assigned: z.boolean(),
    assignment: z.enum(["pending", "assigned", "releasing"]).nullable(),
    state: stateView,
    desired: z.enum(["active", "asleep", "idle", "destroyed"]),
    containerId: z.string().optional(),
    poolId: z.string().optional(),
    epoch: z.int(),
    tier: z.enum(TIERS).nullable(),
    pendingTier: z.enum(TIERS).optional().openapi({ description: "Applies at the next start." }),
    health: z.enum(["healthy", "unhealthy", "starting", "stopped"]),
    version: z.int().optional().openapi({ description: "Of the workload that the container runs." }),
    pendingRestart: z.literal(true).optional(),
    drift: driftView.optional(),
    lastExit: z
      .object({
        containerId: z.string(),
        at: time,
        cause: z.enum(["exited", "oom", "hung", "unhealthy", "lost", "start_dead", "rebooted"]),
        exitCode: z.int().nullable(),
        detail: z.string(),
      })
      .optional()
      .openapi({ description: "Of the latest container that ended by itself." }),
    restarts: z.int().openapi({ description: "Containers that took the place of one that ended by itself." }),
    oom: z
      .object({ last24h: z.int(), hint: z.string().optional() })
      .optional()
      .openapi({ description: "How often its containers ran out of memory in a day." }),
    missing: z.object({ at: time, generation: z.int() }).optional().openapi({
      description: "What was saved and is not there any more; a claim with `allowFresh` goes on without it.",
    }),
    rebuilt: z
      .object({ at: time, needs: z.array(z.enum(["config", "secrets"])) })
      .optional()
      .openapi({ description: "Its object was lost and made anew; `needs` is to be given again before it starts." }),
    stoppedReason: z
      .enum(["idle", "user", "policy", "breaker", "capacity", "failure", "deploy"])
      .optional()
      .openapi({ description: "Why it has no container." }),
    suspended: z.object({ at: time, actor: z.string(), reason: z.string().optional() }).optional(),
    operation: operationView.optional(),
    lastError: failureView.extend({ at: time }).optional(),
    lastLoss: z
      .object({ containerId: z.string(), at: time, unsavedSince: time, generation: z.int(), detail: z.string() })
      .optional(),
    generation: z.int(),
    unsavedSince: time.nullable(),
    lastActivityAt: time.nullable(),
    syncStatus: z.object({
      lastSync: time.nullable(),
      pending: z.boolean(),
      errors: z.array(z.object({ at: time, code: z.string(), detail: z.string() })),
    }),
  })
  .openapi("TenantStatus");

export function status(view: TenantStatus, host: string, endpoints: Endpoints): z.output<typeof statusView> {
  const {
    operation: running,
    lastError,
    lastLoss,
    unsavedSince,
    lastActivityAt,
    syncStatus,
    suspended,
    lastExit,
    missing,
    rebuilt,
    ...rest
  } = view;
  return {
    ...rest,
    host,
    ...(lastExit === undefined ? {} : { lastExit: { ...lastExit, at: iso(lastExit.at) } }),
    ...(missing === undefined ? {} : { missing: { ...missing, at: iso(missing.at) } }),
    ...(rebuilt === undefined ? {} : { rebuilt: { ...rebuilt, at: iso(rebuilt.at) } }),
    ...(suspended === undefined ? {} : { suspended: suspension(suspended) }),
    ...(running === undefined ? {} : { operation: operation(running, endpoints) }),
    ...(lastError === undefined ? {} : { lastError: { ...failure(lastError), at: iso(lastError.at) } }),
    ...(lastLoss === undefined
      ? {}
      : { lastLoss: { ...lastLoss, at: iso(lastLoss.at), unsavedSince: iso(lastLoss.unsavedSince) } }),
    unsavedSince: isoOrNull(unsavedSince),
    lastActivityAt: isoOrNull(lastActivityAt),
    syncStatus: {
      lastSync: isoOrNull(syncStatus.lastSync),
      pending: syncStatus.pending,
      errors: syncStatus.errors.map((error) => ({ ...error, at: iso(error.at) })),
    },
  };
}

const suspension = ({ at, actor, reason }: NonNullable<TenantStatus["suspended"]>) => ({
  at: iso(at),
  actor,
  ...(reason === undefined ? {} : { reason }),
});
