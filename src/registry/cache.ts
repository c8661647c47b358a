import { findPool, findWorkload, type RegisteredPool, type RegisteredWorkload } from "./store.ts";

/** How long a registration is taken from memory without looking, and how long while looking (ms). */
const FRESH_MS = 5_000;
const USABLE_MS = 60_000;
const MAX_ENTRIES = 1_000;

export interface PoolAndWorkload {
  pool: RegisteredPool;
  workload: RegisteredWorkload;
}

interface Entry {
  value: PoolAndWorkload;
  readAt: number;
}

const entries = new Map<string, Entry>();
/** Counts what was dropped: a look that began before must not bring back what it saw. */
let drops = 0;

/**
 * A pool and its workload, from memory where they were read a moment ago: a claim costs no query of D1 in the hot path.
 * Null for an unknown pool, which is never remembered. `background` keeps the Worker alive for a look that nobody waits for.
 */
export async function poolAndWorkload(
  db: D1Database,
  id: string,
  now: number,
  background: (work: Promise<unknown>) => void,
): Promise<PoolAndWorkload | null> {
  const entry = entries.get(id);
  if (!entry || now - entry.readAt > USABLE_MS) return read(db, id, now);
  if (now - entry.readAt > FRESH_MS) {
    entry.readAt = now - FRESH_MS; // one look is enough
    background(read(db, id, now));
  }
  return entry.value;
}

/** After a change of a pool's registration, in the isolate that made it; the others notice within seconds. */
export function forgetPool(id: string): void {
  drops += 1;
  entries.delete(id);
}

/** After a change of a workload. */
export function forgetWorkload(id: string): void {
  drops += 1;
  for (const [poolId, { value }] of entries) if (value.workload.spec.id === id) entries.delete(poolId);
}

async function read(db: D1Database, id: string, now: number): Promise<PoolAndWorkload | null> {
  const begun = drops;
  const pool = await findPool(db, id);
  const workload = pool && (await findWorkload(db, pool.spec.workloadId));
  if (!pool || !workload) {
    if (begun === drops) entries.delete(id);
    return null;
  }
  const value = { pool, workload };
  if (begun !== drops) return value;
  if (entries.size >= MAX_ENTRIES) entries.clear();
  entries.set(id, { value, readAt: now });
  return value;
}
