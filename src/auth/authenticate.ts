import { type Config, configOf } from "../config.ts";
import { Problem } from "../errors/problem.ts";
import { ASSERTION, verifyAssertion } from "./access.ts";
import { bearerOf } from "./admin.ts";
import type { Refusal } from "./api-key.ts";
import { withBackOff } from "./back-off.ts";
import { type Background, checkBearer, known } from "./bearer.ts";
import { isForged } from "./csrf.ts";
import type { Principal } from "./principal.ts";

/**
 * Who asks: by the credential in `Authorization`, and only without one by what Cloudflare Access says. `background` keeps
 * the Worker alive for work that the answer does not wait for.
 * @throws Problem `unauthenticated`, `rate_limited` after many failures, `forbidden` for people without a role and for
 * pages of others, `authentication_unavailable`
 */
export async function authenticate(request: Request, env: Env, background: Background): Promise<Principal> {
  const config = configOf(env);
  const authorization = request.headers.get("authorization");
  if (authorization) return bearer(request, authorization, env, background);
  const assertion = request.headers.get(ASSERTION);
  if (assertion !== null && config.access !== null) return person(request, assertion, env, config);
  throw new Problem("unauthenticated", "This needs a key.");
}

async function bearer(request: Request, authorization: string, env: Env, background: Background): Promise<Principal> {
  const token = bearerOf(authorization);
  if (token === null) throw new Problem("unauthenticated", "The Authorization header is not `Bearer <key>`.");
  const checked = await withBackOff(request, token, env, () => checkBearer(token, env, background));
  if (!checked.ok) throw new Problem("unauthenticated", DETAIL[checked.why]);
  const { principal } = checked;
  return isOwnMachine(principal, request) ? { ...principal, requestsPerMinute: null } : principal;
}

async function person(request: Request, assertion: string, env: Env, config: Config): Promise<Principal> {
  const { access } = config;
  if (access === null) throw new Problem("unauthenticated", "This needs a key.");
  const checked = await withBackOff(request, assertion, env, () =>
    known(verifyAssertion(assertion, access, Date.now())),
  );
  if (!checked.ok) throw new Problem("unauthenticated", DETAIL[checked.why]);
  const { email, role, expiresAt } = checked.person;
  if (role === null) throw new Problem("forbidden", "Your address has no role here: an admin adds it to ACCESS_ROLES.");
  if (isForged(request, originsOf(request, config))) {
    throw new Problem("forbidden", "Pages of other origins may not do this.");
  }
  const requestsPerMinute = config.rateLimitPerMinute;
  return { role, actor: `access:${email}`, tenantId: null, presented: "ambient", requestsPerMinute, expiresAt };
}

const originsOf = (request: Request, { publicUrl, corsOrigins }: Config): string[] => [
  new URL(request.url).origin,
  ...(publicUrl === null ? [] : [publicUrl]),
  ...corsOrigins,
];

/** What is wrong is said only of a credential that was right once; of any other nothing is. */
const DETAIL: Record<Refusal, string> = {
  unknown: "This credential is not valid.",
  expired: "This credential has expired.",
  revoked: "This credential was revoked.",
};

/** The admin's key on one's own machine has no limit (contract: Roles). On the platform no request has such a host. */
const isOwnMachine = (principal: Principal, request: Request): boolean =>
  principal.actor === "admin-key" && LOCAL.has(new URL(request.url).hostname);
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);
