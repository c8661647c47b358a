import { z } from "zod";
import { SLUG } from "./ids.ts";
import { LOG_LEVELS } from "./log.ts";
import { TIERS, type Tier } from "./runtime/port.ts";

/**
 * Every variable that the Worker reads: its schema, and what a person has to know of it. The typed configuration
 * (config.ts), `.dev.vars.example` and docs/configuration.md are all made from this one table.
 */
export interface Variable {
  group:
    | "Required"
    | "Addresses"
    | "Who may come in"
    | "Tenants' tokens"
    | "Containers"
    | "State"
    | "Times"
    | "Log"
    | "Refused";
  /** One sentence, without the range. */
  about: string;
  /** Which values are right, in words. */
  range: string;
  /** `wrangler secret put`, never a variable in wrangler.jsonc; no log, answer or error ever holds it. */
  secret?: true;
}

/** What is known of each variable, by its schema. */
export const variables = z.registry<Variable>();

const DEFAULT_TIER_CAPS: Record<Tier, number> = {
  lite: 200,
  basic: 100,
  "standard-1": 50,
  "standard-2": 25,
  "standard-3": 12,
  "standard-4": 6,
};

const digits = z
  .string()
  .regex(/^\d{1,12}$/)
  .transform(Number);
const ms = (min: number, max: number, fallback: number, about: string) =>
  integer(min, max, fallback, { group: "Times", about, range: `${min} to ${max} ms` });
const integer = (min: number, max: number, fallback: number, variable: Variable) =>
  z.union([digits, z.number()]).pipe(z.int().min(min).max(max)).default(fallback).register(variables, variable);

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "must be JSON" });
    return z.NEVER;
  }
});

const base64Key = z.base64().transform((text, context) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  if (bytes.length === 32) return bytes;
  context.addIssue({ code: "custom", message: "must be 32 bytes in base64" });
  return z.NEVER;
});

const tierCaps = z
  .partialRecord(z.enum(TIERS), z.int().min(0).max(100_000))
  .transform((caps) => ({ ...DEFAULT_TIER_CAPS, ...caps }));

const host = z
  .string()
  .max(253)
  .regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);

const accessRoles = z.record(z.union([z.email(), z.literal("*")]), z.enum(["admin", "operator", "viewer"]));
// A failed check does not stop the next one, and nothing here may throw.
const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;
const origin = z.url({ protocol: /^https?$/ }).refine(isOrigin, "must be an origin");
const origins = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(z.array(origin).max(100));
const url = z.url({ protocol: /^https?$/ });
const words = z.string().min(1).max(512);
const longSecret = z.string().min(32).max(1024);

const refused = (name: string): Variable => ({
  group: "Refused",
  about: `There is no ${name}: whoever sets it expects a door that does not exist.`,
  range: "unset in production",
});

