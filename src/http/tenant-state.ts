import { z } from "@hono/zod-openapi";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { exportBundle } from "../gateway/storage/bundle-out.ts";
import type { TenantId } from "../ids.ts";
import { generation } from "../ids.ts";
import type { VaultStorage } from "../vault/storage.ts";
import type { VaultApi } from "../vault/types.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { tenantParam } from "./params.ts";

/** What is saved of a tenant. Reading wakes nothing. */

const generationView = z
  .object({
    generation: z.int(),
    status: z.enum(["head", "kept", "quarantined", "detached"]),
    at: z.iso.datetime(),
    files: z.int(),
    bytes: z.int(),
    changed: z.int(),
    pinned: z.boolean(),
    epoch: z.int(),
  })
  .openapi("Generation");

const list = guarded("tenants:read", {
  method: "get",
  path: "/api/v1/tenants/{id}/generations",
  operationId: "listGenerations",
  summary: "The saves that are kept, the newest first",
  tags: ["tenants"],
  request: { params: tenantParam },
  responses: {
    200: json(z.object({ items: z.array(generationView), nextCursor: z.null() }), "Generations"),
    ...refusals,
  },
});

const exported = guarded("tenants:files", {
  method: "get",
  path: "/api/v1/tenants/{id}/export",
  operationId: "exportTenant",
  summary: "One saved generation as a tar, the head by default: `tree/…`, then `sums` and `parts` to verify it by",
  tags: ["tenants"],
  request: {
    params: tenantParam,
    query: z.object({
      generation: z
        .string()
        .regex(/^[1-9]\d{0,14}$/, "must be the number of a generation")
        .transform(Number)
        .optional()
        .openapi({ type: "integer", minimum: 1 }),
    }),
  },
  responses: {
    200: {
      description: "The tar",
      content: { "application/x-tar": { schema: z.string().openapi({ format: "binary" }) } },
    },
    ...refusals,
  },
});

export const tenantState = resource()
  .openapi(list, async (c) => {
    const { generations } = await vaultOfKnown(c.env, c.req.valid("param").id);
    const items = generations
      .map(({ at, ...rest }) => ({ ...rest, at: new Date(at).toISOString(), pinned: false }))
      .sort((a, b) => b.generation - a.generation);
    return c.json({ items, nextCursor: null }, 200);
  })
  .openapi(exported, async (c) => {
    const { id } = c.req.valid("param");
    const { head, generations } = await vaultOfKnown(c.env, id);
    const wanted = c.req.valid("query").generation ?? head?.generation;
    if (wanted === undefined) throw new Problem("not_found", `Nothing is saved of the tenant ${id}.`);
    if (!generations.some((known) => known.generation === wanted)) {
      throw new Problem("not_found", `The tenant ${id} has no generation ${wanted}.`);
    }
    const vault = vaultOf(c.env, id) as unknown as VaultStorage;
    const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
    const response = await exportBundle(vault, c.env.BUCKET, generation(wanted), background);
    const name = `${encodeURIComponent(id)}-${wanted}.tar`;
    response.headers.set("content-disposition", `attachment; filename="${name}"`);
    return response as never;
  });

/** @throws Problem `not_found` for a tenant never seen */
async function vaultOfKnown(env: Env, id: TenantId): Promise<Awaited<ReturnType<VaultApi["describe"]>>> {
  const status = await tenantOf(env, id).status(id);
  if (!status.ok) throw Problem.of(status.failure);
  return vaultOf(env, id).describe();
}
