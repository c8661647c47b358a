import { decodeJwt } from "jose";
import { bearerOf, isAdminKey } from "../auth/admin.ts";
import { isApiKey } from "../auth/api-key.ts";
import { withBackOff } from "../auth/back-off.ts";
import { known, principalOfBearer } from "../auth/bearer.ts";
import { looksLikeJwt, verifyTenantToken } from "../auth/jwt.ts";
import type { Role } from "../auth/principal.ts";
import { type Config, configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { sessionCookie } from "../sessions/cookie.ts";
import { verifySession } from "../sessions/session.ts";
import { accessCacheOf } from "./access-cache.ts";
import { type SessionBounds, UNBOUND } from "./internal.ts";
import { NOBODY_HERE } from "./place.ts";

/** Whoever a tenant's container may be shown to. */
export interface Visitor {
  /** Whether `Authorization` was a credential of ours, or is the workload's own business. */
  authorization: "ours" | "foreign";
  /** What ends a socket that they open. */
  session: SessionBounds;
}

/** What a request brings with it. */
export interface Presented {
  headers: Headers;
  /** Of an upgrade. */
  ticket: string | null;
  /** Cookies count on the tenant's own host only: under `/t/` the origin is shared. */
  cookies: "count" | "ignored";
}

interface Asked {
  request: Request;
  env: Env;
  now: number;
  background: (work: Promise<unknown>) => void;
  /** The tenant of the address; null when there is none. Looked up only for who presents something. */
  tenantId: () => Promise<TenantId | null>;
}

type Verdict = { ok: true; visitor: Visitor } | { ok: false; failure: Failure };

const UNAUTHENTICATED: Failure = {
  code: "unauthenticated",
  detail: "This address needs a key, a session or a ticket.",
};
export const SUSPENDED: Failure = { code: "suspended", detail: "The tenant is suspended." };

/**
 * Who may use a tenant's container: an admin any; a key, token, session or ticket of the tenant its own, where every
 * other tenant looks as if there were none; operators and viewers none. @throws Problem when that cannot be known now
 */
export async function visitorOf(presented: Presented, asked: Asked): Promise<Verdict> {
  const byTicket = presented.ticket === null ? null : await ofTicket(presented, presented.ticket, asked);
  if (byTicket) return byTicket;
  const cookie = presented.cookies === "count" ? sessionCookie(presented.headers.get("cookie")) : null;
  const byCookie = cookie === null ? null : await ofCookie(presented, cookie, asked);
  if (byCookie) return byCookie;
  const token = bearerOf(presented.headers.get("authorization"));
  if (token === null) return refused(UNAUTHENTICATED);
  // Under the same limits as at the API: nobody tries keys here instead.
  const tried = await withBackOff(asked.request, token, asked.env, async () => {
    const verdict = await ofBearer(token, asked);
    return { ok: verdict !== null, verdict };
  });
  return tried.verdict ?? refused(UNAUTHENTICATED);
}

/** Null when the ticket opens nothing. */
async function ofTicket(
  { headers }: Presented,
  ticket: string,
  { env, now, tenantId }: Asked,
): Promise<Verdict | null> {
  const id = await tenantId();
  // Asked before the ticket is used: one that is still good afterwards is of this version or a later one.
  const access = id && (await accessCacheOf(env).fresh(id, now));
  const admission = id && access && (await known(tenantOf(env, id).redeem("ticket", ticket)));
  if (!admission || admission.sessionExpiresAt <= now) return null;
  if (access.suspended) return refused(SUSPENDED);
  const session = { expiresAt: admission.sessionExpiresAt, tokenVersion: access.tokenVersion };
  return admitted(whose(configOf(env), headers), session);
}

/** Null for a cookie that is not of this tenant, or not valid any more. */
async function ofCookie({ headers }: Presented, cookie: string, asked: Asked): Promise<Verdict | null> {
  const { env, now, background, tenantId } = asked;
  const session = await verifySession(configOf(env), cookie, now);
  if (!session || session.tenantId !== (await tenantId())) return null;
  const access = await accessCacheOf(env).get(session.tenantId, session.tokenVersion, now, background);
  if (access?.tokenVersion !== session.tokenVersion) return null;
  if (access.suspended) return refused(SUSPENDED);
  return admitted(whose(configOf(env), headers), session);
}

/** Null for a token that opens nothing. */
async function ofBearer(token: string, asked: Asked): Promise<Verdict | null> {
  const { env, now } = asked;
  const config = configOf(env);
  if (config.jwt && looksLikeJwt(token) && !isAdminKey(config, token) && !isApiKey(token)) {
    const verified = await known(verifyTenantToken(token, config.jwt, config.environment, now));
    if (!verified.ok) return null;
    const { tenantId, version, expiresAt } = verified.value;
    return ofTenant(tenantId, { expiresAt, tokenVersion: version }, asked);
  }
  const principal = await principalOfBearer(token, env, asked.background);
  if (!principal) return null;
  if (principal.tenantId !== null)
    return ofTenant(principal.tenantId, { ...UNBOUND, expiresAt: principal.expiresAt }, asked);
  if (!MAY_USE_ANY.has(principal.role)) {
    return refused({ code: "forbidden", detail: `The role ${principal.role} does not use tenants' containers.` });
  }
  return admitted("ours", { ...UNBOUND, expiresAt: principal.expiresAt });
}

const MAY_USE_ANY: ReadonlySet<Role> = new Set<Role>(["admin"]);

/** A key or token of the tenant's own. Null when its version was revoked. */
async function ofTenant(own: TenantId, session: SessionBounds, asked: Asked): Promise<Verdict | null> {
  const { env, now, background, tenantId } = asked;
  const access = await accessCacheOf(env).get(own, session.tokenVersion, now, background);
  if (session.tokenVersion !== null && access?.tokenVersion !== session.tokenVersion) return null;
  if (!access || own !== (await tenantId())) return refused(NOBODY_HERE);
  return access.suspended ? refused(SUSPENDED) : admitted("ours", session);
}

/**
 * Of a request that something else opened: a credential that we would take is kept from the container all the same.
 * Decided by what it looks like, so that the workload's own tokens cost no look-up.
 */
function whose(config: Config, headers: Headers): "ours" | "foreign" {
  const token = bearerOf(headers.get("authorization"));
  if (token === null) return "foreign";
  return isAdminKey(config, token) || isApiKey(token) || isForUs(config, token) ? "ours" : "foreign";
}

function isForUs({ jwt }: Config, token: string): boolean {
  if (!jwt || !looksLikeJwt(token)) return false;
  try {
    const { iss, aud } = decodeJwt(token);
    return iss === jwt.issuer && [aud].flat().includes(jwt.audience);
  } catch {
    return false; // no JWT after all
  }
}

const admitted = (authorization: Visitor["authorization"], { expiresAt, tokenVersion }: SessionBounds): Verdict => ({
  ok: true,
  visitor: { authorization, session: { expiresAt, tokenVersion } },
});
const refused = (failure: Failure): Verdict => ({ ok: false, failure });
