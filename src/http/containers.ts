import { z } from "@hono/zod-openapi";
import { instanceOf, poolOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { type PoolId, parseContainerId, SLUG, TENANT_ID } from "../ids.ts";
import { findPool } from "../registry/store.ts";
import { listContainers } from "../stats/containers.ts";
import { noContainer, poolIdOf } from "./container-known.ts";
import { CONTAINER_STATES, containerPage, containerView, stateFilter, viewOfSlot } from "./container-views.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { ownIdParam, slugParam } from "./params.ts";
import { nothing } from "./registered.ts";

const MAX_PAGE = 1_000;
const longPage = pageQuery.extend({
  limit: z
    .string()
    .regex(/^\d{1,5}$/, "must be a number")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= MAX_PAGE, `must be from 1 to ${MAX_PAGE}`)
    .optional()
    .transform((limit) => limit ?? 50)
    .openapi({ type: "integer", minimum: 1, maximum: MAX_PAGE, default: 50 }),
});

const list = guarded("containers:read", {
  method: "get",
  path: "/api/v1/containers",
  summary: "List containers of all pools, as of about a second ago",
  tags: ["containers"],
  request: {
    query: longPage.extend({
      poolId: z.string().regex(SLUG, "is no pool's id").optional(),
      state: stateFilter,
      tenantId: z.string().regex(TENANT_ID, "is no tenant's id").optional(),
    }),
  },
  responses: { 200: json(containerPage, "By id"), ...refusals },
});

const ofPool = guarded("containers:read", {
  method: "get",
  path: "/api/v1/pools/{id}/containers",
  summary: "The containers of a pool, as they are now",
  tags: ["containers"],
  request: { params: slugParam, query: longPage.extend({ state: stateFilter }) },
  responses: { 200: json(containerPage, "By id"), ...refusals },
});

const get = guarded("containers:read", {
  method: "get",
  path: "/api/v1/containers/{id}",
  summary: "One container",
  tags: ["containers"],
  request: { params: ownIdParam },
  responses: { 200: json(containerView, "Found"), ...refusals },
});

const removed = z.object({ id: z.string(), state: z.enum(CONTAINER_STATES) }).openapi("ContainerRemoval");

const remove = guarded("containers:remove", {
  method: "delete",
  path: "/api/v1/containers/{id}",
  summary: "End a container; its pool replaces it",
  tags: ["containers"],
  request: {
    params: ownIdParam,
    query: z.object({
      force: z
        .enum(["true", "false"])
        .optional()
        .openapi({ description: "Also one that serves a tenant, without saving what it holds." }),
    }),
  },
  responses: { 200: json(removed, "It is gone"), 202: json(removed, "It is being ended"), ...refusals },
});

export const containers = resource()
  .openapi(list, async (c) => {
    const { limit, cursor, ...filter } = c.req.valid("query");
    const page = await listContainers(c.env.DB, filter, cursor ?? "", limit);
    const items = page.items.map((slot) => viewOfSlot(c.env, slot));
    return c.json({ items, nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(ofPool, async (c) => {
    const { id } = c.req.valid("param");
    const { limit, cursor = "", state } = c.req.valid("query");
    if (!(await findPool(c.env.DB, id))) throw nothing("pool", id);
    const slots = await poolOf(c.env, id as PoolId).containers();
    if (!slots.ok) throw Problem.of(slots.failure);
    const wanted = slots.value
      .filter((slot) => slot.containerId > cursor && (state === undefined || slot.state === state))
      .sort((a, b) => (a.containerId < b.containerId ? -1 : 1));
    const items = wanted.slice(0, limit).map((slot) => viewOfSlot(c.env, slot));
    const next = wanted.length > limit ? (items.at(-1)?.id ?? null) : null;
    return c.json({ items, nextCursor: encodeCursor(next) }, 200);
  })
  .openapi(get, async (c) => {
    const { id } = c.req.valid("param");
    const containerId = parseContainerId(id);
    if (!containerId) throw noContainer(id);
    const outcome = await instanceOf(c.env, containerId).describe();
    if (!outcome.ok) throw Problem.of(outcome.failure);
    return c.json(outcome.value, 200);
  })
  .openapi(remove, async (c) => {
    const { containerId, poolId } = await poolIdOf(c.env, c.req.valid("param").id);
    const claimed = c.req.valid("query").force === "true" ? "give-up" : "refuse";
    const removal = await poolOf(c.env, poolId).remove(containerId, claimed, by(c));
    if (!removal.ok) throw Problem.of(removal.failure);
    if (removal.value.gone) return c.json({ id: containerId, state: "gone" as const }, 200);
    return c.json({ id: containerId, state: "draining" as const }, 202);
  });
