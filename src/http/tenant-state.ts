import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { generation, type TenantId } from "../ids.ts";
import type { PageCursor } from "../vault/storage.ts";
import type { VaultDescription } from "../vault/types.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { jsonCursor, pageQuery } from "./paging.ts";
import { generationParam, generationQuery, tenantParam } from "./params.ts";

/** What is saved of a tenant: its generations, what differs between two of them, and which are kept. Reading wakes nothing. */

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

const generationFound = generationView
  .extend({
    treeHash: z.string().openapi({ description: "SHA-256 over every path with its hash: equal for equal trees." }),
    links: z.object({ export: z.string(), diff: z.string() }),
  })
  .openapi("GenerationFound");

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

const one = guarded("tenants:read", {
  method: "get",
  path: "/api/v1/tenants/{id}/generations/{n}",
  operationId: "getGeneration",
  summary: "One save",
  tags: ["tenants"],
  request: { params: generationParam },
  responses: { 200: json(generationFound, "Kept"), ...refusals },
});

const pin = guarded("tenants:manage", {
  method: "post",
  path: "/api/v1/tenants/{id}/generations/{n}/pin",
  operationId: "pinGeneration",
  summary: "Keep a save for as long as it is pinned",
  tags: ["tenants"],
  request: { params: generationParam },
  responses: { 200: json(generationView, "Pinned"), ...refusals },
});

const unpin = guarded("tenants:manage", {
  method: "delete",
  path: "/api/v1/tenants/{id}/generations/{n}/pin",
  operationId: "unpinGeneration",
  summary: "Keep a save no longer than others",
  tags: ["tenants"],
  request: { params: generationParam },
  responses: { 200: json(generationView, "Not pinned"), ...refusals },
});

const difference = z
  .object({
    path: z.string(),
    kind: z.enum(["file", "directory", "symlink"]),
    change: z.enum(["added", "removed", "content", "attributes"]),
    before: z.int().nullable().openapi({ description: "Bytes; null where it was not." }),
    after: z.int().nullable().openapi({ description: "Bytes; null where it is not." }),
  })
  .openapi("Difference");

const KINDS = ["file", "directory", "symlink"] as const;
const cursor = jsonCursor((value): value is PageCursor => {
  const { key, kind } = (value ?? {}) as { key?: unknown; kind?: unknown };
  return typeof key === "string" && KINDS.some((known) => known === kind);
});

const diff = guarded("tenants:files", {
  method: "get",
  path: "/api/v1/tenants/{id}/generations/{n}/diff",
  operationId: "diffGenerations",
  summary: "What is different in another save (`to`), the head by default",
  tags: ["tenants"],
  request: {
    params: generationParam,
    query: z.object({ to: generationQuery, limit: pageQuery.shape.limit, cursor: cursor.schema }),
  },
  responses: {
    200: json(
      z.object({ from: z.int(), to: z.int(), items: z.array(difference), nextCursor: z.string().nullable() }),
      "Differences",
    ),
    ...refusals,
  },
});

export const tenantState = resource()
  .openapi(list, async (c) => {
    const { generations } = await describedOf(c.env, c.req.valid("param").id);
    const items = generations.map(viewOf).sort((a, b) => b.generation - a.generation);
    return c.json({ items, nextCursor: null }, 200);
  })
  .openapi(one, async (c) => {
    const { id, n } = c.req.valid("param");
    const found = await kept(c.env, id, n);
    const base = `/api/v1/tenants/${encodeURIComponent(id)}`;
    const links = { export: `${base}/export?generation=${n}`, diff: `${base}/generations/${n}/diff` };
    return c.json({ ...viewOf(found), treeHash: found.treeHash, links }, 200);
  })
  .openapi(pin, async (c) => {
    const { id, n } = c.req.valid("param");
    return c.json(await pinned(c, id, n, true), 200);
  })
  .openapi(unpin, async (c) => {
    const { id, n } = c.req.valid("param");
    return c.json(await pinned(c, id, n, false), 200);
  })
  .openapi(diff, async (c) => {
    const { id, n } = c.req.valid("param");
    const { to: wanted, limit, cursor: after } = c.req.valid("query");
    const { head } = await describedOf(c.env, id);
    const to = wanted ?? head?.generation;
    if (to === undefined) throw new Problem("not_found", `Nothing is saved of the tenant ${id}.`);
    const page = { after: after ?? null, limit };
    const outcome = await vaultOf(c.env, id).diff(generation(n), generation(to), page);
    if (!outcome.ok) throw Problem.of(outcome.failure);
    const { entries, next } = outcome.value;
    return c.json({ from: n, to, items: entries, nextCursor: next && cursor.encode(next) }, 200);
  });

type Known = VaultDescription["generations"][number];

const viewOf = ({ at, treeHash: _, ...rest }: Known): z.output<typeof generationView> => ({
  ...rest,
  at: new Date(at).toISOString(),
});

/** @throws Problem `not_found` for a tenant never seen */
export async function describedOf(env: Env, id: TenantId): Promise<VaultDescription> {
  const status = await tenantOf(env, id).status(id);
  if (!status.ok) throw Problem.of(status.failure);
  return vaultOf(env, id).describe();
}

/** @throws Problem `not_found` */
async function kept(env: Env, id: TenantId, n: number): Promise<Known> {
  const { generations } = await describedOf(env, id);
  const found = generations.find((known) => known.generation === n);
  if (!found) throw new Problem("not_found", `The tenant ${id} has no generation ${n}.`);
  return found;
}

/** What is so already is no change, and leaves no record. @throws Problem `not_found` */
async function pinned(c: Context<AppEnv>, id: TenantId, n: number, wanted: boolean) {
  const before = await kept(c.env, id, n);
  if (before.pinned === wanted) return viewOf(before);
  const outcome = await tenantOf(c.env, id).pin(id, generation(n), wanted, by(c));
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return viewOf(await kept(c.env, id, n));
}
