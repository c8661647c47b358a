import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { configOf } from "../config.ts";
import { within } from "../durable/deadline.ts";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { pullFrom, readOut } from "../gateway/storage/body.ts";
import { exportBundle } from "../gateway/storage/bundle-out.ts";
import { generation, TENANT_ID, type TenantId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { ActionAnswer } from "../tenant/views.ts";
import type { ArrivalOptions } from "../transfer/arrival.ts";
import { type BringIn, bringIn } from "../transfer/bring-in.ts";
import { stageCopy } from "../transfer/clone.ts";
import { dryRun } from "../transfer/dry-run.ts";
import { stageTar } from "../transfer/import-tar.ts";
import type { VaultStorage } from "../vault/storage.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { onlyAdmin, requireSelfService } from "./may.ts";
import { acted, actionView } from "./operation-views.ts";
import { generationQuery, tenantParam } from "./params.ts";
import { describedOf } from "./tenant-state.ts";

/** State that leaves a tenant, or comes to it from elsewhere than its container. Nothing here wakes anything. */

const TAR = { "application/x-tar": { schema: z.string().openapi({ format: "binary" }) } };
const yesOrNo = z
  .enum(["true", "false"])
  .optional()
  .transform((text) => text === "true");

const exported = guarded("tenants:files", {
  method: "get",
  path: "/api/v1/tenants/{id}/export",
  operationId: "exportTenant",
  summary: "One saved generation as a tar, the head by default: `tree/…`, then `sums` and `parts` to verify it by",
  tags: ["tenants"],
  request: { params: tenantParam, query: z.object({ generation: generationQuery }) },
  responses: { 200: { description: "The tar", content: TAR }, ...refusals },
});

const owner = z
  .string()
  .regex(/^\d{1,10}(?::\d{1,10})?$/, "must be a user id, or user and group ids, as in 10001:10001")
  .transform((text) => {
    const [uid = 0, gid = uid] = text.split(":").map(Number);
    return { uid, gid };
  })
  .refine(({ uid, gid }) => uid < 2 ** 32 && gid < 2 ** 32, "must be less than 2^32")
  .optional()
  .openapi({ type: "string", example: "10001:10001", description: "Whom everything shall belong to." });

const reportView = z
  .object({
    format: z.enum(["export", "plain"]),
    files: z.int(),
    bytes: z.int(),
    directories: z.int(),
    added: z.int(),
    changed: z.int(),
    removed: z.int(),
    refusals: z.int(),
    refused: z.array(z.object({ entry: z.string(), reason: z.string() })),
    layouts: z.array(
      z.object({ layout: z.enum(["export", "root", "clawdbot", "openclaw"]), at: z.string(), files: z.int() }),
    ),
  })
  .openapi("ImportReport");

const imported = guarded(
  "tenants:files",
  {
    method: "post",
    path: "/api/v1/tenants/{id}/import",
    operationId: "importTenant",
    summary:
      "A tar, ours or any, as the tenant's next generation; of a tenant that has no container, or was never seen",
    tags: ["tenants"],
    request: {
      params: tenantParam,
      query: z.object({
        dryRun: yesOrNo.openapi({
          type: "string",
          enum: ["true", "false"],
          description: "Report, and change nothing.",
        }),
        force: yesOrNo.openapi({
          type: "string",
          enum: ["true", "false"],
          description: "Accept that most of what there was is gone; for admins.",
        }),
        format: z.enum(["auto", "export", "plain"]).default("auto").openapi({
          description: "`auto` takes a tar that begins with `tree/` for an export, and verifies it.",
        }),
        owner,
      }),
      body: { content: TAR },
    },
    responses: {
      200: json(z.union([actionView, reportView]), "Imported; of a dry run, what would be"),
      ...refusals,
    },
  },
  "streamed",
);

const clone = guarded("tenants:repair", {
  method: "post",
  path: "/api/v1/tenants/{id}/clone",
  operationId: "cloneTenant",
  summary:
    "Copy a generation of this tenant, the head by default, as the next generation of another that has no container",
  tags: ["tenants"],
  middleware: [knownTenantFirst, jsonBody("required")],
  request: {
    params: tenantParam,
    body: {
      content: {
        "application/json": {
          schema: z.strictObject({
            to: z.string().regex(TENANT_ID, "must be the id of a tenant"),
            generation: z.int().min(1).optional(),
            force: z.boolean().optional().openapi({ description: "Also where the target has saved state." }),
          }),
        },
      },
    },
  },
  responses: { 200: json(actionView, "Copied; the answer is about the target"), ...refusals },
});

/** What compressed and uncompressed tars are called. */
const TAR_TYPES = new Set([
  "application/x-tar",
  "application/tar",
  "application/gzip",
  "application/x-gzip",
  "application/octet-stream",
]);

export const tenantTransfer = resource()
  .openapi(exported, async (c) => {
    const { id } = c.req.valid("param");
    const wanted = await chosen(c.env, id, c.req.valid("query").generation);
    const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
    const response = await exportBundle(storageOf(c.env, id), c.env.BUCKET, wanted, background);
    const name = `${encodeURIComponent(id)}-${wanted}.tar`;
    response.headers.set("content-disposition", `attachment; filename="${name}"`);
    return response as never;
  })
  .openapi(imported, async (c) => {
    const { id } = c.req.valid("param");
    const { dryRun: isDry, force, format, owner: given } = c.req.valid("query");
    if (force) onlyAdmin(c.get("principal"), "force");
    await requireSelfService(c.get("principal"), c.env, id, null, (work) => c.executionCtx.waitUntil(work));
    const type = (c.req.header("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
    if (!TAR_TYPES.has(type)) throw new Problem("unsupported_media_type", "The body must be application/x-tar.");
    const body = pullFrom(c.req.raw.body);
    const options: ArrivalOptions = { format, owner: given ?? null };
    const fill: BringIn["fill"] = (gateway) => stageTar(gateway, body, options);
    try {
      if (!isDry)
        return c.json(await brought(c, { tenantId: id, source: { kind: "tar" }, force, by: by(c), fill }), 200);
      const { head } = await vaultOf(c.env, id).describe();
      const report = dryRun(body, options, storageOf(c.env, id), head?.generation ?? null);
      return c.json(await within(configOf(c.env).deadlines.importMs, "dry run", report), 200);
    } catch (error) {
      await readOut(body);
      throw error;
    }
  })
  .openapi(clone, async (c) => {
    const { id } = c.req.valid("param");
    const { to, generation: wanted, force = false } = c.req.valid("json");
    const source = await chosen(c.env, id, wanted);
    if (to === id) {
      throw new Problem("invalid_transition", "A tenant is no copy of itself: restore one of its generations.");
    }
    const fill: BringIn["fill"] = (gateway) => stageCopy(gateway, storageOf(c.env, id), source);
    const from = { kind: "clone" as const, tenantId: id, generation: source };
    const answer = await brought(c, { tenantId: to as TenantId, source: from, force, by: by(c), fill });
    await tenantOf(c.env, id).note(id, "tenant.cloned", { to, generation: source }, by(c));
    return c.json(answer, 200);
  });

/** Goes on when the client goes away, so that its end is told. @throws Problem */
async function brought(c: Context<AppEnv>, request: BringIn) {
  const work = bringIn(c.env, request);
  c.executionCtx.waitUntil(work.catch(() => {}));
  const outcome: Outcome<ActionAnswer> = await work;
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return acted(outcome.value);
}

/** The generation that is asked for, or the head. @throws Problem `not_found` */
async function chosen(env: Env, id: TenantId, wanted: number | undefined) {
  const { head, generations } = await describedOf(env, id);
  const number = wanted ?? head?.generation;
  if (number === undefined) throw new Problem("not_found", `Nothing is saved of the tenant ${id}.`);
  if (generations.some((known) => known.generation === number)) return generation(number);
  throw new Problem("not_found", `The tenant ${id} has no generation ${number}.`);
}

const storageOf = (env: Env, id: TenantId): VaultStorage => vaultOf(env, id) as unknown as VaultStorage;
