import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { rolesWith } from "../auth/permissions.ts";
import { tenantOf } from "../durable/stubs.ts";
import { type FieldError, invalid, Problem } from "../errors/problem.ts";
import type { TenantId } from "../ids.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import { configErrors } from "../registry/config-schema.ts";
import { secretName, secretsSchema } from "../registry/requests.ts";
import { TIERS } from "../runtime/port.ts";
import type { Change } from "../tenant/requests.ts";
import type { Settings } from "../tenant/views.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { tenantParam } from "./params.ts";
import {
  configVersion,
  configVersionView,
  configView,
  lifecycleView,
  type SecretsAnswer,
  secretsOf,
  secretsView,
  settings,
  settingsView,
  tenantView,
} from "./settings-views.ts";

/** What is set about a tenant. All of it holds from its next start on; nothing here touches a running container. */

const about = { tags: ["tenants"] };
const body = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { "application/json": { schema } },
});
const mutation = { ...about, middleware: [knownTenantFirst, jsonBody("required")] };

const get = guarded("tenants:read", {
  ...about,
  method: "get",
  path: "/api/v1/tenants/{id}",
  operationId: "getTenant",
  summary: "What is set about a tenant",
  request: { params: tenantParam },
  responses: { 200: json(tenantView, "Known"), ...refusals },
});

const putTier = guarded("tenants:manage", {
  ...mutation,
  method: "put",
  path: "/api/v1/tenants/{id}/tier",
  operationId: "setTier",
  summary: "Set the tenant's own instance size, from its next start on; its data stays",
  request: { params: tenantParam, body: body(z.strictObject({ tier: z.enum(TIERS).nullable() })) },
  responses: { 200: json(settingsView, "Set"), ...refusals },
});

const lifecycleSchema = lifecycleView.superRefine(({ mode, wakeTimes, idleTimeoutMs }, context) => {
  const wrong = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
  if (mode === "scheduled" && !wakeTimes?.length) wrong("wakeTimes", "a scheduled lifecycle needs at least one");
  if (mode !== "scheduled" && wakeTimes) wrong("wakeTimes", "belong to the mode scheduled");
  if (mode === "always-on" && idleTimeoutMs !== undefined) wrong("idleTimeoutMs", "an always-on tenant does not idle");
});

const putLifecycle = guarded("tenants:manage", {
  ...mutation,
  method: "put",
  path: "/api/v1/tenants/{id}/lifecycle",
  operationId: "setLifecycle",
  summary: "Set when the tenant sleeps and wakes",
  request: { params: tenantParam, body: body(lifecycleSchema) },
  responses: { 200: json(settingsView, "Set"), ...refusals },
});

const getConfig = guarded("tenants:config", {
  ...about,
  method: "get",
  path: "/api/v1/tenants/{id}/config",
  operationId: "getConfig",
  summary: "The latest config, with its version as ETag",
  request: { params: tenantParam },
  responses: { 200: json(configView, "The latest"), ...refusals },
});

const putConfig = guarded("tenants:config", {
  ...mutation,
  method: "put",
  path: "/api/v1/tenants/{id}/config",
  operationId: "setConfig",
  summary: "Set the config, as a new version; the body is the config itself",
  request: { params: tenantParam, body: body(z.record(z.string(), z.unknown()).openapi("TenantConfig")) },
  responses: { 200: json(configView, "Set"), ...refusals },
});

const listConfigs = guarded("tenants:config", {
  ...about,
  method: "get",
  path: "/api/v1/tenants/{id}/config/versions",
  operationId: "listConfigVersions",
  summary: "The latest fifty versions, the newest first",
  request: { params: tenantParam },
  responses: {
    200: json(z.object({ items: z.array(configVersionView), nextCursor: z.null() }), "Versions"),
    ...refusals,
  },
});

const rollback = guarded("tenants:config", {
  ...mutation,
  method: "post",
  path: "/api/v1/tenants/{id}/config/rollback",
  operationId: "rollbackConfig",
  summary: "Make an earlier config the latest, as a new version",
  request: { params: tenantParam, body: body(z.strictObject({ version: z.int().min(1) })) },
  responses: { 200: json(configView, "Set"), ...refusals },
});

const getSecrets = guarded("tenants:secrets", {
  ...about,
  method: "get",
  path: "/api/v1/tenants/{id}/secrets",
  operationId: "listSecrets",
  summary: "Names and masked tails; values never come back",
  request: { params: tenantParam },
  responses: { 200: json(secretsView, "Names"), ...refusals },
});

const putSecrets = guarded("tenants:secrets", {
  ...mutation,
  method: "put",
  path: "/api/v1/tenants/{id}/secrets",
  operationId: "setSecrets",
  summary: "Replace all secrets; the body is name → value",
  request: { params: tenantParam, body: body(secretsSchema) },
  responses: { 200: json(secretsView, "Set"), ...refusals },
});

const secretParam = tenantParam.extend({
  name: secretName.openapi({ param: { name: "name", in: "path" }, type: "string", example: "API_TOKEN" }),
});

const putSecret = guarded("tenants:secrets", {
  ...mutation,
  method: "put",
  path: "/api/v1/tenants/{id}/secrets/{name}",
  operationId: "setSecret",
  summary: "Set one secret",
  request: { params: secretParam, body: body(z.strictObject({ value: z.string().max(65_536) })) },
  responses: { 200: json(secretsView, "Set"), ...refusals },
});

