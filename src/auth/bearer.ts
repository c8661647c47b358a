import { type Config, configOf } from "../config.ts";
import { within } from "../durable/deadline.ts";
import { tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { log } from "../log.ts";
import { isAdminKey } from "./admin.ts";
import { type ApiKey, isApiKey, type Refusal } from "./api-key.ts";
import { looksLikeJwt, verifyTenantToken } from "./jwt.ts";
import { keyCache } from "./key-cache.ts";
import { findKeyByHash, recordUse } from "./key-store.ts";
import type { Principal } from "./principal.ts";

const LOOK_UP_MS = 10_000;

export type Background = (work: Promise<unknown>) => void;
export type Checked = { ok: true; principal: Principal } | { ok: false; why: Refusal };

/** Whom a credential stands for; null for one that opens nothing. @throws Problem `authentication_unavailable` when that cannot be known now */
export async function principalOfBearer(token: string, env: Env, background: Background): Promise<Principal | null> {
  const checked = await checkBearer(token, env, background);
  return checked.ok ? checked.principal : null;
}

/** As `principalOfBearer`, and why not. What a credential looks like decides who is asked about it, and nobody else is. */
export async function checkBearer(token: string, env: Env, background: Background): Promise<Checked> {
  const config = configOf(env);
  if (isAdminKey(config, token)) return { ok: true, principal: admin(config) };
  if (isApiKey(token)) return known(checkKey(token, env, config, background));
  if (config.jwt !== null && looksLikeJwt(token)) return known(checkTenantToken(token, env, config));
  return { ok: false, why: "unknown" };
}

const admin = (config: Config): Principal => ({
  role: "admin",
  actor: "admin-key",
  tenantId: null,
  presented: "explicit",
  requestsPerMinute: config.rateLimitPerMinute,
  expiresAt: null,
});

async function checkKey(token: string, env: Env, config: Config, background: Background): Promise<Checked> {
  const now = Date.now();
  const checked = await keyCache.check(
    token,
    now,
    (hash) => findKeyByHash(env.DB, hash),
    ({ id }) =>
      background(recordUse(env.DB, id, now).catch((error) => log.warn("use of a key not recorded", { id, error }))),
  );
  return checked.ok ? { ok: true, principal: ofKey(checked.key, config) } : checked;
}

const ofKey = (key: ApiKey, config: Config): Principal => ({
  role: key.role,
  actor: `key:${key.id}`,
  tenantId: key.tenantId,
  presented: "explicit",
  requestsPerMinute: key.requestsPerMinute ?? config.rateLimitPerMinute,
  expiresAt: key.expiresAt,
});

/** The tenant itself is asked, every time: raising its token version revokes all its tokens at once. */
async function checkTenantToken(token: string, env: Env, config: Config): Promise<Checked> {
  if (config.jwt === null) return { ok: false, why: "unknown" };
  const verified = await verifyTenantToken(token, config.jwt, config.environment, Date.now());
  if (!verified.ok) return verified;
  const { subject, tenantId, version, expiresAt } = verified.value;
  const access = await tenantOf(env, tenantId).access();
  if (!access) return { ok: false, why: "unknown" };
  if (access.tokenVersion !== version) return { ok: false, why: "revoked" };
  const actor = `jwt:${subject}`;
  const requestsPerMinute = config.rateLimitPerMinute;
  return {
    ok: true,
    principal: { role: "tenant", actor, tenantId, presented: "explicit", requestsPerMinute, expiresAt },
  };
}

/** Whoever cannot be checked is not let in, and is not told that the credential is wrong either. */
export async function known<T>(look: Promise<T>): Promise<T> {
  try {
    return await within(LOOK_UP_MS, "authentication", look);
  } catch (error) {
    if (error instanceof Problem) throw error;
    log.error("a credential could not be checked", { error });
    throw new Problem("authentication_unavailable", "Whose credential this is cannot be found out at the moment.");
  }
}
