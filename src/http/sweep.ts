import { z } from "@hono/zod-openapi";
import { record } from "../audit/d1.ts";
import { audited } from "../audit/entry.ts";
import { tellAlert } from "../sweep/alert.ts";
import { first, isPlace, sweepPage } from "../sweep/sweep.ts";
import { isOrphan, KINDS } from "../sweep/types.ts";
import { limitUpTo } from "./audit-query.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { jsonCursor } from "./paging.ts";

const cursors = jsonCursor(isPlace);

const finding = z.object({
  kind: z.enum(KINDS),
  id: z.string().openapi({ description: "A tenant, a container, a prefix, a host, a key." }),
  detail: z.string(),
});

const sweep = guarded("platform:manage", {
  method: "post",
  path: "/api/v1/admin/sweep",
  operationId: "sweep",
  summary: "Look for what is nobody's and what has stopped, and remove it or set it going again",
  description:
    "Runs every day by itself. Call with each answer's `cursor`, and the same body, until `done`. Nothing is removed by what one list says: its owner, and whoever should have it, are asked, and nothing young is touched.",
  tags: ["platform"],
  middleware: jsonBody("optional"),
  request: {
    query: z.strictObject({
      limit: limitUpTo(500, 100),
      cursor: cursors.schema.optional().openapi({ type: "string" }),
    }),
    body: {
      content: {
        "application/json": {
          schema: z
            .strictObject({
              dryRun: z.boolean().default(false).openapi({ description: "Only say what would be done." }),
              what: z
                .array(z.enum(KINDS))
                .min(1)
                .max(KINDS.length)
                .optional()
                .openapi({ description: "Default: everything." }),
            })
            .default({ dryRun: false })
            .openapi("SweepRequest"),
        },
      },
    },
  },
  responses: {
    200: json(
      z
        .object({
          dryRun: z.boolean(),
          checked: z.int(),
          found: z.array(finding),
          removed: z.array(finding).openapi({ description: "Removed, or set going again." }),
          skipped: z
            .array(finding.extend({ reason: z.string() }))
            .openapi({ description: "Left alone: something speaks against it." }),
          failed: z
            .array(z.object({ id: z.string(), detail: z.string() }))
            .openapi({ description: "What could not be looked at; it stays as it was." }),
          cursor: z.string().nullable().openapi({ description: "Where the next call goes on." }),
          done: z.boolean(),
        })
        .openapi("Sweep"),
      "This page is done",
    ),
    ...refusals,
  },
});

export const sweeps = resource().openapi(sweep, async (c) => {
  const { limit, cursor } = c.req.valid("query");
  const { dryRun, what = KINDS } = c.req.valid("json");
  const now = Date.now();
  const mode = dryRun ? "look" : "mend";
  const part = await sweepPage({ env: c.env, mode, limit, now, by: by(c) }, cursor ?? first(what), what);
  const { checked, found, removed, skipped, failed, next } = part;
  const counts = { found: found.length, removed: removed.length, skipped: skipped.length, failed: failed.length };
  await record(
    c.env.DB,
    audited(by(c), now, "platform.swept", "platform:sweep", {
      detail: { dryRun, what: [...what], checked, ...counts },
    }),
  ).run();
  if (!dryRun) await tellAlert(c.env.DB, found.filter(isOrphan).length, "page", now);
  const done = next === null;
  return c.json({ dryRun, checked, found, removed, skipped, failed, cursor: next && cursors.encode(next), done }, 200);
});
