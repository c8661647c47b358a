import { z } from "@hono/zod-openapi";
import { exported, recordView } from "../audit/export.ts";
import { ownHeadOf } from "../audit/owner.ts";
import { countRecords, latestId, readAudit, readChain } from "../audit/read.ts";
import { verifyChain } from "../audit/verify.ts";
import { Problem } from "../errors/problem.ts";
import { auditFilters, encodePlace, filterOf, limitUpTo, placeCursor } from "./audit-query.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";

const record = z
  .object({
    id: z.int(),
    at: z.iso.datetime(),
    subject: z.string(),
    action: z.string(),
    actor: z.string(),
    requestId: z.string().nullable(),
    result: z.string(),
    before: z.string().nullable().openapi({ description: "SHA-256 of the subject's state before." }),
    after: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
    seq: z.int().nullable().openapi({ description: "Place in the subject's hash chain; null for what D1 owns." }),
    prev: z.string().nullable(),
    hash: z.string().nullable(),
  })
  .openapi("AuditRecord");

const list = guarded("audit:read", {
  method: "get",
  path: "/api/v1/audit",
  summary: "What was changed, by whom, and what it came to; the newest first",
  tags: ["audit"],
  request: { query: z.strictObject({ ...auditFilters, limit: limitUpTo(1_000, 50), cursor: placeCursor.optional() }) },
  responses: {
    200: json(z.object({ items: z.array(record), nextCursor: z.string().nullable() }), "The newest first"),
    ...refusals,
  },
});

const exportAll = guarded("audit:read", {
  method: "get",
  path: "/api/v1/audit/export",
  summary: "The same records as a file, the oldest first",
  tags: ["audit"],
  request: { query: z.strictObject({ ...auditFilters, format: z.enum(["ndjson", "csv"]).default("ndjson") }) },
  responses: {
    200: {
      description: "One record a line",
      content: { "application/x-ndjson": { schema: z.string() }, "text/csv": { schema: z.string() } },
    },
    ...refusals,
  },
});

const verification = z
  .object({
    subject: z.string(),
    entries: z.int().openapi({ description: "Links of its chain." }),
    unchained: z.int().openapi({ description: "Further records, of what D1 itself owns, which have no chain." }),
    valid: z.boolean(),
    brokenAt: z.int().optional().openapi({ description: "The first place that is not what it was." }),
    reason: z.enum(["altered or missing", "not the owner's", "missing at the end"]).optional(),
    head: z.object({ seq: z.int(), hash: z.string() }).nullable().openapi({ description: "The last link that holds." }),
    owner: z
      .object({ seq: z.int(), hash: z.string(), delivered: z.int() })
      .nullable()
      .openapi({ description: "What the owner of the chain says itself; null when it could not be asked." }),
  })
  .openapi("AuditVerification");

const verify = guarded("audit:read", {
  method: "get",
  path: "/api/v1/audit/verify",
  summary: "Whether a subject's hash chain holds from its first record to the last",
  tags: ["audit"],
  request: { query: z.strictObject({ subject: z.string().min(1).max(256).openapi({ example: "tenant:alice" }) }) },
  responses: { 200: json(verification, "What was found"), ...refusals },
});

const CHAIN_PAGE = 500;
const EXPORT_PAGE = 500;

export const audit = resource()
  .openapi(list, async (c) => {
    const { limit, cursor, ...query } = c.req.valid("query");
    const filter = filterOf(query);
    const before = cursor === undefined ? {} : { before: cursor };
    const rows = filter ? await readAudit(c.env.DB, { ...filter, ...before }, "newest", limit + 1) : [];
    const items = rows.slice(0, limit);
    const last = rows.length > limit ? items.at(-1) : undefined;
    return c.json({ items: items.map(recordView), nextCursor: last ? encodePlace(last.id) : null }, 200);
  })
  .openapi(exportAll, async (c) => {
    const { format, ...query } = c.req.valid("query");
    const filter = filterOf(query);
    const end = (await latestId(c.env.DB)) + 1; // what comes while it is read is not in it
    const rows = exported(format, async (after) =>
      filter ? readAudit(c.env.DB, { ...filter, after, before: end }, "oldest", EXPORT_PAGE) : [],
    );
    const type = format === "csv" ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson";
    const disposition = `attachment; filename="audit.${format}"`;
    return new Response(rows, { headers: { "content-type": type, "content-disposition": disposition } });
  })
  .openapi(verify, async (c) => {
    const { subject } = c.req.valid("query");
    const { chained: entries, unchained } = await countRecords(c.env.DB, subject);
    // Asked first: what the owner has delivered by now, D1 has when it is read.
    const owner = await ownHeadOf(c.env, subject);
    if (entries + unchained === 0 && !owner) throw new Problem("not_found", `There is no record of ${subject}.`);
    const verdict = await verifyChain((after) => readChain(c.env.DB, subject, after, CHAIN_PAGE), owner);
    return c.json({ subject, entries, unchained, ...verdict, owner }, 200);
  });
