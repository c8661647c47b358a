import { afterEach } from "vitest";
import { BY, registerPool } from "../world/registered.ts";
import type { DurableClass, ObjectClass, ObjectView, World } from "../world/types.ts";
import { newWorld } from "../world/world.ts";

/** Worlds of objects that a test makes up, for the rules of the simulated platform itself. */

let world: World | null = null;
afterEach(() => {
  world?.dispose();
  world = null;
});

type Classes = Partial<Record<ObjectClass, new (ctx: DurableObjectState, env: Env) => object>>;

export async function aWorld(classes: Classes = {}, seed = 1): Promise<World> {
  world?.dispose();
  world = await newWorld({ seed, classes: classes as Partial<Record<ObjectClass, DurableClass>> });
  return world;
}

/** What an object of a test is made from. */
export class Base {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly storage: DurableObjectStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    this.ctx = ctx;
    this.env = env;
    this.storage = ctx.storage;
  }

  keep(text: string): void {
    this.storage.sql.exec("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, text TEXT)");
    this.storage.sql.exec("INSERT OR REPLACE INTO kept VALUES (1, ?)", text);
  }
  kept(): string | null {
    const [table] = this.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'kept'").toArray();
    if (!table) return null;
    return this.storage.sql.exec<{ text: string }>("SELECT text FROM kept").one().text;
  }
}

type Remote = Record<string, (...args: unknown[]) => Promise<unknown>>;

/** A stub of one of the objects, whatever its methods are. */
export const stub = (env: Env, kind: "TENANT" | "POOL" | "VAULT", name = "x"): Remote =>
  env[kind].getByName(name) as unknown as Remote;

/** Calls an object from outside, to the end of it. */
export function ask(world: World, kind: "TENANT" | "POOL" | "VAULT", method: string, ...args: unknown[]) {
  return world.finish(world.worker(method, async (env) => stub(env, kind)[method]?.(...args)));
}

/** Fires events until one with such a label has fired. */
export async function until(world: World, label: RegExp): Promise<void> {
  let found = false;
  world.onStep = (event) => {
    found ||= label.test(event.label);
  };
  while (!found && (await world.step()));
  world.onStep = () => {};
  if (!found) throw new Error(`No event was ${label}.`);
}

const authorization = "Bearer test-admin-key-0123456789";
const STATE = { id: "w", volumes: { state: { containerPath: "/data" } } };

/** A world with the tenant `t`, who has a container with a file in it. */
export async function aTenant(
  pool: Record<string, unknown> = {},
): Promise<{ world: World; id: string; instance: ObjectView }> {
  const world = await aWorld();
  const { tenantOf } = world.modules.stubs;
  await registerPool(world, STATE, { id: "p", minSize: 0, maxSize: 4, ...pool });
  const claimed = await world.finish(
    world.worker("claim", (env) =>
      tenantOf(env, "t" as never).claim({ tenantId: "t", poolId: "p" } as never, 60_000, BY),
    ),
  );
  if (!claimed.ok || claimed.value.kind !== "done") throw new Error(JSON.stringify(claimed));
  const id = claimed.value.value.containerId;
  const instance = world.objects.find("Instance", id);
  if (!instance) throw new Error("no Instance");
  await put(world, "a.txt");
  return { world, id, instance };
}

/** A request of the tenant `t`, through the proxy. */
export const asking = (world: World, path: string, init: RequestInit = {}): Promise<Response> => {
  const headers = { authorization, ...(init.headers as Record<string, string>) };
  return world.finish(world.request(path, new Request(`http://localhost/t/t${path}`, { ...init, headers })));
};

export const put = async (world: World, name: string): Promise<number> =>
  (await asking(world, `/files/${name}`, { method: "PUT", body: "content" })).status;
