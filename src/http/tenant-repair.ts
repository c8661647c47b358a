import { z } from "@hono/zod-openapi";
import { within } from "../durable/deadline.ts";
import { specVaultOf, tenantOf, vaultOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { SLUG, type TenantId } from "../ids.ts";
import { rebuild } from "../transfer/rebuild.ts";
import type { FsckPage, FsckProblem, VaultApi } from "../vault/types.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { tenantParam } from "./params.ts";

/** Whether a tenant's vault and R2 agree, and what is done where they do not. */

/** How long one request goes on beginning pages, and how long one page may take. */
const WALK_MS = 20_000;
const PAGE_MS = 60_000;

const requestSchema = z
  .strictObject({
    repair: z.boolean().optional().openapi({ description: "Mend what can be mended without losing anything." }),
    rebuild: z.boolean().optional().openapi({ description: "Make the index anew from what R2 has." }),
    discard: z.boolean().optional().openapi({
      description: "Of a rebuild: also where there is an index; what is in it and not in R2 is given up.",
    }),
    spec: z
      .string()
      .regex(SLUG, "must be the id of a sync spec")
      .optional()
      .openapi({ description: "The vault of this sync spec, instead of the state's." }),
    cursor: z.string().max(2_000).optional().openapi({ description: "Go on where an earlier answer ended." }),
  })
  .refine(({ repair, rebuild: anew }) => !(repair && anew), {
    path: ["rebuild"],
    message: "is not for one with `repair`",
  })
  .refine(({ rebuild: anew, discard }) => anew || !discard, { path: ["discard"], message: "belongs to `rebuild`" })
  .refine(({ rebuild: anew, cursor }) => !anew || cursor === undefined, {
    path: ["cursor"],
    message: "does not belong to `rebuild`",
  });

const reportView = z
  .object({
    tenantId: z.string(),
    checked: z.object({
      generations: z.int(),
      contents: z.int(),
      objects: z.int(),
      packs: z.int(),
      listed: z.int(),
    }),
    problems: z.array(z.object({ what: z.string(), detail: z.string(), repaired: z.boolean() })),
    restored: z.array(z.int()).optional().openapi({ description: "Of a rebuild: the generations that are back." }),
    generation: z.int().optional().openapi({ description: "Of a rebuild: the head." }),
    nextCursor: z.string().nullable().openapi({ description: "Null when everything was looked at." }),
  })
  .openapi("FsckReport");
type Report = z.output<typeof reportView>;

const fsck = guarded("tenants:repair", {
  method: "post",
  path: "/api/v1/tenants/{id}/fsck",
  operationId: "fsckTenant",
  summary:
    "Compare the index of what is saved with itself and with R2, both ways; changes nothing unless it is asked to",
  tags: ["tenants"],
  middleware: [knownTenantFirst, jsonBody("optional")],
  request: { params: tenantParam, body: { content: { "application/json": { schema: requestSchema } } } },
  responses: { 200: json(reportView, "What was found"), ...refusals },
});

export const tenantRepair = resource().openapi(fsck, async (c) => {
  const { id } = c.req.valid("param");
  const { repair = false, rebuild: anew = false, discard = false, spec, cursor } = c.req.valid("json");
  const status = await tenantOf(c.env, id).status(id);
  if (!status.ok) throw Problem.of(status.failure);
  if (anew) {
    const work = rebuild(c.env, id, { discard, spec }, by(c));
    c.executionCtx.waitUntil(work.catch(() => {}));
    const outcome = await work;
    if (!outcome.ok) throw Problem.of(outcome.failure);
    const { restored, problems, head } = outcome.value;
    const told = problems.map((detail) => ({ what: "not_restored", detail, repaired: false }));
    return c.json({ ...nothingYet(id), problems: told, restored, generation: head.generation }, 200);
  }
  const vault = spec === undefined ? vaultOf(c.env, id) : specVaultOf(c.env, id, spec);
  const report = await walk(vault, id, cursor ?? null, repair);
  if (repair) {
    const mended = report.problems.filter(({ repaired }) => repaired).length;
    await tenantOf(c.env, id).note(
      id,
      "tenant.fsck",
      { problems: report.problems.length, mended, ...(spec && { spec }) },
      by(c),
    );
  }
  return c.json(report, 200);
});

const nothingYet = (tenantId: TenantId): Report => ({
  tenantId,
  checked: { generations: 0, contents: 0, objects: 0, packs: 0, listed: 0 },
  problems: [],
  nextCursor: null,
});

/** Page by page, for as long as one request may take. @throws Problem */
async function walk(vault: VaultApi, id: TenantId, cursor: string | null, repair: boolean): Promise<Report> {
  const until = Date.now() + WALK_MS;
  const report: Report = { ...nothingYet(id), nextCursor: cursor };
  do {
    const outcome = await within(PAGE_MS, "fsck", vault.fsck(report.nextCursor, { repair }));
    if (!outcome.ok) throw Problem.of(outcome.failure);
    add(report, outcome.value);
  } while (report.nextCursor !== null && Date.now() < until);
  return report;
}

function add(report: Report, { checked, problems, next }: FsckPage): void {
  for (const name of Object.keys(report.checked) as (keyof Report["checked"])[]) report.checked[name] += checked[name];
  report.problems.push(...problems.map(({ what, detail, repaired }: FsckProblem) => ({ what, detail, repaired })));
  report.nextCursor = next;
}
