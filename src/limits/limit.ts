import type { Principal } from "../auth/principal.ts";
import { within } from "../durable/deadline.ts";
import { limiterOf } from "../durable/stubs.ts";
import { log } from "../log.ts";
import type { Failure } from "../outcome.ts";
import { rateLimitHeaders } from "./headers.ts";

/** The limit of `COARSE_LIMIT` in wrangler.jsonc; a test compares the two. */
export const COARSE_PER_MINUTE = 30_000;
const COUNT_MS = 2_000;
const MINUTE_MS = 60_000;

export interface Spent {
  /** Null: the request may go on. */
  refusal: Failure | null;
  headers: Record<string, string>;
}

/**
 * Takes one request out of a principal's minute. A count that cannot be had lets the request pass: the limit protects
 * the service, and must not be what takes it down.
 */
export async function spend(principal: Principal, env: Env): Promise<Spent> {
  const { requestsPerMinute: perMinute } = principal;
  if (perMinute === null) return { refusal: null, headers: {} };
  const name = limiterName(principal);
  if (perMinute <= COARSE_PER_MINUTE && !(await env.COARSE_LIMIT.limit({ key: name })).success) {
    const allowance = { waitMs: MINUTE_MS, remaining: 0, fullInMs: MINUTE_MS };
    return { refusal: refused(perMinute, MINUTE_MS), headers: rateLimitHeaders(perMinute, allowance) };
  }
  try {
    const allowance = await within(COUNT_MS, "the count of requests", limiterOf(env, name).take(perMinute));
    const refusal = allowance.waitMs > 0 ? refused(perMinute, allowance.waitMs) : null;
    return { refusal, headers: rateLimitHeaders(perMinute, allowance) };
  } catch (error) {
    log.warn("a request was not counted", { actor: principal.actor, error });
    return { refusal: null, headers: {} };
  }
}

/** Whose minute it is: subjects of tokens are unique within a tenant only. */
/** The tenant first: its id has no space, and an actor (what a token's `sub` says) may have anything. */
const limiterName = ({ actor, tenantId }: Principal): string => `principal:${tenantId ?? ""} ${actor}`;

const refused = (perMinute: number, retryAfterMs: number): Failure => ({
  code: "rate_limited",
  detail: `This key may send ${perMinute} requests a minute.`,
  retryAfterMs,
});
