import { z } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { type ApiKey, keyId, keyOf } from "../auth/api-key.ts";
import { keyCache } from "../auth/key-cache.ts";
import { findKey, insertKey, listKeys, revokeKey, rotateKey } from "../auth/key-store.ts";
import { invalid, Problem } from "../errors/problem.ts";
import { TENANT_ID, type TenantId } from "../ids.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { iso, isoOrNull } from "./iso.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { ownIdParam } from "./params.ts";

/** Keys of the API. A key itself is in the answer to its creation or rotation, once, and nowhere else. */
const ROLES = ["admin", "operator", "viewer", "tenant"] as const;
const MAX_OVERLAP_MS = 7 * 86_400_000;

const keySchema = z
  .strictObject({
    name: z.string().regex(/^[^\p{Cc}]{1,100}$/u, "must be 1–100 characters without control characters"),
    role: z.enum(ROLES),
    tenantId: z
      .string()
      .regex(TENANT_ID, "must be a tenant's id")
      .transform((id) => id as TenantId)
      .optional()
      .openapi({ type: "string", description: "Of the role `tenant`, and of no other." }),
    expiresAt: z.iso.datetime({ offset: true }).optional(),
    requestsPerMinute: z.int().min(1).max(1_000_000).optional(),
  })
  .superRefine(({ role, tenantId }, context) => {
    if ((role === "tenant") === (tenantId !== undefined)) return;
    const message = role === "tenant" ? "is required for the role tenant" : "is for the role tenant only";
    context.addIssue({ code: "custom", path: ["tenantId"], message });
  })
  .openapi("NewKey");

const rotationSchema = z
  .strictObject({
    overlapMs: z
      .int()
      .min(0)
      .max(MAX_OVERLAP_MS)
      .default(0)
      .openapi({ description: "How long the key before this one still opens." }),
  })
  .openapi("KeyRotation");

const keyView = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    tenantId: z.string().nullable(),
    prefix: z.string().openapi({ description: "How the key begins." }),
    requestsPerMinute: z.int().nullable().openapi({ description: "Null: as the configuration says." }),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
    expiresAt: z.iso.datetime().nullable(),
    lastUsedAt: z.iso.datetime().nullable().openapi({ description: "To a minute." }),
    revokedAt: z.iso.datetime().nullable(),
    previousUntil: z.iso
      .datetime()
      .nullable()
      .openapi({ description: "Until when the key before the last rotation opens." }),
  })
  .openapi("Key");
const newKeyView = keyView
  .extend({ key: z.string().openapi({ description: "Shown this once." }) })
  .openapi("KeyWithSecret");

const create = guarded("keys:manage", {
  method: "post",
  path: "/api/v1/keys",
  summary: "Create a key",
  tags: ["keys"],
  middleware: jsonBody("required"),
  request: { body: { required: true, content: { "application/json": { schema: keySchema } } } },
  responses: { 201: json(newKeyView, "Created"), ...refusals },
});

const list = guarded("keys:manage", {
  method: "get",
  path: "/api/v1/keys",
  summary: "List keys, revoked ones too",
  tags: ["keys"],
  request: { query: pageQuery },
  responses: {
    200: json(z.object({ items: z.array(keyView), nextCursor: z.string().nullable() }), "In the order of creation"),
    ...refusals,
  },
});

const get = guarded("keys:manage", {
  method: "get",
  path: "/api/v1/keys/{id}",
  summary: "One key",
  tags: ["keys"],
  request: { params: ownIdParam },
  responses: { 200: json(keyView, "Found"), ...refusals },
});

/** 404 comes before the body is looked at (contract: order of refusals). */
const knownFirst = createMiddleware<AppEnv>(async (c, next) => {
  await found(c.env, c.req.param("id") ?? "");
  await next();
});

const rotate = guarded("keys:manage", {
  method: "post",
  path: "/api/v1/keys/{id}/rotate",
  summary: "Replace a key; its id, role and limits stay",
  tags: ["keys"],
  middleware: [knownFirst, jsonBody("optional")],
  request: { params: ownIdParam, body: { content: { "application/json": { schema: rotationSchema } } } },
  responses: { 200: json(newKeyView, "Rotated"), ...refusals },
});

