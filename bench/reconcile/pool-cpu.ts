import { containerId } from "../../src/ids.ts";
import { Pool } from "../../src/pool/object.ts";
import { newSlot } from "../../src/pool/plan-lease.ts";
import { newPool, type Slot } from "../../src/pool/record.ts";
import { PoolStore } from "../../src/pool/store.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";
import { Disk, storageOf } from "../../test/simulation/world/storage.ts";

const SLOTS = 1_000;
/** Every slot is to be looked at again by then. */
const DUE_MS = 120_000;

function laterBy(ms: number): void {
  const now = Date.now;
  Date.now = () => now() + ms;
}

/** CPU in ms of one alarm of a pool with 1,000 warm slots, of which so many have died since the last one; nothing is refilled. */
export async function reconcileOnce(changed: number): Promise<number> {
  const dead = new Set<string>();
  const background: Promise<unknown>[] = [];
  const { storage, slots } = filled();
  const ctx = { id: { name: "p" }, storage, waitUntil: (work: Promise<unknown>) => background.push(work) };
  const pool = new Pool(ctx as never, environment(dead) as never);
  const rest = async () => {
    while (background.length > 0) await Promise.all(background.splice(0));
  };
  await pool.alarm(); // the first look of an object that came to memory
  await rest();
  for (const { containerId: id } of slots.slice(0, changed)) dead.add(id);
  laterBy(DUE_MS);
  const before = process.cpuUsage();
  await pool.alarm();
  await rest();
  const { user, system } = process.cpuUsage(before);
  const described = await pool.describe();
  if (!described.ok || described.value.size !== SLOTS - changed) throw new Error(JSON.stringify(described));
  return (user + system) / 1_000;
}

/** A database in memory with the slots, as the pool itself writes them. */
function filled(): { storage: DurableObjectStorage; slots: Slot[] } {
  const disk = new Disk();
  const writer = {};
  disk.writer = writer;
  disk.onDirty = () => queueMicrotask(() => disk.confirm());
  const storage = storageOf(disk, writer, async () => {});
  const workload = workloadSchema.parse({ id: "w", image: "sandbox" });
  const spec = poolSchema.parse({ id: "p", workloadId: "w", minSize: SLOTS, maxSize: SLOTS, idleTimeoutMs: 900_000 });
  const record = { ...newPool(spec, workload, 1), paused: true };
  const now = Date.now();
  const slots = Array.from({ length: SLOTS }, (): Slot => {
    const id = containerId(crypto.getRandomValues(new Uint8Array(20)));
    return { ...newSlot(record, id, now), state: "warm", startMs: 100 };
  });
  new PoolStore(storage, () => {}).save({ record, put: slots });
  return { storage, slots };
}

/** Everything outside the pool answers at once: containers that run unless they are dead, a registry that knows nothing newer. */
function environment(dead: ReadonlySet<string>) {
  const done = { ok: true, value: null };
  const instance = (id: string) => ({
    observe: async () => ({ alive: !dead.has(id), lastActivityAt: 0, openRequests: 0, health: HEALTHY }),
    retire: async () => done,
  });
  const statement = {
    bind: () => statement,
    first: async () => null,
    run: async () => null,
    all: async () => ({ results: [] }),
  };
  return {
    INSTANCE: { getByName: instance },
    FLEET: { getByName: () => ({ release: async () => {}, renew: async () => ({ strangers: [] }) }) },
    DB: { prepare: () => statement, batch: async () => [] },
  };
}

const HEALTHY = { status: "healthy", failures: 0, since: null } as const;
