import { z } from "@hono/zod-openapi";
import type { ProbeResult } from "../gateway/sink/probe.ts";
import { TENANT_ID, type TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { RegisteredSyncSpec } from "../registry/sync-specs.ts";
import { SYNC_PROBLEMS } from "../sync/classify.ts";
import type { TenantRun } from "../sync/history.ts";
import { syncSpecShape } from "../sync/spec.ts";
import type { SyncStatus } from "../sync/status.ts";
import type { ActionAnswer, OperationView } from "../tenant/views.ts";
import { iso, isoOrNull, time } from "./iso.ts";
import { acted, actionView } from "./operation-views.ts";

/** What sync specs look like from outside. A sink's secret never comes back. */

export const probeView = z
  .object({
    healthy: z.boolean(),
    checkedAt: time,
    problem: z.enum(SYNC_PROBLEMS).nullable(),
    detail: z.string().nullable(),
  })
  .openapi("SinkProbe");

export const syncSpecView = syncSpecShape
  .extend({ version: z.int(), createdAt: time, updatedAt: time })
  .openapi("SyncSpec");

export const syncStatusView = z
  .object({
    state: z.enum(["idle", "syncing", "error"]),
    lastSync: time.nullable(),
    pending: z.boolean().openapi({ description: "Whether a container may hold what was not synchronised." }),
    errors: z
      .array(
        z.object({
          tenantId: z.string(),
          at: time,
          code: z.string(),
          detail: z.string(),
          problem: z.enum(SYNC_PROBLEMS).optional(),
        }),
      )
      .openapi({ description: "Those since each tenant's last sync, the newest first; at most 10." }),
    bytes: z.int().openapi({
      description:
        "What is kept of these tenants' state volumes; of other mappings, what their latest syncs transferred.",
    }),
    files: z.int(),
    durationMs: z.int().nullable().openapi({ description: "Of the longest sync under way, else of the latest ones." }),
    progress: z
      .object({
        syncing: z.int(),
        tenants: z.int(),
        files: z.int(),
        bytes: z.int(),
        totalFiles: z.int(),
        totalBytes: z.int(),
      })
      .nullable()
      .openapi({ description: "Of those under way: what has gone over, of what is known to go." }),
    sink: probeView
      .nullable()
      .openapi({ description: "What the latest probe of the sink came to; null before the first." }),
    covers: z
      .object({ tenants: z.int(), of: z.int() })
      .openapi({ description: "How many of the pool's tenants answered, at most 50, and how many there are." }),
  })
  .openapi("SyncStatus");

export const tenantIdQuery = z
  .string()
  .regex(TENANT_ID, "is no tenant's id")
  .transform((id) => id as TenantId)
  .optional()
  .openapi({ type: "string" });

export const syncTriggerSchema = z
  .strictObject({
    tenantId: z
      .string()
      .regex(TENANT_ID, "is no tenant's id")
      .transform((id) => id as TenantId)
      .optional()
      .openapi({ type: "string", description: "Left out: every tenant that holds a container of the pool." }),
  })
  .openapi("SyncTrigger");

export const syncTriggerView = z
  .object({
    items: z.array(
      z.object({
        tenantId: z.string(),
        operation: z.object({ id: z.string(), location: z.string() }).optional().openapi({ description: "It runs." }),
        result: actionView.optional().openapi({ description: "It ended." }),
        error: z.object({ code: z.string(), detail: z.string() }).optional(),
      }),
    ),
    nextCursor: z.string().nullable().openapi({ description: "Send it as `?cursor` for the tenants that come next." }),
  })
  .openapi("SyncTriggered");

/** What became of one tenant's sync. */
export type Triggered =
  | { tenantId: TenantId; kind: "running"; operation: OperationView }
  | { tenantId: TenantId; kind: "ended"; answer: ActionAnswer }
  | { tenantId: TenantId; kind: "failed"; failure: Failure };

export function syncSpecOf(registered: RegisteredSyncSpec): z.output<typeof syncSpecView> {
  const { spec, version, createdAt, updatedAt, secretMasked } = registered;
  const shown = secretMasked === null || spec.sink.type !== "s3" ? {} : { secretAccessKeyMasked: secretMasked };
  const sink = { ...spec.sink, ...shown };
  return { ...spec, sink, version, createdAt: iso(createdAt), updatedAt: iso(updatedAt) };
}

export function syncStatusOf(
  status: SyncStatus,
  covers: { tenants: number; of: number },
  sink: ProbeResult | null,
): z.output<typeof syncStatusView> {
  return {
    ...status,
    sink: sink && probeOf(sink),
    lastSync: isoOrNull(status.lastSync),
    errors: status.errors.map((error) => ({ ...error, at: iso(error.at) })),
    covers,
  };
}

export function triggeredOf(item: Triggered): z.output<typeof syncTriggerView>["items"][number] {
  const { tenantId } = item;
  switch (item.kind) {
    case "running":
      return { tenantId, operation: { id: item.operation.id, location: locationOf(item.operation) } };
    case "ended":
      return { tenantId, result: acted(item.answer) };
    case "failed":
      return { tenantId, error: { code: item.failure.code, detail: item.failure.detail } };
  }
}

export const probeOf = ({ checkedAt, ...rest }: ProbeResult): z.output<typeof probeView> => ({
  ...rest,
  checkedAt: iso(checkedAt),
});

export const runView = z
  .object({
    tenantId: z.string(),
    runId: z.string(),
    why: z.enum(["claim", "release", "interval", "manual"]),
    way: z
      .enum(["down", "up", "both"])
      .openapi({ description: "Into the container, out of it, or as each mapping says." }),
    result: z.enum(["succeeded", "unchanged", "failed", "cancelled"]),
    startedAt: time,
    endedAt: time,
    durationMs: z.int(),
    files: z.int(),
    bytes: z.int(),
    deleted: z.int(),
    error: z.object({ code: z.string(), detail: z.string(), problem: z.enum(SYNC_PROBLEMS).optional() }).optional(),
  })
  .openapi("SyncRun");

export const syncCancelView = z.object({ cancelled: z.array(z.string()) }).openapi("SyncCancelled");

export function runOf({ tenantId, run }: TenantRun): z.output<typeof runView> {
  const { runId, why, way, result, startedAt, endedAt, totals, error } = run;
  const { files = 0, bytes = 0, deleted = 0 } = totals ?? {};
  const common = { tenantId, runId, why, way, result, startedAt: iso(startedAt), endedAt: iso(endedAt) };
  if (!error) return { ...common, durationMs: endedAt - startedAt, files, bytes, deleted };
  const { at: _, ...shown } = error;
  return { ...common, durationMs: endedAt - startedAt, files, bytes, deleted, error: shown };
}

export const locationOf = (operation: OperationView): string => `/api/v1/operations/${operation.id}`;
