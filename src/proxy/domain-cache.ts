import type { TenantId } from "../ids.ts";

/** How long an isolate believes what the registry said of a host, that it has none included. */
const USABLE_MS = 30_000;

/** Whom custom hosts belong to, per isolate. Whoever sends made-up hosts fills it with nothing and empties it, no more. */
export class DomainCache {
  readonly #known = new Map<string, { tenantId: TenantId | null; until: number }>();
  readonly #capacity: number;

  constructor(capacity = 2_000) {
    this.#capacity = capacity;
  }

  /** Undefined when it has to be looked up. */
  get(host: string, now: number): TenantId | null | undefined {
    const known = this.#known.get(host);
    return known && known.until > now ? known.tenantId : undefined;
  }

  set(host: string, tenantId: TenantId | null, now: number): void {
    if (this.#known.size >= this.#capacity) this.#known.clear();
    this.#known.set(host, { tenantId, until: now + USABLE_MS });
  }

  /** This isolate changed it. */
  forget(host: string): void {
    this.#known.delete(host);
  }
}

export const domainCache = new DomainCache();