const deleteSecret = guarded("tenants:secrets", {
  ...about,
  method: "delete",
  path: "/api/v1/tenants/{id}/secrets/{name}",
  operationId: "deleteSecret",
  summary: "Delete one secret",
  request: { params: secretParam },
  responses: { 200: json(secretsView, "Deleted"), ...refusals },
});

const revokeTokens = guarded("tenants:access", {
  ...about,
  method: "post",
  path: "/api/v1/tenants/{id}/revoke-tokens",
  operationId: "revokeTokens",
  summary: "End every token and session of the tenant at once",
  request: { params: tenantParam },
  responses: { 200: json(settingsView, "Revoked"), ...refusals },
});

export const tenantSettings = resource()
  .openapi(get, async (c) => {
    const known = await read(c, c.req.valid("param").id);
    // A workload that changed may not take what it took before: said here, and nothing is stopped for it.
    const errors = known.config ? await misfits(c, known.poolId, known.config.config) : [];
    // The errors name members of the config and quote numbers of it, which only some may read.
    const mayRead = rolesWith("tenants:config").includes(c.get("principal").role);
    const configErrors = mayRead ? errors : [];
    return c.json({ ...settings(known), configValid: errors.length === 0, configErrors }, 200);
  })
  .openapi(putTier, async (c) => {
    const { tier } = c.req.valid("json");
    return c.json(settings(await change(c, c.req.valid("param").id, { kind: "tier", tier })), 200);
  })
  .openapi(putLifecycle, async (c) => {
    const { mode, idleTimeoutMs, wakeTimes } = c.req.valid("json");
    const lifecycle = {
      mode,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(wakeTimes === undefined ? {} : { wakeTimes }),
    };
    return c.json(settings(await change(c, c.req.valid("param").id, { kind: "lifecycle", lifecycle })), 200);
  })
  .openapi(getConfig, async (c) => config(c, await read(c, c.req.valid("param").id)))
  .openapi(putConfig, async (c) => {
    const { id } = c.req.valid("param");
    const wanted = c.req.valid("json");
    await checkConfig(c, id, wanted);
    return config(c, await change(c, id, { kind: "config", config: wanted }));
  })
  .openapi(listConfigs, async (c) => {
    const { id } = c.req.valid("param");
    const outcome = await tenantOf(c.env, id).configs(id);
    if (!outcome.ok) throw Problem.of(outcome.failure);
    return c.json({ items: outcome.value.map((one) => configVersion(one, c.get("principal"))), nextCursor: null }, 200);
  })
  .openapi(rollback, async (c) => {
    const { id } = c.req.valid("param");
    const { version } = c.req.valid("json");
    const outcome = await tenantOf(c.env, id).configs(id);
    if (!outcome.ok) throw Problem.of(outcome.failure);
    const earlier = outcome.value.find((known) => known.version === version);
    // What fitted once may not fit the workload as it is now.
    if (earlier) await checkConfig(c, id, earlier.config);
    return config(c, await change(c, id, { kind: "rollback", version }));
  })
  .openapi(getSecrets, async (c) => secrets(c, await read(c, c.req.valid("param").id)))
  .openapi(putSecrets, async (c) =>
    secrets(c, await change(c, c.req.valid("param").id, { kind: "secrets", secrets: c.req.valid("json") })),
  )
  .openapi(putSecret, async (c) => {
    const { id, name } = c.req.valid("param");
    return secrets(c, await change(c, id, { kind: "secret", name, value: c.req.valid("json").value }));
  })
  .openapi(deleteSecret, async (c) => {
    const { id, name } = c.req.valid("param");
    return secrets(c, await change(c, id, { kind: "secret", name, value: null }));
  })
  .openapi(revokeTokens, async (c) =>
    c.json(settings(await change(c, c.req.valid("param").id, { kind: "revoke-tokens" })), 200),
  );

async function read(c: Context<AppEnv>, id: TenantId): Promise<Settings> {
  const outcome = await tenantOf(c.env, id).settings(id);
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return outcome.value;
}

async function change(c: Context<AppEnv>, id: TenantId, wanted: Change): Promise<Settings> {
  const outcome = await tenantOf(c.env, id).change(id, wanted, ifMatchOf(c), by(c));
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return outcome.value;
}

function config(c: Context<AppEnv>, { tenantId, config: latest, pendingRestart }: Settings) {
  if (!latest) throw new Problem("not_found", `The tenant ${tenantId} has no config.`);
  return c.json({ ...configVersion(latest, c.get("principal")), pendingRestart }, 200, {
    etag: etagOf(latest.version),
  });
}

function secrets(c: Context<AppEnv>, of: Settings) {
  const answer: SecretsAnswer = secretsOf(of);
  return c.json(answer, 200, { etag: etagOf(of.secretsVersion) });
}

/** @throws Problem `invalid` with pointers into the body */
async function checkConfig(c: Context<AppEnv>, id: TenantId, wanted: unknown): Promise<void> {
  const errors = await misfits(c, (await read(c, id)).poolId, wanted);
  if (errors.length > 0) throw invalid(errors, "The config does not fit the workload's schema.");
}

/** Where a config does not fit the schema of the pool's workload. */
async function misfits(c: Context<AppEnv>, poolId: string | undefined, config: unknown): Promise<FieldError[]> {
  const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  const found = poolId === undefined ? null : await poolAndWorkload(c.env.DB, poolId, Date.now(), background);
  const schema = found?.workload.spec.configSchema;
  return schema ? configErrors(schema, config, "") : [];
}
