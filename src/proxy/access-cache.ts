import { known } from "../auth/bearer.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import type { TenantAccess } from "../tenant/types.ts";

/** How long an isolate believes what it heard of a tenant: so long may a revoked session or a suspended tenant go on. */
const USABLE_MS = 5_000;
/** From then on the tenant is asked again beside the requests, so that one that is busy never waits for the answer. */
const FRESH_MS = 2_500;

interface Known {
  access: TenantAccess;
  askedAt: number;
  asking: boolean;
}

/** What authentication has to know of tenants, per isolate. Tenants never seen are not remembered. */
export class AccessCache {
  readonly #known = new Map<TenantId, Known>();
  readonly #ask: (tenantId: TenantId) => Promise<TenantAccess | null>;
  readonly #capacity: number;

  constructor(ask: (tenantId: TenantId) => Promise<TenantAccess | null>, capacity = 5_000) {
    this.#ask = ask;
    this.#capacity = capacity;
  }

  /**
   * Null for a tenant never seen. A credential of a later version than is remembered is newer than the memory.
   * `background` keeps the Worker alive for a question that nobody waits for.
   */
  async get(
    tenantId: TenantId,
    presentedVersion: number | null,
    now: number,
    background: (work: Promise<unknown>) => void,
  ): Promise<TenantAccess | null> {
    const known = this.#known.get(tenantId);
    if (!known || now - known.askedAt >= USABLE_MS) return this.fresh(tenantId, now);
    if (presentedVersion !== null && presentedVersion > known.access.tokenVersion) return this.fresh(tenantId, now);
    if (now - known.askedAt >= FRESH_MS && !known.asking) {
      known.asking = true;
      background(
        this.fresh(tenantId, now).catch(() => {
          known.asking = false; // the next request asks again, and waits once this is too old
        }),
      );
    }
    return known.access;
  }

  /** What the tenant says now. */
  async fresh(tenantId: TenantId, now: number): Promise<TenantAccess | null> {
    const access = await this.#ask(tenantId);
    this.#known.delete(tenantId);
    if (!access) return null;
    this.#known.set(tenantId, { access, askedAt: now, asking: false });
    if (this.#known.size > this.#capacity) {
      const oldest = this.#known.keys().next();
      if (!oldest.done) this.#known.delete(oldest.value);
    }
    return access;
  }
}

const caches = new WeakMap<Env, AccessCache>();

/** This isolate's. */
export function accessCacheOf(env: Env): AccessCache {
  let cache = caches.get(env);
  if (!cache) {
    cache = new AccessCache((tenantId) => known(tenantOf(env, tenantId).access()));
    caches.set(env, cache);
  }
  return cache;
}