export const environmentSchema = z.object({
  ADMIN_KEY: z.string().min(16).max(1024).optional().register(variables, {
    group: "Required",
    about: "The admin's bearer key, valid for as long as it is set; change it to rotate it.",
    range: "16 to 1024 characters",
    secret: true,
  }),
  SECRETS_KEY: base64Key.optional().register(variables, {
    group: "Required",
    about: "Encrypts at rest whatever is secret (AES-256-GCM).",
    range: "32 random bytes in base64",
    secret: true,
  }),
  SECRETS_KEY_PREVIOUS: base64Key.optional().register(variables, {
    group: "Required",
    about: "The `SECRETS_KEY` before this one, until everything is sealed anew.",
    range: "32 bytes in base64",
    secret: true,
  }),
  ENVIRONMENT: z.enum(["production", "development"]).default("production").register(variables, {
    group: "Required",
    about: "What this deployment is; `npm start`, tests and benches say `development`.",
    range: "production, development",
  }),
  PUBLIC_URL: origin.optional().register(variables, {
    group: "Addresses",
    about: "Where clients reach the API; unset: as each request says.",
    range: "an origin, as in https://api.example.com",
  }),
  TENANT_DOMAIN: host.default("localhost").register(variables, {
    group: "Addresses",
    about: "Tenants are reached at {tenant}.TENANT_DOMAIN: another registrable domain than the API's.",
    range: "a host name without a port",
  }),
  CORS_ORIGINS: origins.default([]).register(variables, {
    group: "Addresses",
    about: "Origins whose pages may call the API.",
    range: "up to 100 origins, separated by commas",
  }),
  JWT_SECRET: longSecret.optional().register(variables, {
    group: "Who may come in",
    about: "Tenants' tokens are signed with it (HS256).",
    range: "32 to 1024 characters; not together with JWT_JWKS_URL",
    secret: true,
  }),
  JWT_JWKS_URL: url.optional().register(variables, {
    group: "Who may come in",
    about: "Where the public keys of tenants' tokens are (RS256, ES256).",
    range: "a URL; https in production; not together with JWT_SECRET",
  }),
  JWT_ISSUER: words.optional().register(variables, {
    group: "Who may come in",
    about: "`iss` of tenants' tokens.",
    range: "1 to 512 characters; needed with either of the above",
  }),
  JWT_AUDIENCE: words.optional().register(variables, {
    group: "Who may come in",
    about: "`aud` of tenants' tokens.",
    range: "1 to 512 characters; needed with either of the above",
  }),
  ACCESS_TEAM_DOMAIN: host.optional().register(variables, {
    group: "Who may come in",
    about: "The Cloudflare Access team whose assertions are accepted.",
    range: "a host name, as in team.cloudflareaccess.com",
  }),
  ACCESS_AUDIENCE: words.optional().register(variables, {
    group: "Who may come in",
    about: "The audience tag of the Access application.",
    range: "1 to 512 characters; needed with ACCESS_TEAM_DOMAIN",
  }),
  ACCESS_ROLES: z
    .union([json.pipe(accessRoles), accessRoles])
    .default({})
    .register(variables, {
      group: "Who may come in",
      about: "The role of each e-mail address that Access lets in; `*` for all others.",
      range: 'JSON, as in {"ann@example.com":"admin","*":"viewer"}',
    }),
  RATE_LIMIT_PER_MINUTE: integer(1, 1_000_000, 6_000, {
    group: "Who may come in",
    about: "Requests a minute and key, unless the key says otherwise.",
    range: "1 to 1000000",
  }),
  GATEWAY_TOKEN_SECRET: longSecret.optional().register(variables, {
    group: "Tenants' tokens",
    about: "Every tenant's gateway token is derived from it; unset: none is delivered or sent.",
    range: "32 to 1024 characters",
    secret: true,
  }),
  GATEWAY_TOKEN_SECRET_PREVIOUS: longSecret.optional().register(variables, {
    group: "Tenants' tokens",
    about: "The one before, accepted until every container was started anew.",
    range: "32 to 1024 characters",
    secret: true,
  }),
  RUNTIME: z.enum(["platform", "simulated"]).default("platform").register(variables, {
    group: "Containers",
    about: "Cloudflare's containers, or simulated ones that run nothing.",
    range: "platform, simulated (not in production)",
  }),
  DEMO_POOL: z.string().regex(SLUG).optional().register(variables, {
    group: "Containers",
    about: "GET /ready waits until this pool has its warm slots.",
    range: "the id of a pool",
  }),
  TIER_CAPS: z
    .union([json.pipe(tierCaps), tierCaps])
    .default(DEFAULT_TIER_CAPS)
    .register(variables, {
      group: "Containers",
      about: "Most containers at a time by tier, over the defaults.",
      range: 'JSON, as in {"lite":200,"standard-1":20}; each 0 to 100000',
    }),
  SANDBOX_WAKE_TIMEOUT_MS: ms(10_000, 600_000, 120_000, "The longest wake of a tenant that sleeps."),
  STARTUP_TIMEOUT_MS: ms(10_000, 900_000, 180_000, "The longest start of a container; twice that for a new image."),
  SAVE_TIMEOUT_MS: ms(1_000, 900_000, 120_000, "The longest save."),
  SYNC_TIMEOUT_MS: ms(1_000, 3_600_000, 600_000, "The longest sync of a sync spec."),
  RESTORE_TIMEOUT_MS: ms(1_000, 900_000, 300_000, "The longest restore."),
  IMPORT_TIMEOUT_MS: ms(10_000, 3_600_000, 900_000, "The longest import of a tar, or copy of a tenant's state."),
  DEFAULT_EXEC_TIMEOUT_MS: ms(100, 900_000, 60_000, "How long a command may run; at most MAX_EXEC_TIMEOUT_MS."),
  MAX_EXEC_TIMEOUT_MS: ms(1_000, 900_000, 300_000, "The longest that a request may ask for."),
  RETRY_ATTEMPTS: integer(1, 10, 3, {
    group: "Times",
    about: "How often what certainly did not happen is tried.",
    range: "1 to 10",
  }),
  RETRY_BASE_DELAY_MS: ms(10, 60_000, 1_000, "The wait before the second try; it grows with each."),
  GUARD_HOLD_MS: ms(1_000, 604_800_000, 3_600_000, "How long a container is kept whose save a guard refused."),
  VAULT_INLINE_BYTES: integer(65_536, 8_000_000_000, 2_000_000_000, {
    group: "State",
    about: "How large the index of a tenant's saved state may be before its oldest small files are kept in R2 only.",
    range: "65536 to 8000000000 bytes",
  }),
  LOG_LEVEL: z
    .enum(LOG_LEVELS)
    .default("info")
    .register(variables, {
      group: "Log",
      about: "The least that is logged.",
      range: LOG_LEVELS.join(", "),
    }),
  DEV_MODE: z.unknown().optional().register(variables, refused("development mode")),
  E2E_TEST_MODE: z.unknown().optional().register(variables, refused("test mode")),
  DEBUG_ROUTES: z.unknown().optional().register(variables, refused("route for debugging")),
});

export type Environment = z.output<typeof environmentSchema>;
export type VariableName = keyof Environment;

/** Every variable in the order of the table, with what is known of it. A variable without its words does not get past here. */
export const VARIABLES: readonly (Variable & { name: VariableName; required: boolean; fallback: unknown })[] =
  Object.entries(environmentSchema.shape).map(([name, schema]) => {
    const variable = variables.get(schema);
    if (!variable) throw new Error(`${name} has no description`);
    const required = name === "ADMIN_KEY" || name === "SECRETS_KEY";
    return { ...variable, name: name as VariableName, required, fallback: schema.safeParse(undefined).data };
  });
