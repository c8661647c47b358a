import { configOf } from "../config.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { fleetOf } from "../durable/stubs.ts";
import type { FleetFigures } from "../fleet/types.ts";
import { log } from "../log.ts";
import { TIERS, type Tier } from "../runtime/port.ts";

/** The system in numbers, as D1's projections and the Fleet have them. */
export interface Stats {
  pools: number;
  /** Of containers that run or start: those that serve a tenant, and all. */
  containers: { used: number; total: number };
  tenantsActive: number;
  /** By state; states that no tenant is in are left out. */
  tenants: Record<string, number>;
  /** Of tenants: saved and well; with changes that no container holds any more; whose save failed. */
  sync: { ok: number; warn: number; errors: number };
  /** `leased`: those that serve a tenant, as D1 was told. Null where the Fleet does not answer. */
  capacity: Record<Tier, { running: number | null; cap: number; leased: number; waiting: number | null }>;
}

/** Containers by pool, state and tier. */
export interface ContainerCount {
  poolId: string;
  state: string;
  tier: string;
  count: number;
}

const FLEET_MS = 2_000;
/** What is neither saved nor in a container has nothing to save, and counts nowhere. */
const SYNC = `SELECT
  COUNT(*) FILTER (WHERE state = 'release_failed') AS errors,
  COUNT(*) FILTER (WHERE state <> 'release_failed' AND container_id IS NULL AND unsaved_since IS NOT NULL) AS warn,
  COUNT(*) FILTER (WHERE state <> 'release_failed' AND (container_id IS NOT NULL OR (unsaved_since IS NULL AND generation > 0))) AS ok
  FROM tenants`;

export async function readStats(env: Env): Promise<{ stats: Stats; containers: ContainerCount[] }> {
  const db = env.DB;
  const [rows, fleet] = await Promise.all([
    db.batch([
      db.prepare("SELECT COUNT(*) AS count FROM pools"),
      db.prepare("SELECT state, COUNT(*) AS count FROM tenants GROUP BY state ORDER BY state"),
      db.prepare(SYNC),
      db.prepare(
        "SELECT pool_id AS poolId, state, tier, COUNT(*) AS count FROM containers GROUP BY pool_id, state, tier ORDER BY 1, 2, 3",
      ),
    ]),
    fleetFigures(env),
  ]);
  const [pools, byState, sync, byPool] = rows.map(({ results }) => results);
  const containers = (byPool ?? []) as ContainerCount[];
  const serving = containers.filter(({ state }) => state === "assigned");
  const tenants = Object.fromEntries(
    ((byState ?? []) as { state: string; count: number }[]).map(({ state, count }) => [state, count]),
  );
  const { ok = 0, warn = 0, errors = 0 } = (sync?.[0] ?? {}) as Partial<Stats["sync"]>;
  const { tierCaps } = configOf(env);
  return {
    containers,
    stats: {
      pools: (pools?.[0] as { count: number } | undefined)?.count ?? 0,
      containers: {
        used: sum(serving),
        total: sum(containers.filter(({ state }) => state !== "draining" && state !== "failed")),
      },
      tenantsActive: tenants.active ?? 0,
      tenants,
      sync: { ok, warn, errors },
      capacity: Object.fromEntries(
        TIERS.map((tier) => [
          tier,
          {
            running: fleet && (fleet.counts[tier] ?? 0),
            cap: tierCaps[tier],
            leased: sum(serving.filter((count) => count.tier === tier)),
            waiting: fleet && (fleet.waiting[tier] ?? 0),
          },
        ]),
      ) as Stats["capacity"],
    },
  };
}

const sum = (counts: readonly ContainerCount[]): number => counts.reduce((total, { count }) => total + count, 0);

async function fleetFigures(env: Env): Promise<FleetFigures | null> {
  try {
    return await within(FLEET_MS, "fleet", fleetOf(env).figures());
  } catch (error) {
    log.warn("the fleet did not answer", { error: messageOf(error) });
    return null;
  }
}
