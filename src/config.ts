import { type Environment, environmentSchema, VARIABLES, type VariableName } from "./environment.ts";
import { type PoolId, parsePoolId } from "./ids.ts";
import { type LogLevel, setLogLevel } from "./log.ts";
import type { Tier } from "./runtime/port.ts";
import { forbid } from "./secrets/redact.ts";
import { Secret } from "./secrets/secret.ts";

/**
 * The environment as one typed value. A variable that is wrong never becomes NaN or a guess: it is listed in `missing`,
 * and while anything is listed the Worker serves nothing but `/health` and `/ready`.
 */
export interface Config {
  /** The admin's bearer key; null when unset. */
  readonly adminKey: Secret | null;
  /** 32 bytes that encrypt tenants' secrets at rest; null when unset. */
  readonly secretsKey: Secret<Uint8Array<ArrayBuffer>> | null;
  /** The key before `secretsKey`: opens what was sealed under it until everything is wrapped anew; null without one. */
  readonly secretsKeyPrevious: Secret<Uint8Array<ArrayBuffer>> | null;
  readonly environment: "production" | "development";
  /** Where clients reach the API, without a slash at the end; null: as each request says. */
  readonly publicUrl: string | null;
  /** Origins whose pages may call the API with credentials. */
  readonly corsOrigins: readonly string[];
  /** Tenants' own tokens; null when they are not accepted. */
  readonly jwt: JwtConfig | null;
  /** Cloudflare Access in front of the API; null when its assertions are not accepted. */
  readonly access: AccessConfig | null;
  /** From which every tenant's gateway token is derived; null: none is delivered or sent. */
  readonly gatewayTokenSecret: Secret | null;
  readonly gatewayTokenSecretPrevious: Secret | null;
  /** Requests a minute and key, unless the key says otherwise. */
  readonly rateLimitPerMinute: number;
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
  /** How large a Vault's index may be, in bytes, before its oldest small contents are kept in R2 only. */
  readonly vaultInlineBytes: number;
  /** The least that is logged. */
  readonly logLevel: LogLevel;
  /** Names of variables that are unset or wrong and without which nothing is served. */
  readonly missing: readonly string[];
}

export interface JwtConfig {
  /** The algorithm follows from the kind, never from a token's header: HS256, or RS256 and ES256. */
  readonly keys: { readonly kind: "secret"; readonly secret: Secret } | { readonly kind: "jwks"; readonly url: string };
  readonly issuer: string;
  readonly audience: string;
}

export interface AccessConfig {
  /** `<team>.cloudflareaccess.com`. */
  readonly teamDomain: string;
  readonly audience: string;
  /** Role by e-mail address; `*` for everyone else whom Access lets in. */
  readonly roles: Readonly<Record<string, "admin" | "operator" | "viewer">>;
}

/** The longest each action may take, in ms (design §3). */
export interface Deadlines {
  readonly wakeMs: number;
  /** Doubled for the first start of a new image. */
  readonly startMs: number;
  readonly saveMs: number;
  syncMs: number;
  readonly restoreMs: number;
  readonly importMs: number;
  readonly execMs: number;
  readonly maxExecMs: number;
}

/** Without these the system has no door and no safe. */
const REQUIRED = VARIABLES.filter(({ required }) => required).map(({ name }) => name);
const SECRETS = new Set<string>(VARIABLES.filter(({ secret }) => secret).map(({ name }) => name));

const configs = new WeakMap<object, Config>();

/** The configuration of an environment object, parsed once for each. Never throws. */
export function configOf(env: object): Config {
  const known = configs.get(env);
  if (known) return known;
  const config = parseConfig(env);
  configs.set(env, config);
  setLogLevel(config.logLevel);
  for (const value of secretsOf(env)) forbid(value);
  return config;
}

