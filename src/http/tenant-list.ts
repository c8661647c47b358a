import { z } from "@hono/zod-openapi";
import { TENANT_ID } from "../ids.ts";
import { listTenants, type TenantLine } from "../registry/tenants.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { time } from "./iso.ts";
import { jsonTime, listOf, textOf } from "./json-list.ts";
import { cursorOf, encodeCursor, pageQuery } from "./paging.ts";

/** A line of the list; it may be a second behind `GET …/status`, which asks the tenant itself. */
const lineView = z
  .object({
    tenantId: z.string(),
    state: z.string(),
    desired: z.string(),
    poolId: z.string().nullable(),
    containerId: z.string().nullable(),
    tier: z.string().nullable(),
    epoch: z.int(),
    generation: z.int(),
    unsavedSince: time.nullable(),
    lastActivityAt: time.nullable(),
    lastError: z.string().nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("TenantLine");

const STATE = /^[a-z_]{1,20}$/;
/** Of either order: an id, or the time of a change and an id. */
const PLACE = new RegExp(`^(?:\\d{1,15} )?${TENANT_ID.source.slice(1, -1)}$`);

const list = guarded("tenants:list", {
  method: "get",
  path: "/api/v1/tenants",
  operationId: "listTenants",
  summary: "List tenants, of the role tenant its own",
  tags: ["tenants"],
  request: {
    query: z.object({
      limit: pageQuery.shape.limit,
      cursor: cursorOf(PLACE),
      q: z.string().min(1).max(128).optional().openapi({ description: "A part of the id." }),
      state: z.string().regex(STATE, "is no state").optional(),
      poolId: z.string().max(63).optional(),
      sort: z.enum(["tenantId", "updatedAt"]).default("tenantId"),
    }),
  },
  responses: {
    200: json(z.object({ items: z.array(lineView), nextCursor: z.string().nullable() }), "A page"),
    ...refusals,
  },
});

export const tenantList = resource().openapi(list, async (c) => {
  const { limit, cursor, sort, q, state, poolId } = c.req.valid("query");
  const { tenantId } = c.get("principal");
  const filter = {
    ...(q === undefined ? {} : { q }),
    ...(state === undefined ? {} : { state }),
    ...(poolId === undefined ? {} : { poolId }),
    ...(tenantId === null ? {} : { tenantId }),
  };
  const page = await listTenants(c.env.DB, filter, sort, cursor ?? null, limit);
  return listOf<z.output<typeof lineView>>(textOf(page.items.map(lineOf)), encodeCursor(page.next));
});

/** A `TenantLine` of the contract as text. */
const lineOf = ({ facts, unsavedSince, lastActivityAt, createdAt, updatedAt }: TenantLine): string =>
  `${facts.slice(0, -1)},"unsavedSince":${jsonTime(unsavedSince)},"lastActivityAt":${jsonTime(lastActivityAt)},"createdAt":${jsonTime(createdAt)},"updatedAt":${jsonTime(updatedAt)}}`;
