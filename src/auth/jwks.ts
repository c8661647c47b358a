import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from "jose";

const FETCH_MS = 5_000;
/** How long a set of keys that could not be fetched is not asked for again. */
const PAUSE_MS = 5_000;

/** An issuer's keys could not be had: nothing can be said of the token. */
export class KeysUnavailable extends Error {
  constructor() {
    super("the issuer's keys could not be fetched");
    this.name = "KeysUnavailable";
  }
}

const sets = new Map<string, JWTVerifyGetKey>();

/**
 * An issuer's public keys. jose keeps them for ten minutes and asks again for an unknown key id at most twice a minute;
 * a failed fetch is not repeated for five seconds, so that tokens cannot make us flood the issuer. @throws KeysUnavailable
 */
export function keysAt(url: string): JWTVerifyGetKey {
  const known = sets.get(url);
  if (known) return known;
  const set = createRemoteJWKSet(new URL(url), {
    timeoutDuration: FETCH_MS,
    [customFetch]: (target, options) => fetch(target, options),
  });
  let failedAt = Number.NEGATIVE_INFINITY;
  const keys: JWTVerifyGetKey = async (header, token) => {
    if (Date.now() - failedAt < PAUSE_MS) throw new KeysUnavailable();
    try {
      return await set(header, token);
    } catch (error) {
      if (isAboutTheToken(error)) throw error;
      failedAt = Date.now();
      throw new KeysUnavailable();
    }
  };
  sets.set(url, keys);
  return keys;
}

/** The keys were there, and none of them, or more than one, is the token's. */
const isAboutTheToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported;
