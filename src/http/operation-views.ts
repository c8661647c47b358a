import { z } from "@hono/zod-openapi";
import type { Failure } from "../outcome.ts";
import type { PartView } from "../tenant/destruction.ts";
import type { ActionAnswer, ClaimAnswer, OperationView, ReleaseAnswer } from "../tenant/views.ts";
import type { OperationKind, TenantState } from "../tenant/vocabulary.ts";
import type { Endpoints } from "./endpoints.ts";
import { iso, time } from "./iso.ts";

/** What an operation of a tenant, and what it comes to, look like from outside (contract: Shapes). Absent is absent. */

const generationView = z.object({ generation: z.int(), files: z.int(), bytes: z.int() });
export const stateView = z.string().openapi({ description: "contract: States", example: "active" });

export const driftView = z
  .array(z.enum(["image", "config", "secrets", "tier"]))
  .openapi({ description: "In what the next container would differ from the one that runs." });

export const failureView = z.looseObject({ code: z.string(), detail: z.string(), retryAfterMs: z.int().optional() });

export const claimView = z
  .object({
    tenantId: z.string(),
    containerId: z.string(),
    poolId: z.string(),
    state: stateView,
    launch: z.enum(["existing", "warm", "cold"]),
    reason: z.string().optional().openapi({ description: "Why it was not warm." }),
    epoch: z.int(),
    endpoints: z.object({ http: z.url(), ws: z.url() }),
    restored: generationView.nullable(),
    pendingRestart: z.literal(true).optional(),
    drift: driftView.optional(),
    timings: z.record(z.string(), z.number()),
  })
  .openapi("Claim");

/** What a save came to. */
const savedView = generationView.extend({
  changed: z.int(),
  unchanged: z.boolean().optional().openapi({ description: "It is the generation that was there before." }),
  excluded: z
    .object({ files: z.int(), bytes: z.int() })
    .optional()
    .openapi({ description: "What the workload's `exclude` left out." }),
});

/** The end of whatever a tenant was asked to do; which of the fields there are depends on what that was. */
export const actionView = z
  .object({
    tenantId: z.string(),
    state: stateView,
    containerId: z.string().optional(),
    poolId: z.string().optional(),
    launch: z.enum(["existing", "warm", "cold"]).optional(),
    epoch: z.int().optional(),
    restored: generationView.nullable().optional(),
    saved: savedView.nullable().optional(),
    imported: generationView.extend({ changed: z.int() }).optional(),
    generation: z.int().optional().openapi({ description: "The head, where a restore or an import made one." }),
    erased: z
      .object({ deleted: z.int(), listed: z.literal(0), at: time })
      .optional()
      .openapi({ description: "Objects that were deleted, and when a listing found none left." }),
    synced: z
      .array(z.object({ specId: z.string(), files: z.int(), bytes: z.int(), deleted: z.int() }))
      .optional()
      .openapi({ description: "What sync specs transferred, and deleted on the other side." }),
    notSaved: failureView.optional().openapi({
      description: "Why nothing was saved, of what goes on all the same: a destruction, or what was forced.",
    }),
    timings: z.record(z.string(), z.number()).openapi({ description: "Milliseconds by step." }),
  })
  .openapi("Action");

export const releaseView = z
  .object({
    tenantId: z.string(),
    state: stateView,
    saved: savedView.nullable(),
    timings: z.record(z.string(), z.number()).openapi({ description: "Milliseconds by step." }),
  })
  .openapi("Release");

export const operationView = z
  .object({
    id: z.string(),
    tenantId: z.string(),
    kind: z.enum([
      "claim",
      "release",
      "sleep",
      "wake",
      "recover",
      "restart",
      "sync",
      "restore",
      "import",
      "suspend",
      "destroy",
    ]),
    status: z.enum(["running", "succeeded", "failed", "cancelled"]),
    step: z.string(),
    startedAt: time,
    deadlineAt: time,
    attempts: z.int(),
    retryAt: time.optional().openapi({ description: "Nothing is started before." }),
    parts: z
      .array(
        z.object({
          part: z.enum(["container", "specs", "state", "domains", "keys", "pool"]),
          done: z.boolean(),
          attempts: z.int(),
          lastError: failureView.extend({ at: time }).optional(),
        }),
      )
      .optional()
      .openapi({ description: "What a destruction deletes, and whether each is confirmed gone." }),
    endedAt: time.optional(),
    result: z.union([claimView, actionView, releaseView]).optional(),
    error: failureView.optional(),
  })
  .openapi("Operation");

export const pendingView = z
  .object({
    tenantId: z.string(),
    state: stateView,
    endpoints: z.object({ http: z.url(), ws: z.url() }),
    operation: operationView,
  })
  .openapi("Pending");

export const claimed = (answer: ClaimAnswer, endpoints: Endpoints): z.output<typeof claimView> => ({
  ...answer,
  endpoints,
});

export function acted(answer: ActionAnswer | ClaimAnswer | ReleaseAnswer): z.output<typeof actionView> {
  const { reason: _, pendingRestart: __, drift: ___, erased, notSaved, ...rest } = answer as ClaimAnswer & ActionAnswer;
  const shown = notSaved ? { ...rest, notSaved: failure(notSaved) } : rest;
  return erased ? { ...shown, erased: { ...erased, at: iso(erased.at) } } : shown;
}

export const released = (answer: ReleaseAnswer): z.output<typeof releaseView> => ({ ...answer });

export function operation(view: OperationView, endpoints: Endpoints): z.output<typeof operationView> {
  const { startedAt, deadlineAt, endedAt, retryAt, parts, result, error, ...rest } = view;
  return {
    ...rest,
    ...(retryAt === undefined ? {} : { retryAt: iso(retryAt) }),
    ...(parts === undefined ? {} : { parts: parts.map(partOf) }),
    startedAt: iso(startedAt),
    deadlineAt: iso(deadlineAt),
    ...(endedAt === undefined ? {} : { endedAt: iso(endedAt) }),
    ...(result === undefined
      ? {}
      : {
          result:
            "launch" in result ? claimed(result, endpoints) : "epoch" in result ? acted(result) : released(result),
        }),
    ...(error === undefined ? {} : { error: failure(error) }),
  };
}

const partOf = ({ lastError, ...rest }: PartView) => ({
  ...rest,
  ...(lastError ? { lastError: { ...failure(lastError), at: iso(lastError.at) } } : {}),
});

const STATE_DURING: Record<OperationKind, TenantState | null> = {
  claim: "claiming",
  release: "releasing",
  sleep: "sleeping",
  wake: "waking",
  recover: "recovering",
  restart: "saving",
  sync: "active",
  /** Where the tenant is, which such an operation does not always change. */
  restore: null,
  import: null,
  suspend: "sleeping",
  destroy: "destroying",
};

export const pending = (view: OperationView, endpoints: Endpoints): z.output<typeof pendingView> => ({
  tenantId: view.tenantId,
  state: STATE_DURING[view.kind] ?? view.step,
  endpoints,
  operation: operation(view, endpoints),
});

export const failure = ({ code, detail, retryAfterMs, extra }: Failure) => ({
  ...extra,
  code,
  detail,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