/** The configured secrets as they are written, also those that are wrong: none of them is ever logged or answered. */
function secretsOf(env: object): string[] {
  return Object.entries(env).flatMap(([name, value]) =>
    SECRETS.has(name) && typeof value === "string" ? [value] : [],
  );
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
  for (const name of [...incomplete(parsed), ...unfit(parsed)]) wrong.add(name);
  for (const name of REQUIRED) if (parsed[name] === undefined) wrong.add(name);
  return {
    adminKey: secret(parsed.ADMIN_KEY),
    secretsKey: secret(parsed.SECRETS_KEY),
    secretsKeyPrevious: secret(parsed.SECRETS_KEY_PREVIOUS),
    environment: parsed.ENVIRONMENT,
    publicUrl: parsed.PUBLIC_URL ?? null,
    corsOrigins: parsed.CORS_ORIGINS,
    jwt: jwtOf(parsed),
    access: accessOf(parsed),
    gatewayTokenSecret: secret(parsed.GATEWAY_TOKEN_SECRET),
    gatewayTokenSecretPrevious: secret(parsed.GATEWAY_TOKEN_SECRET_PREVIOUS),
    rateLimitPerMinute: parsed.RATE_LIMIT_PER_MINUTE,
    tenantDomain: parsed.TENANT_DOMAIN,
    runtime: parsed.RUNTIME,
    demoPool: parsePoolId(parsed.DEMO_POOL ?? ""),
    tierCaps: parsed.TIER_CAPS,
    deadlines: {
      wakeMs: parsed.SANDBOX_WAKE_TIMEOUT_MS,
      startMs: parsed.STARTUP_TIMEOUT_MS,
      saveMs: parsed.SAVE_TIMEOUT_MS,
      syncMs: parsed.SYNC_TIMEOUT_MS,
      restoreMs: parsed.RESTORE_TIMEOUT_MS,
      importMs: parsed.IMPORT_TIMEOUT_MS,
      execMs: Math.min(parsed.DEFAULT_EXEC_TIMEOUT_MS, parsed.MAX_EXEC_TIMEOUT_MS),
      maxExecMs: parsed.MAX_EXEC_TIMEOUT_MS,
    },
    retry: { attempts: parsed.RETRY_ATTEMPTS, baseDelayMs: parsed.RETRY_BASE_DELAY_MS },
    guardHoldMs: parsed.GUARD_HOLD_MS,
    vaultInlineBytes: parsed.VAULT_INLINE_BYTES,
    logLevel: parsed.LOG_LEVEL,
    missing: [...wrong].sort(),
  };
}

const secret = <T extends string | Uint8Array>(value: T | undefined): Secret<T> | null =>
  value === undefined ? null : new Secret(value);

/** What belongs together and is there in part only: half a configuration of a door is no door. */
function incomplete(parsed: Environment): VariableName[] {
  const { JWT_SECRET, JWT_JWKS_URL, JWT_ISSUER, JWT_AUDIENCE, ACCESS_TEAM_DOMAIN, ACCESS_AUDIENCE } = parsed;
  const names: VariableName[] = [];
  if (JWT_SECRET && JWT_JWKS_URL) names.push("JWT_JWKS_URL");
  const keys = JWT_SECRET ?? JWT_JWKS_URL;
  if (keys && !JWT_ISSUER) names.push("JWT_ISSUER");
  if (keys && !JWT_AUDIENCE) names.push("JWT_AUDIENCE");
  if (ACCESS_TEAM_DOMAIN && !ACCESS_AUDIENCE) names.push("ACCESS_AUDIENCE");
  return names;
}

/** What a machine of one's own may do and production never: there is no way past a door there, and nothing is simulated. */
function unfit(parsed: Environment): VariableName[] {
  if (parsed.ENVIRONMENT !== "production") return [];
  const names: VariableName[] = (["DEV_MODE", "E2E_TEST_MODE", "DEBUG_ROUTES"] as const).filter(
    (name) => parsed[name] !== undefined,
  );
  if (parsed.RUNTIME !== "platform") names.push("RUNTIME");
  if (parsed.JWT_JWKS_URL?.startsWith("http:")) names.push("JWT_JWKS_URL");
  return names;
}

function jwtOf(parsed: Environment): JwtConfig | null {
  const { JWT_SECRET, JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = parsed;
  if (!issuer || !audience) return null;
  if (JWT_SECRET) return { keys: { kind: "secret", secret: new Secret(JWT_SECRET) }, issuer, audience };
  return url ? { keys: { kind: "jwks", url }, issuer, audience } : null;
}

function accessOf({ ACCESS_TEAM_DOMAIN, ACCESS_AUDIENCE, ACCESS_ROLES }: Environment): AccessConfig | null {
  if (!ACCESS_TEAM_DOMAIN || !ACCESS_AUDIENCE) return null;
  return { teamDomain: ACCESS_TEAM_DOMAIN, audience: ACCESS_AUDIENCE, roles: ACCESS_ROLES };
}
