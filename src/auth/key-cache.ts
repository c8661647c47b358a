import { sha256 } from "../sha256.ts";
import { type ApiKey, type Refusal, refusalOf } from "./api-key.ts";

/** What an isolate may still believe of a key after another one changed it, in ms. */
export const KEY_TTL_MS = 5_000;
const USE_EVERY_MS = 60_000;
const MAX_KEYS = 1_000;

interface Known {
  key: ApiKey;
  until: number;
}

/**
 * The keys that this isolate has seen lately, by hash. Only what was found is kept, never that something was not; what
 * is changed here is forgotten at once, also where a lookup from before the change is still on its way.
 */
export class KeyCache {
  readonly #known = new Map<string, Known>();
  #changes = 0;

  /** The key behind a token, or why there is none. `find` reads the registry; `used` is called at most once a minute and key. */
  async check(
    token: string,
    now: number,
    find: (hash: string) => Promise<ApiKey | null>,
    used: (key: ApiKey) => void,
  ): Promise<{ ok: true; key: ApiKey } | { ok: false; why: Refusal }> {
    const hash = sha256(token);
    const key = this.#get(hash, now) ?? (await this.#find(hash, now, find));
    if (!key) return { ok: false, why: "unknown" };
    const why = refusalOf(key, hash, now);
    if (why) return { ok: false, why };
    if (key.lastUsedAt === null || key.lastUsedAt <= now - USE_EVERY_MS) {
      key.lastUsedAt = now;
      used(key);
    }
    return { ok: true, key };
  }

  /** A key was changed by this isolate. */
  forget(id: string): void {
    this.#changes += 1;
    for (const [hash, { key }] of this.#known) if (key.id === id) this.#known.delete(hash);
  }

  #get(hash: string, now: number): ApiKey | null {
    const known = this.#known.get(hash);
    return known !== undefined && known.until > now ? known.key : null;
  }

  async #find(hash: string, now: number, find: (hash: string) => Promise<ApiKey | null>): Promise<ApiKey | null> {
    const changes = this.#changes;
    const key = await find(hash);
    if (key && changes === this.#changes) {
      this.#known.delete(hash);
      this.#known.set(hash, { key, until: now + KEY_TTL_MS });
      const [oldest] = this.#known.keys();
      if (this.#known.size > MAX_KEYS && oldest !== undefined) this.#known.delete(oldest);
    }
    return key;
  }
}

/** This isolate's. */
export const keyCache = new KeyCache();
