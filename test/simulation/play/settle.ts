import { brokenAt, type ChainedEntry } from "../../../src/audit/entry.ts";
import { breakerState, refillFrom } from "../../../src/pool/breaker.ts";
import type { PoolRecord } from "../../../src/pool/record.ts";
import { isDeleted, targetOf, tierOf } from "../../../src/pool/record.ts";
import { nothingLost, poolAtRest, type RestingPool, sameRows, tenantAtRest, vaultAtRest } from "../audit/settled.ts";
import type { Violation } from "../audit/violation.ts";
import { violation } from "../audit/violation.ts";
import { NO_FAULTS } from "../world/faults.ts";
import type { ObjectView, World } from "../world/types.ts";
import type { Client } from "./client.ts";
import type { Registry } from "./registry.ts";
import type { Watch } from "./watch.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** How the clock runs on once nothing goes wrong any more: looked at after each, until everything is at rest. */
const ROUNDS_MS = [5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR];
/** Longer than anything that is only abandoned is kept. */
const DAY_MS = 27 * HOUR;
const PROBE_MS = 60_000;

interface Parts {
  world: World;
  watch: Watch;
  client: Client;
  registry: Registry;
}

/** Nothing goes wrong from now on. What is still wrong when time went by is returned. */
export async function settle(parts: Parts, aDay: boolean): Promise<Violation[]> {
  const { world, watch } = parts;
  world.faults = NO_FAULTS;
  world.onStep = () => watch.look();
  world.containers.controls.every.faults.clear();
  let wrong: Violation[] = [];
  for (const ms of ROUNDS_MS) {
    await world.advance(ms);
    if (watch.found.length > 0) return [];
    // The cron, which finds objects whose alarm the platform lost.
    await world.finish(
      world.worker("sweep", (env) => parts.registry.sweep(env)),
      PROBE_MS,
    );
    wrong = await restless(parts);
    if (wrong.length === 0) break;
  }
  if (wrong.length > 0 || !aDay) return wrong;
  await world.advance(DAY_MS);
  return [...(await restless(parts)), ...vaults(world)];
}

async function restless(parts: Parts): Promise<Violation[]> {
  const { world, watch, client, registry } = parts;
  const running = new Set(world.containers.running);
  const tenants = [];
  for (let index = 0; index < registry.setup.tenants; index += 1) {
    const record = watch.tenant(`t${index}`);
    if (!record) continue;
    const probe = record.state === "active" ? await client.probe(index, PROBE_MS) : null;
    const now = watch.tenant(record.tenantId) ?? record;
    const isFrozen = now.held !== null && world.containers.get(now.held.containerId)?.frozen === true;
    tenants.push({ ...now, probe, isFrozen });
  }
  const pools = world.objects.list("Pool").flatMap((view) => restingPool(view, watch, world.now));
  const slots = watch.pools.flatMap((pool) => pool.slots);
  const admitted = world.objects
    .list("Fleet")
    .flatMap((view) => view.rows<{ id: string; tier: string }>("SELECT container_id AS id, tier FROM admissions"));
  const room = (tier: string) =>
    (registry.setup.caps[tier as "lite"] ?? 0) - admitted.filter((one) => one.tier === tier).length;
  return [
    ...tenants.flatMap((tenant) => tenantAtRest(tenant, running)),
    ...pools.flatMap((pool) => poolAtRest(pool, running, room(pool.tier))),
    ...nothingLost(
      slots,
      tenants,
      [...running],
      admitted.map(({ id }) => id),
    ),
    ...copies(world, watch),
  ];
}

function restingPool(view: ObjectView, watch: Watch, now: number): (RestingPool & { tier: string })[] {
  const record = view.document<PoolRecord>("pool");
  if (!record) return [];
  const slots = watch.pools.find(({ id }) => id === view.name)?.slots ?? [];
  return [
    {
      id: view.name,
      isDeleted: isDeleted(record),
      isStuck: record.drain !== null,
      isPaused: record.paused,
      waits: breakerState(record, now) !== "closed" || refillFrom(record) > now,
      target: targetOf(record, now),
      maxSize: record.spec.maxSize,
      tier: tierOf(record),
      slots,
    },
  ];
}

/** D1's copies are what their owners say, and its record is whole. */
function copies(world: World, watch: Watch): Violation[] {
  const tenants = world.d1.rows<{ row: string }>(
    "SELECT tenant_id || ':' || state || ':' || coalesce(container_id, '-') || ':' || epoch AS row FROM tenants",
  );
  const own = world.objects.list("Tenant").flatMap(({ name }) => {
    const record = watch.tenant(name);
    return record ? [`${name}:${record.state}:${record.held?.containerId ?? "-"}:${record.epoch}`] : [];
  });
  const containers = world.d1.rows<{ row: string }>(
    "SELECT container_id || ':' || state || ':' || coalesce(tenant_id, '-') AS row FROM containers",
  );
  const slots = watch.pools.flatMap((pool) => pool.slots);
  const ownSlots = slots.map(({ containerId, state, lease }) => `${containerId}:${state}:${lease?.tenantId ?? "-"}`);
  return [
    ...sameRows(
      "tenants",
      tenants.map(({ row }) => row),
      own,
    ),
    ...sameRows(
      "containers",
      containers.map(({ row }) => row),
      ownSlots,
    ),
    ...chains(world),
  ];
}

function chains(world: World): Violation[] {
  return [...world.objects.list("Tenant"), ...world.objects.list("Pool")].flatMap((view) => {
    const subject = `${view.kind.toLowerCase()}:${view.name}`;
    const rows = world.d1.rows<Record<string, string | number | null>>(
      "SELECT subject, seq, at, action, actor, request_id, result, before, after, detail, prev, hash FROM audit WHERE subject = ? ORDER BY seq",
      subject,
    );
    const entries = rows.map(
      ({ request_id, detail, ...row }) =>
        ({ ...row, requestId: request_id, detail: JSON.parse(String(detail)) }) as unknown as ChainedEntry,
    );
    const broken = brokenAt(entries);
    if (broken !== null) return [violation("journal", `D1's chain of ${subject} breaks at ${broken}`)];
    const [own] = view.rows<{ seq: number }>("SELECT max(seq) AS seq FROM history");
    const last = entries.at(-1)?.seq ?? 0;
    return own && last !== own.seq ? [violation("journal", `D1 has ${last} of ${own.seq} entries of ${subject}`)] : [];
  });
}

/** A day later nothing is left of what was only begun. */
function vaults(world: World): Violation[] {
  return world.objects.list("Vault").flatMap((view) => {
    if (view.name.includes("/")) return [];
    const objects = (sql: string) => view.rows<{ object: string }>(sql).map(({ object }) => object);
    const needed = new Set([
      ...objects("SELECT object FROM entries WHERE object IS NOT NULL"),
      ...objects("SELECT object FROM aside WHERE object IS NOT NULL"),
      ...objects("SELECT object FROM packs"),
      ...objects("SELECT object FROM staged WHERE object IS NOT NULL"),
    ]);
    const prefix = `tenants/${view.name}/`;
    const keys = world.r2.keys.filter(
      (key) => key.startsWith(prefix) && !key.endsWith("/ledger.json") && !key.includes("/specs/"),
    );
    const uploads = view.rows<{ object: string; at: number }>("SELECT object, at FROM uploads");
    return vaultAtRest({ tenantId: view.name, open: [], uploads, keys, needed: new Set([...needed]) }, world.now);
  });
}
