import { z } from "@hono/zod-openapi";
import { type Place, rebuild as rebuildPage } from "../admin/rebuild.ts";
import { rotate as rotatePage } from "../admin/rotate.ts";
import { record } from "../audit/d1.ts";
import { audited } from "../audit/entry.ts";
import { configOf } from "../config.ts";
import { limitUpTo } from "./audit-query.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";

/** Every call does one page: `cursor` of its answer goes on, until `done`. Each can be repeated, and begun anew, at any time. */
const pageQuery = z.strictObject({
  limit: limitUpTo(500, 100),
  cursor: z.string().max(512).transform(decoded).optional().openapi({ type: "string" }),
});

const failed = z
  .array(z.object({ id: z.string(), detail: z.string() }))
  .openapi({ description: "What could not be done; it stays as it was. Begin anew once the cause is gone." });
const cursor = z.string().nullable().openapi({ description: "Where the next call goes on." });

const rotate = guarded("platform:manage", {
  method: "post",
  path: "/api/v1/admin/rotate-secrets",
  summary: "Wrap the next tenants' data keys under the current SECRETS_KEY",
  description:
    "After SECRETS_KEY was replaced and the former value set as SECRETS_KEY_PREVIOUS: call with each answer's `cursor` until `done`. When nothing failed, SECRETS_KEY_PREVIOUS is needed for kept answers of idempotent requests only, for one more day.",
  tags: ["platform"],
  request: { query: pageQuery },
  responses: {
    200: json(
      z
        .object({
          tenants: z.int().openapi({ description: "Looked at." }),
          rewrapped: z.int().openapi({ description: "Of these, those that were under another key." }),
          rows: z.int().openapi({ description: "Rows of the registry that were sealed anew." }),
          failed,
          cursor,
          done: z.boolean(),
        })
        .openapi("SecretsRotation"),
      "This page is done",
    ),
    ...refusals,
  },
});

const rebuild = guarded("platform:manage", {
  method: "post",
  path: "/api/v1/admin/rebuild",
  summary: "Make the next projections in D1 anew from the objects that own them",
  description: "Call with each answer's `cursor` until `done`: pools and their containers first, then tenants.",
  tags: ["platform"],
  request: { query: pageQuery },
  responses: {
    200: json(
      z
        .object({
          pools: z.int().openapi({ description: "Pools whose containers were projected." }),
          tenants: z.int().openapi({ description: "Tenants that were projected." }),
          removed: z.int().openapi({ description: "Rows of what does not exist." }),
          failed,
          cursor,
          done: z.boolean(),
        })
        .openapi("Rebuild"),
      "This page is done",
    ),
    ...refusals,
  },
});

export const admin = resource()
  .openapi(rotate, async (c) => {
    const { limit, cursor: place } = c.req.valid("query");
    const { next, failed: failures, ...counts } = await rotatePage(c.env, configOf(c.env), place?.after ?? "", limit);
    const detail = { ...counts, failed: failures.length };
    await record(
      c.env.DB,
      audited(by(c), Date.now(), "platform.secrets_rotated", "platform:secrets", { detail }),
    ).run();
    const after = next === null ? null : encoded({ of: "tenants", after: next });
    return c.json({ ...counts, failed: failures, cursor: after, done: next === null }, 200);
  })
  .openapi(rebuild, async (c) => {
    const { limit, cursor: place } = c.req.valid("query");
    const { next, failed: failures, ...counts } = await rebuildPage(c.env, place ?? { of: "pools", after: "" }, limit);
    const detail = { ...counts, failed: failures.length };
    await record(c.env.DB, audited(by(c), Date.now(), "platform.rebuilt", "platform:projections", { detail })).run();
    return c.json({ ...counts, failed: failures, cursor: next && encoded(next), done: next === null }, 200);
  });

const PLACE = /^(pools|tenants):([A-Za-z0-9_.:@-]{0,128})$/;

const encoded = ({ of, after }: Place): string => btoa(`${of}:${after}`).replaceAll("=", "");

function decoded(text: string, context: z.RefinementCtx): Place {
  const [, of, after = ""] = PLACE.exec(plain(text)) ?? [];
  if (of === "pools" || of === "tenants") return { of, after };
  context.addIssue({ code: "custom", message: "is not a cursor of this walk" });
  return z.NEVER;
}

function plain(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
