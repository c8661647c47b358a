import { z } from "zod";
import { type PoolId, parsePoolId, SLUG } from "./ids.ts";
import { TIERS, type Tier } from "./runtime/port.ts";

/**
 * The environment as one typed value. A variable that is wrong never becomes NaN or a guess: it is listed in `missing`,
 * and while anything is listed the Worker serves nothing but `/health` and `/ready`.
 */
export interface Config {
  /** The admin's bearer key; null when unset. */
  readonly adminKey: string | null;
  /** 32 bytes that encrypt tenants' secrets at rest; null when unset. */
  readonly secretsKey: Uint8Array<ArrayBuffer> | null;
  /** The registrable domain under which every tenant has a host of its own, without a port; `localhost` when unset. */
  readonly tenantDomain: string;
  readonly runtime: "platform" | "simulated";
  /** A pool that must exist and be warm before `/ready` says so. */
  readonly demoPool: PoolId | null;
  /** Most containers that may run or start at a time, by tier (P-CAP). */
  readonly tierCaps: Readonly<Record<Tier, number>>;
  readonly deadlines: Deadlines;
  readonly retry: { readonly attempts: number; readonly baseDelayMs: number };
  /** How long a container whose save a guard refused is kept, in ms. */
  readonly guardHoldMs: number;
  /** Names of variables that are unset or wrong and without which nothing is served. */
  readonly missing: readonly string[];
}

/** The longest each action may take, in ms (design §3). */
export interface Deadlines {
  readonly wakeMs: number;
  /** Doubled for the first start of a new image. */
  readonly startMs: number;
  readonly saveMs: number;
  readonly restoreMs: number;
  readonly execMs: number;
  readonly maxExecMs: number;
}

const DEFAULT_TIER_CAPS: Record<Tier, number> = {
  lite: 200,
  basic: 100,
  "standard-1": 50,
  "standard-2": 25,
  "standard-3": 12,
  "standard-4": 6,
};

const integer = (min: number, max: number, fallback: number) =>
  z
    .union([
      z
        .string()
        .regex(/^\d{1,12}$/)
        .transform(Number),
      z.number(),
    ])
    .pipe(z.int().min(min).max(max))
    .default(fallback);

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

/** Every variable that the Worker reads; `.dev.vars.example` lists the same names. */
export const environmentSchema = z.object({
  ADMIN_KEY: z.string().min(16).max(1024).optional(),
  SECRETS_KEY: base64Key.optional(),
  TENANT_DOMAIN: host.default("localhost"),
  RUNTIME: z.enum(["platform", "simulated"]).default("platform"),
  DEMO_POOL: z.string().regex(SLUG).optional(),
  TIER_CAPS: z.union([json.pipe(tierCaps), tierCaps]).default(DEFAULT_TIER_CAPS),
  SANDBOX_WAKE_TIMEOUT_MS: integer(10_000, 600_000, 120_000),
  STARTUP_TIMEOUT_MS: integer(10_000, 900_000, 180_000),
  SAVE_TIMEOUT_MS: integer(1_000, 900_000, 120_000),
  RESTORE_TIMEOUT_MS: integer(1_000, 900_000, 300_000),
  DEFAULT_EXEC_TIMEOUT_MS: integer(100, 900_000, 60_000),
  MAX_EXEC_TIMEOUT_MS: integer(1_000, 900_000, 300_000),
  RETRY_ATTEMPTS: integer(1, 10, 3),
  RETRY_BASE_DELAY_MS: integer(10, 60_000, 1_000),
  GUARD_HOLD_MS: integer(1_000, 604_800_000, 3_600_000),
});

/** Without these the system has no door and no safe. */
const REQUIRED = ["ADMIN_KEY", "SECRETS_KEY"] as const;

const configs = new WeakMap<object, Config>();

/** The configuration of an environment object, parsed once for each. Never throws. */
export function configOf(env: object): Config {
  const known = configs.get(env);
  if (known) return known;
  const config = parseConfig(env);
  configs.set(env, config);
  return config;
}

/** Pure. Empty strings count as unset. */
export function parseConfig(env: object): Config {
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name in environmentSchema.shape && value !== "") given[name] = value;
  }
  const wrong = new Set<string>(environmentSchema.safeParse(given).error?.issues.map((issue) => String(issue.path[0])));
  const right = Object.entries(given).filter(([name]) => !wrong.has(name));
  // What is wrong falls back to its default for the objects that run on, and is listed, which closes the door.
  const parsed = environmentSchema.parse(Object.fromEntries(right));
  if (parsed.DEFAULT_EXEC_TIMEOUT_MS > parsed.MAX_EXEC_TIMEOUT_MS) wrong.add("DEFAULT_EXEC_TIMEOUT_MS");
  for (const name of REQUIRED) if (parsed[name] === undefined) wrong.add(name);
  return {
    adminKey: parsed.ADMIN_KEY ?? null,
    secretsKey: parsed.SECRETS_KEY ?? null,
    tenantDomain: parsed.TENANT_DOMAIN,
    runtime: parsed.RUNTIME,
    demoPool: parsePoolId(parsed.DEMO_POOL ?? ""),
    tierCaps: parsed.TIER_CAPS,
    deadlines: {
      wakeMs: parsed.SANDBOX_WAKE_TIMEOUT_MS,
      startMs: parsed.STARTUP_TIMEOUT_MS,
      saveMs: parsed.SAVE_TIMEOUT_MS,
      restoreMs: parsed.RESTORE_TIMEOUT_MS,
      execMs: Math.min(parsed.DEFAULT_EXEC_TIMEOUT_MS, parsed.MAX_EXEC_TIMEOUT_MS),
      maxExecMs: parsed.MAX_EXEC_TIMEOUT_MS,
    },
    retry: { attempts: parsed.RETRY_ATTEMPTS, baseDelayMs: parsed.RETRY_BASE_DELAY_MS },
    guardHoldMs: parsed.GUARD_HOLD_MS,
    missing: [...wrong].sort(),
  };
}
