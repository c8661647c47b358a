import { z } from "@hono/zod-openapi";
import { actorFor } from "../audit/events.ts";
import type { Principal } from "../auth/principal.ts";
import { TIERS } from "../runtime/port.ts";
import type { ConfigVersion, Settings } from "../tenant/views.ts";
import { iso, time } from "./iso.ts";

/** What is set about a tenant, as it looks from outside. */

export const lifecycleView = z
  .strictObject({
    mode: z.enum(["on-demand", "always-on", "scheduled"]),
    idleTimeoutMs: z.int().min(1_000).max(86_400_000).optional().openapi({ description: "The pool's when left out." }),
    wakeTimes: z
      .array(z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "must be a time of day in UTC, as in 08:30"))
      .max(24)
      .optional()
      .openapi({ description: "Times of day in UTC, `HH:MM`, of the mode scheduled." }),
  })
  .openapi("Lifecycle");

export const settingsView = z
  .object({
    tenantId: z.string(),
    poolId: z.string().optional(),
    tier: z.enum(TIERS).nullable(),
    lifecycle: lifecycleView,
    tokenVersion: z.int(),
    configVersion: z.int(),
    secretsVersion: z.int(),
    pendingRestart: z.boolean(),
  })
  .openapi("TenantSettings");

/** … with whether the latest config fits the workload as it is now. */
export const tenantView = settingsView
  .extend({
    configValid: z.boolean(),
    configErrors: z.array(z.object({ pointer: z.string(), detail: z.string() })),
  })
  .openapi("Tenant");

export const configVersionView = z
  .object({ version: z.int(), config: z.unknown(), at: time, actor: z.string() })
  .openapi("ConfigVersion");

export const configView = configVersionView.extend({ pendingRestart: z.boolean() }).openapi("Config");

export const secretsView = z
  .object({
    items: z.array(z.object({ name: z.string(), masked: z.string(), updatedAt: time })),
    version: z.int(),
    pendingRestart: z.boolean(),
  })
  .openapi("Secrets");

export type SecretsAnswer = z.output<typeof secretsView>;

export const settings = ({ config, secrets: _, ...rest }: Settings): z.output<typeof settingsView> => ({
  ...rest,
  configVersion: config?.version ?? 0,
});

/** As `reader` may see it. */
export const configVersion = (
  { at, actor, ...rest }: ConfigVersion,
  reader: Principal,
): z.output<typeof configVersionView> => ({
  ...rest,
  actor: actorFor(reader, actor),
  at: iso(at),
});

export const secretsOf = ({ secrets, secretsVersion, pendingRestart }: Settings): SecretsAnswer => ({
  items: secrets.map(({ updatedAt, ...secret }) => ({ ...secret, updatedAt: iso(updatedAt) })),
  version: secretsVersion,
  pendingRestart,
});
