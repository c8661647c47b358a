import type { Allowance } from "./types.ts";

/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): what is left of a minute's requests. Pure. */
export function rateLimitHeaders(perMinute: number, { remaining, fullInMs }: Allowance): Record<string, string> {
  return {
    "ratelimit-policy": `"minute";q=${perMinute};w=60`,
    ratelimit: `"minute";r=${remaining};t=${Math.ceil(fullInMs / 1_000)}`,
  };
}
