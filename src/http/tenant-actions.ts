import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Permission } from "../auth/permissions.ts";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { generation, type TenantId } from "../ids.ts";
import type { Action } from "../tenant/requests.ts";
import { accepted, stillRunning } from "./accepted.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { addressOf } from "./endpoints.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { onlyAdmin, requireSelfService } from "./may.ts";
import { acted, actionView } from "./operation-views.ts";
import { tenantParam } from "./params.ts";
import { waitSchema } from "./wait.ts";

/** What a tenant can be asked to do, one route each; all of them can be waited for. */
const action = <T extends z.ZodType>(
  name: string,
  permission: Permission,
  summary: string,
  schema: T,
  wait = waitSchema(0),
) =>
  guarded(permission, {
    method: "post",
    path: `/api/v1/tenants/{id}/${name}`,
    operationId: `${name}Tenant`,
    summary,
    tags: ["tenants"],
    middleware: [knownTenantFirst, jsonBody("optional")],
    request: {
      params: tenantParam,
      query: z.object({ wait }),
      body: { content: { "application/json": { schema } } },
    },
    responses: { 200: json(actionView, "Done"), 202: stillRunning, ...refusals },
  });

/** Of what starts a container. */
const alsoForRoom = waitSchema(
  0,
  "How long to wait for the end, and for room where the pool or its tier is full, in the order of arrival.",
);
const force = z.boolean().optional().openapi({ description: "Go on also when the state cannot be saved; for admins." });
const nothing = z.strictObject({}).openapi("NoFields");
/** As S3 says them, and in the words of its engine. */
const DIRECTIONS = {
  outward: "outward",
  inward: "inward",
  both: "both",
  upload: "outward",
  download: "inward",
  bidirectional: "both",
} as const;

const start = action("start", "tenants:run", "Wake a sleeping tenant, or claim again", nothing, alsoForRoom);
const stop = action(
  "stop",
  "tenants:run",
  "Save and put the container away; the next request wakes it",
  z.strictObject({ force }),
);
const restart = action(
  "restart",
  "tenants:run",
  "Restart the workload, or move the tenant to a fresh container",
  z.strictObject({ scope: z.enum(["process", "container", "image"]).default("container"), force }),
  alsoForRoom,
);
const sync = action(
  "sync",
  "tenants:run",
  "Save now (outward), or go back to what is saved (inward)",
  z.strictObject({ direction: z.enum(Object.keys(DIRECTIONS) as [keyof typeof DIRECTIONS]) }),
  alsoForRoom,
);
const restore = action(
  "restore",
  "tenants:run",
  "Make an earlier generation current again, as a new one; what runs is saved first",
  z.strictObject({ generation: z.int().min(1), force }),
  alsoForRoom,
);
const suspend = action(
  "suspend",
  "tenants:manage",
  "Save, stop, and let nothing start it",
  z.strictObject({ reason: z.string().min(1).max(500).optional() }),
);
const resume = action("resume", "tenants:manage", "End a suspension; nothing is started", nothing);
const deleteData = z.boolean().optional().openapi({ description: "Default false: what is saved is kept for 30 days." });
const destroy = action(
  "destroy",
  "tenants:destroy",
  "Delete the tenant: its container, secrets and config, and if asked its data",
  z.strictObject({ deleteData }),
);
const remove = guarded("tenants:destroy", {
  method: "delete",
  path: "/api/v1/tenants/{id}",
  operationId: "deleteTenant",
  summary: "The same as destroy",
  tags: ["tenants"],
  request: {
    params: tenantParam,
    query: z.object({ wait: waitSchema(0), deleteData: z.enum(["true", "false"]).optional() }),
  },
  responses: { 200: json(actionView, "Destroyed"), 202: stillRunning, ...refusals },
});

export const tenantActions = resource()
  .openapi(start, async (c) =>
    answer(c, await ask(c, c.req.valid("param").id, { kind: "start" }, c.req.valid("query").wait)),
  )
  .openapi(stop, async (c) => {
    const action = { kind: "stop" as const, ...forced(c, c.req.valid("json").force) };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(restart, async (c) => {
    const { scope, force } = c.req.valid("json");
    const action = { kind: "restart" as const, scope, ...forced(c, force) };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(sync, async (c) => {
    const action = { kind: "sync" as const, direction: DIRECTIONS[c.req.valid("json").direction] };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(restore, async (c) => {
    const { generation: wanted, force } = c.req.valid("json");
    const action = { kind: "restore" as const, generation: generation(wanted), ...forced(c, force) };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(suspend, async (c) => {
    const { reason } = c.req.valid("json");
    const action = { kind: "suspend" as const, ...(reason === undefined ? {} : { reason }) };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(resume, async (c) =>
    answer(c, await ask(c, c.req.valid("param").id, { kind: "resume" }, c.req.valid("query").wait)),
  )
  .openapi(destroy, async (c) => {
    const action = { kind: "destroy" as const, deleteData: c.req.valid("json").deleteData === true };
    return answer(c, await ask(c, c.req.valid("param").id, action, c.req.valid("query").wait));
  })
  .openapi(remove, async (c) => {
    const { wait, deleteData } = c.req.valid("query");
    const action = { kind: "destroy" as const, deleteData: deleteData === "true" };
    return answer(c, await ask(c, c.req.valid("param").id, action, wait));
  });

type Asked = Awaited<ReturnType<typeof ask>>;

async function ask(c: Context<AppEnv>, id: TenantId, action: Action, waitMs: number) {
  const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  await requireSelfService(c.get("principal"), c.env, id, null, background);
  const outcome = await tenantOf(c.env, id).act(id, action, waitMs, by(c));
  if (!outcome.ok) throw Problem.of(outcome.failure);
  const { endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
  return { awaited: outcome.value, endpoints };
}

function answer(c: Context<AppEnv>, { awaited, endpoints }: Asked) {
  if (awaited.kind === "pending") return c.json(...accepted(awaited.operation, endpoints));
  return c.json(acted(awaited.value), 200);
}

function forced(c: Context<AppEnv>, force: boolean | undefined): { force?: true } {
  if (!force) return {};
  onlyAdmin(c.get("principal"), "force");
  return { force: true };
}
