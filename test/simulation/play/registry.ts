import { failed, type Outcome } from "../../../src/outcome.ts";
import type { PoolDescription } from "../../../src/pool/types.ts";
import { type PoolSpec, poolSchema, type Workload, workloadSchema } from "../../../src/registry/specs.ts";
import { findPool, findWorkload, insertPool } from "../../../src/registry/store.ts";
import { insertWorkload, replaceWorkload } from "../../../src/registry/workloads.ts";
import type { PoolEvent } from "../history/events.ts";
import type { PoolSetup, Setup } from "../history/setup.ts";
import type { World } from "../world/types.ts";
import { poolName } from "./names.ts";

const BY = { actor: "admin-key", requestId: null };
const NO_POOL = failed("not_found", "There is no such pool.");

/** What is registered, and the changes of it: first in D1, then the Pool is told, as the API does it. */
export class Registry {
  readonly setup: Setup;
  readonly #world: World;
  /** Of each pool's workload: counted up with every version. */
  readonly #versions: number[];

  constructor(world: World, setup: Setup) {
    this.#world = world;
    this.setup = setup;
    this.#versions = setup.pools.map(() => 0);
  }

  async createAll(env: Env): Promise<void> {
    for (const [index, pool] of this.setup.pools.entries()) {
      await insertWorkload(env.DB, workloadOf(index, pool, 0), BY, this.#world.now);
      await this.#create(env, index);
    }
  }

  async exists(env: Env, pool: number): Promise<boolean> {
    return (await findPool(env.DB, poolName(this.#index(pool)))) !== null;
  }

  async upgrade(env: Env, pool: number): Promise<Outcome<unknown> | null> {
    const index = this.#index(pool);
    const version = (this.#versions[index] ?? 0) + 1;
    this.#versions[index] = version;
    const spec = workloadOf(index, this.#setup(index), version);
    const changed = await replaceWorkload(env.DB, spec, null, BY, this.#world.now);
    if (changed.kind !== "changed" && changed.kind !== "same") return null;
    return this.#pool(env, index).upgrade(changed.workload.spec, changed.workload.version, BY);
  }

  async pool(env: Env, pool: number, change: PoolEvent): Promise<Outcome<unknown> | null> {
    const index = this.#index(pool);
    const object = this.#pool(env, index);
    if (change.kind === "create") return this.#create(env, index);
    const registered = await findPool(env.DB, poolName(index));
    if (!registered) return NO_POOL;
    switch (change.kind) {
      case "pause":
        return object.pause("paused", BY);
      case "resume":
        return object.pause("running", BY);
      case "reset-breaker":
        return object.resetBreaker(BY);
      case "scale":
        return object.scale(change.target, BY);
      case "delete":
        return object.drain(change.release ? "release" : "refuse", 0, BY);
      case "resize":
        return this.#resize(env, { ...registered.spec, minSize: change.minSize, maxSize: change.maxSize });
    }
  }

  /** Somebody looks at everything that there is, which sets an alarm that the platform lost; then the daily sweep, as it is. */
  async sweep(env: Env): Promise<null> {
    const { tenantOf, poolOf, vaultOf } = this.#world.modules.stubs;
    const ids = async (sql: string) => (await env.DB.prepare(sql).all<{ id: string }>()).results.map(({ id }) => id);
    for (const id of await ids("SELECT tenant_id AS id FROM tenants")) {
      await tenantOf(env, id as never).status(id as never);
      await vaultOf(env, id as never).describe();
    }
    for (const id of await ids("SELECT id FROM pools")) await poolOf(env, id as never).describe();
    await this.#world.modules.sweepDaily(env, this.#world.now);
    return null;
  }

  async #create(env: Env, index: number): Promise<Outcome<PoolDescription>> {
    const spec = poolOf(index, this.#setup(index));
    await insertPool(env.DB, spec, this.#world.now);
    return this.#configure(env, spec);
  }

  async #resize(env: Env, spec: PoolSpec): Promise<Outcome<PoolDescription>> {
    await env.DB.prepare("UPDATE pools SET spec = ?, version = version + 1, updated_at = ? WHERE id = ?")
      .bind(JSON.stringify(spec), this.#world.now, spec.id)
      .run();
    return this.#configure(env, spec);
  }

  async #configure(env: Env, spec: PoolSpec): Promise<Outcome<PoolDescription>> {
    const workload = await findWorkload(env.DB, spec.workloadId);
    if (!workload) return NO_POOL;
    const object = this.#world.modules.stubs.poolOf(env, spec.id as never);
    return object.configure(spec, workload.spec, workload.version, BY);
  }

  #pool(env: Env, index: number) {
    return this.#world.modules.stubs.poolOf(env, poolName(index));
  }
  #index = (pool: number): number => pool % this.setup.pools.length;
  #setup(index: number): PoolSetup {
    const setup = this.setup.pools[index];
    if (!setup) throw new Error(`there is no pool ${index}`);
    return setup;
  }
}

function workloadOf(index: number, { hasState }: PoolSetup, version: number): Workload {
  return workloadSchema.parse({
    id: `w${index}`,
    image: "sandbox",
    port: 8080,
    environment: { VERSION: String(version) },
    ...(hasState ? { volumes: { state: { containerPath: "/data" } } } : {}),
  });
}

const poolOf = (index: number, { minSize, maxSize, idleTimeoutMs, upgrade }: PoolSetup): PoolSpec =>
  poolSchema.parse({
    id: poolName(index),
    workloadId: `w${index}`,
    minSize,
    maxSize,
    idleTimeoutMs,
    upgrade: { policy: upgrade },
  });