const revoke = guarded("keys:manage", {
  method: "delete",
  path: "/api/v1/keys/{id}",
  summary: "Revoke a key for good; it stays in the list",
  tags: ["keys"],
  request: { params: ownIdParam },
  responses: { 200: json(keyView, "Revoked"), ...refusals },
});

export const keys = resource()
  .openapi(create, async (c) => {
    const { name, role, tenantId, expiresAt, requestsPerMinute } = c.req.valid("json");
    const now = Date.now();
    const ends = expiresAt === undefined ? null : Date.parse(expiresAt);
    if (ends !== null && ends <= now) throw invalid([{ pointer: "/expiresAt", detail: "must be in the future" }]);
    const { key, hash, prefix } = keyOf(crypto.getRandomValues(new Uint8Array(32)));
    const created: ApiKey = {
      id: keyId(now, crypto.getRandomValues(new Uint8Array(8))),
      name,
      role,
      tenantId: tenantId ?? null,
      hash,
      prefix,
      previousHash: null,
      previousUntil: null,
      requestsPerMinute: requestsPerMinute ?? null,
      createdAt: now,
      createdBy: c.get("principal").actor,
      expiresAt: ends,
      lastUsedAt: null,
      revokedAt: null,
    };
    await insertKey(c.env.DB, created, by(c));
    return c.json({ ...viewOf(created), key }, 201, { location: `/api/v1/keys/${created.id}` });
  })
  .openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const page = await listKeys(c.env.DB, cursor ?? "", limit);
    return c.json({ items: page.items.map(viewOf), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => c.json(viewOf(await found(c.env, c.req.valid("param").id)), 200))
  .openapi(rotate, async (c) => {
    const before = await found(c.env, c.req.valid("param").id);
    const now = Date.now();
    if (before.revokedAt !== null)
      throw new Problem("invalid_transition", "A revoked key stays revoked: create another.");
    if (before.expiresAt !== null && before.expiresAt <= now) {
      throw new Problem(
        "invalid_transition",
        "The key has expired, and a rotation would not change that: create another.",
      );
    }
    const { overlapMs } = c.req.valid("json");
    const { key, hash, prefix } = keyOf(crypto.getRandomValues(new Uint8Array(32)));
    const overlap = overlapMs > 0 ? { previousHash: before.hash, previousUntil: now + overlapMs } : NO_OVERLAP;
    const after = { ...before, hash, prefix, ...overlap };
    const rotated = await rotateKey(c.env.DB, before, after, now, by(c));
    keyCache.forget(before.id);
    if (!rotated) throw new Problem("conflict", "The key was rotated or revoked by somebody else at the same time.");
    return c.json({ ...viewOf(after), key }, 200);
  })
  .openapi(revoke, async (c) => {
    const before = await found(c.env, c.req.valid("param").id);
    await revokeKey(c.env.DB, before, Date.now(), by(c));
    keyCache.forget(before.id);
    return c.json(viewOf(await found(c.env, before.id)), 200);
  });

const NO_OVERLAP = { previousHash: null, previousUntil: null };

async function found(env: Env, id: string): Promise<ApiKey> {
  const key = await findKey(env.DB, id);
  if (!key) throw new Problem("not_found", "There is no key of this id.");
  return key;
}

const viewOf = (key: ApiKey): z.output<typeof keyView> => ({
  id: key.id,
  name: key.name,
  role: key.role,
  tenantId: key.tenantId,
  prefix: key.prefix,
  requestsPerMinute: key.requestsPerMinute,
  createdAt: iso(key.createdAt),
  createdBy: key.createdBy,
  expiresAt: isoOrNull(key.expiresAt),
  lastUsedAt: isoOrNull(key.lastUsedAt),
  revokedAt: isoOrNull(key.revokedAt),
  previousUntil: isoOrNull(key.previousUntil),
});
