import { BY, registerPool } from "../../test/simulation/world/registered.ts";
import type { ObjectView, World } from "../../test/simulation/world/types.ts";
import { newWorld } from "../../test/simulation/world/world.ts";

/** What a tenant without a container cost in one hour. */
export interface Hour {
  /** Alarms of its Tenant and its Vault. */
  readonly wakes: number;
  /** Commits of theirs, but for those in which nothing but the alarm was set anew. */
  readonly writes: number;
}

const HOUR_MS = 3_600_000;
const TENANT = "quiet";
const OBJECTS = new Set([`Tenant/${TENANT}`, `Vault/${TENANT}`]);

/** Hours of a tenant that saved a file and was released, or sleeps, to whom nothing happens: the real objects on virtual time (test/simulation). */
export async function idleHours(left: "idle" | "asleep", hours: number): Promise<Hour[]> {
  const world = await newWorld({ seed: 1 });
  try {
    await leave(world, left);
    await world.advance(HOUR_MS); // what a save leaves to do is done by then
    const found: Hour[] = [];
    for (let hour = 0; hour < hours; hour += 1) found.push(await anHour(world));
    if (world.complaints.length > 0) throw new Error(world.complaints.join("\n"));
    return found;
  } finally {
    world.dispose();
  }
}

async function leave(world: World, left: "idle" | "asleep"): Promise<void> {
  const { tenantOf } = world.modules.stubs;
  const id = TENANT as never;
  await registerPool(
    world,
    { id: "w", volumes: { state: { containerPath: "/data" } } },
    { id: "p", minSize: 1, maxSize: 4 },
  );
  await world.finish(
    world.worker("claim", (env) => tenantOf(env, id).claim({ tenantId: id, poolId: "p" as never }, 60_000, BY)),
  );
  const headers = { authorization: `Bearer ${(world.env as { ADMIN_KEY?: string }).ADMIN_KEY}` };
  const put = new Request(`http://localhost/t/${TENANT}/files/a.txt`, { method: "PUT", body: "a", headers });
  await world.finish(world.request("write", put));
  const ended = await world.finish(
    world.worker(left, async (env) => {
      const tenant = tenantOf(env, id);
      return left === "idle" ? tenant.release(id, {}, 60_000, BY) : tenant.act(id, { kind: "stop" }, 60_000, BY);
    }),
  );
  if (!ended.ok || ended.value.kind !== "done" || ended.value.value.state !== left)
    throw new Error(JSON.stringify(ended));
}

async function anHour(world: World): Promise<Hour> {
  let wakes = 0;
  let writes = 0;
  world.onStep = ({ label }) => {
    if ([...OBJECTS].some((key) => label === `alarm ${key}`)) wakes += 1;
  };
  const seen = new Map<string, { alarm: number | null; tables: string }>();
  const look = (object: ObjectView) => ({ alarm: object.alarmAt, tables: tablesOf(object) });
  for (const object of world.objects.list()) if (OBJECTS.has(object.key)) seen.set(object.key, look(object));
  world.onCommit = (object) => {
    if (!OBJECTS.has(object.key)) return;
    const [before, now] = [seen.get(object.key), look(object)];
    seen.set(object.key, now);
    if (before?.alarm === now.alarm || before?.tables !== now.tables) writes += 1;
  };
  await world.advance(HOUR_MS);
  return { wakes, writes };
}

/** Everything that an object has stored, as text. */
function tablesOf(object: ObjectView): string {
  const tables = object.rows<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
  return JSON.stringify(tables.map(({ name }) => [name, object.rows(`SELECT * FROM "${name}"`)]));
}
