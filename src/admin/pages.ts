import { within } from "../durable/deadline.ts";
import { poolOf } from "../durable/stubs.ts";
import { type PoolId, parsePoolId } from "../ids.ts";

/** Objects asked at a time. */
const AT_ONCE = 8;
const ASK_MS = 15_000;

export const listPoolIds = async (db: D1Database, after: string, limit: number): Promise<PoolId[]> => {
  const { results } = await db
    .prepare("SELECT id FROM pools WHERE id > ? ORDER BY id LIMIT ?")
    .bind(after, limit)
    .all<{ id: string }>();
  return results.flatMap(({ id }) => parsePoolId(id) ?? []);
};

const PAGE = 100;

async function allPoolIds(db: D1Database): Promise<PoolId[]> {
  const all: PoolId[] = [];
  for (;;) {
    const page = await listPoolIds(db, all.at(-1) ?? "", PAGE);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/**
 * The next tenants of the deployment by id: everyone whom D1 shows, has a host label of, or a pool ever gave a
 * container to. So a tenant is found whose row in D1 is lost. `silent` is told of a pool that does not answer, and throws where
 * nobody may be left out unseen.
 */
export async function tenantsAfter(
  env: Env,
  after: string,
  limit: number,
  silent: (pool: PoolId, error: unknown) => void = (_, error) => {
    throw error;
  },
): Promise<string[]> {
  const listed = env.DB.prepare(
    `SELECT tenant_id FROM tenants WHERE tenant_id > ?1
     UNION SELECT tenant_id FROM tenant_hosts WHERE tenant_id > ?1 ORDER BY tenant_id LIMIT ?2`,
  )
    .bind(after, limit)
    .all<{ tenant_id: string }>();
  const pools = await allPoolIds(env.DB);
  const leased = await inTurns(pools, (id) =>
    within(ASK_MS, "tenants", poolOf(env, id).tenants(after, limit)).catch((error) => {
      silent(id, error);
      return [];
    }),
  );
  const known = (await listed).results.map((row) => row.tenant_id);
  return firstOf([known, ...leased], limit);
}

/** The first ids of several ordered lists together. Pure; in the order of code units, as D1 has them. */
export const firstOf = (lists: readonly (readonly string[])[], limit: number): string[] =>
  [...new Set(lists.flat())].sort().slice(0, limit);

/** Each of them, a few at a time, in the order given. */
export async function inTurns<T, R>(items: readonly T[], each: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await each(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return results;
}
