import { BY, registerPool } from "../world/registered.ts";
import { newWorld } from "../world/world.ts";

/** Plays a short day with faults of every seed on its command line, and prints the hashes of their traces as JSON. */
const hashes: Record<string, string> = {};
for (const seed of process.argv.slice(2).map(Number)) hashes[seed] = await dayOf(seed);
process.stdout.write(JSON.stringify(hashes));

async function dayOf(seed: number): Promise<string> {
  const world = await newWorld({ seed });
  const { tenantOf } = world.modules.stubs;
  const random = world.random("slice");
  try {
    const workload = { id: "w", volumes: { state: { containerPath: "/data" } } };
    await registerPool(world, workload, { id: "p", minSize: 2, maxSize: 6 });
    world.faults = { verdict: () => (random() < 0.02 ? { do: "fail" } : { do: "ok" }) };
    for (let step = 0; step < 60; step += 1) {
      const tenantId = `t${random.int(4)}` as never;
      world.worker("act", async (env) => {
        const tenant = tenantOf(env, tenantId);
        if (random() < 0.6) return tenant.claim({ tenantId, poolId: "p" as never }, 5_000, BY);
        return tenant.release(tenantId, {}, 5_000, BY);
      });
      await world.advance(random.int(20_000));
      const objects = world.objects.list().filter(({ inMemory }) => inMemory);
      if (random() < 0.2 && objects.length > 0) world.objects.crash(random.pick(objects));
    }
    await world.advance(3_600_000);
    return world.trace.hash;
  } finally {
    world.dispose();
  }
}
