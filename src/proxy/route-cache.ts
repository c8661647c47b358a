import type { TenantId } from "../ids.ts";
import type { Route } from "../tenant/types.ts";

export type ReadyRoute = Extract<Route, { kind: "ready" }>;

/**
 * Where each tenant was last found, per isolate. A hint only: the Instance checks tenant and epoch on every request, so
 * an entry may be wrong for any length of time and costs one detour.
 */
export class RouteCache {
  readonly #routes = new Map<TenantId, ReadyRoute>();
  readonly #capacity: number;
  constructor(capacity = 5_000) {
    this.#capacity = capacity;
  }

  get(tenantId: TenantId): ReadyRoute | undefined {
    return this.#routes.get(tenantId);
  }

  set(tenantId: TenantId, route: ReadyRoute): void {
    this.#routes.delete(tenantId);
    this.#routes.set(tenantId, route);
    if (this.#routes.size <= this.#capacity) return;
    const oldest = this.#routes.keys().next();
    if (!oldest.done) this.#routes.delete(oldest.value);
  }

  /** Forgets `route`, unless something newer took its place. */
  drop(tenantId: TenantId, route: ReadyRoute): void {
    if (this.#routes.get(tenantId) === route) this.#routes.delete(tenantId);
  }
}
