import { z } from "@hono/zod-openapi";
import { actionsOf, eventOf } from "../audit/events.ts";
import { type AuditFilter, latestId, readAudit } from "../audit/read.ts";
import type { Principal } from "../auth/principal.ts";
import type { TenantId } from "../ids.ts";
import { limitUpTo, place, poolIdQuery, tenantIdQuery } from "./audit-query.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded, requireOwn } from "./guarded.ts";

const event = z
  .object({
    id: z.int().openapi({ description: "Grows with every event; `since` takes it." }),
    version: z.literal(1),
    type: z.string().openapi({ example: "container.claimed" }),
    payload: z.record(z.string(), z.unknown()),
    timestamp: z.iso.datetime(),
  })
  .openapi("Event");

const list = guarded("events:read", {
  method: "get",
  path: "/api/v1/events",
  summary: "What happened, in its order: the latest, or everything since an event",
  tags: ["events"],
  request: {
    query: z.strictObject({
      tenantId: tenantIdQuery.optional(),
      poolId: poolIdQuery.optional(),
      type: z.string().min(1).max(128).optional(),
      since: place.optional().openapi({ description: "The id of the last event that is known." }),
      limit: limitUpTo(1_000, 100),
    }),
  },
  responses: {
    200: json(
      z.object({
        items: z.array(event),
        nextCursor: z.string().nullable().openapi({ description: "`since` of the next page; null: this is the end." }),
        lastId: z.int().openapi({ description: "`since` of whoever asks again later." }),
      }),
      "In their order",
    ),
    ...refusals,
  },
});

export const events = resource().openapi(list, async (c) => {
  const { tenantId, poolId, type, since, limit } = c.req.valid("query");
  const reader = c.get("principal");
  const filter: AuditFilter = {
    ...subjectFor(reader, tenantId),
    ...(poolId === undefined ? {} : { poolId }),
    ...(type === undefined ? {} : actionsOf(type)),
  };
  // Read first: an event that comes meanwhile is told the next time.
  const latest = await latestId(c.env.DB);
  const upTo = { before: latest + 1 };
  const rows =
    since === undefined
      ? (await readAudit(c.env.DB, { ...filter, ...upTo }, "newest", limit)).reverse()
      : await readAudit(c.env.DB, { ...filter, ...upTo, after: since }, "oldest", limit + 1);
  const page = rows.slice(0, limit);
  const more = rows.length > limit ? page.at(-1) : undefined;
  const items = page.map((row) => eventOf(row, reader));
  return c.json(
    { items, nextCursor: more ? String(more.id) : null, lastId: more?.id ?? Math.max(latest, since ?? 0) },
    200,
  );
});

/** A tenant reads its own events, and finds nobody else's. */
function subjectFor(reader: Principal, asked: TenantId | undefined): Pick<AuditFilter, "subject"> {
  requireOwn(reader, asked ?? null);
  const tenantId = asked ?? reader.tenantId;
  return tenantId === null ? {} : { subject: `tenant:${tenantId}` };
}
