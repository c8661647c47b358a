import { expect } from "vitest";
import { isAlive } from "../../scripts/stack/processes.ts";
import { readRecord } from "../../scripts/stack/record.ts";
import { containersNamed } from "./e2e-docker.ts";
import type { OwnStack } from "./e2e-stack.ts";

/** SIGKILL of wrangler, which leaves workerd and the containers, and a start over the same state. */
export async function killAndStart(own: OwnStack): Promise<void> {
  const before = readRecord(`${own.stateDir}/stack.json`)?.processes ?? [];
  await own.stack.crash();
  const orphans = await Promise.all(before.map(isAlive));
  expect(orphans.filter(Boolean).length, "workerd outlives wrangler, or this proves nothing").toBeGreaterThan(0);
  const containers = await containersNamed(`-${own.stack.worker}-`);
  expect(containers.length).toBeGreaterThan(0);

  await own.start();
  expect(await Promise.all(before.map(isAlive))).not.toContain(true);
  const now = await containersNamed(`-${own.stack.worker}-`);
  expect(
    now.filter((name) => containers.includes(name)),
    "containers of the killed one",
  ).toEqual([]);
}

/** Every object has at most one container. */
export async function noObjectHasTwo({ stack }: OwnStack): Promise<void> {
  const objects = (await containersNamed(`-${stack.worker}-`)).map((name) => name.slice(name.lastIndexOf("-")));
  expect(new Set(objects).size, objects.join("\n")).toBe(objects.length);
}
