import { z } from "@hono/zod-openapi";
import { TENANT_ID, type TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { RegisteredSyncSpec } from "../registry/sync-specs.ts";
import { syncSpecShape } from "../sync/spec.ts";
import type { SyncStatus } from "../sync/status.ts";
import type { ActionAnswer, OperationView } from "../tenant/types.ts";
import { acted, actionView } from "./views.ts";

/** What sync specs look like from outside. Times are ISO 8601; a sink's secret never comes back. */

const time = z.iso.datetime();

export const syncSpecView = syncSpecShape
  .extend({ version: z.int(), createdAt: time, updatedAt: time })
  .openapi("SyncSpec");

export const syncStatusView = z
  .object({
    state: z.enum(["idle", "syncing", "error"]),
    lastSync: time.nullable(),
    pending: z.boolean().openapi({ description: "Whether a container may hold what was not synchronised." }),
    errors: z
      .array(z.object({ tenantId: z.string(), at: time, code: z.string(), detail: z.string() }))
      .openapi({ description: "Those since each tenant's last sync, the newest first; at most 10." }),
    bytes: z.int().openapi({ description: "What is kept of these tenants." }),
    files: z.int(),
    durationMs: z.int().nullable().openapi({ description: "Of the longest sync that is under way." }),
    progress: z.object({ syncing: z.int(), tenants: z.int() }).nullable(),
    covers: z
      .object({ tenants: z.int(), of: z.int() })
      .openapi({ description: "How many of the pool's tenants answered, at most 50, and how many there are." }),
  })
  .openapi("SyncStatus");

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

const iso = (ms: number): string => new Date(ms).toISOString();

export function syncSpecOf(registered: RegisteredSyncSpec): z.output<typeof syncSpecView> {
  const { spec, version, createdAt, updatedAt, secretMasked } = registered;
  const shown = secretMasked === null || spec.sink.type !== "s3" ? {} : { secretAccessKeyMasked: secretMasked };
  const sink = { ...spec.sink, ...shown };
  return { ...spec, sink, version, createdAt: iso(createdAt), updatedAt: iso(updatedAt) };
}

export function syncStatusOf(
  status: SyncStatus,
  covers: { tenants: number; of: number },
): z.output<typeof syncStatusView> {
  return {
    ...status,
    lastSync: status.lastSync === null ? null : iso(status.lastSync),
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

export const locationOf = (operation: OperationView): string => `/api/v1/operations/${operation.id}`;
