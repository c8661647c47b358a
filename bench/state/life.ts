import { containerOf } from "../harness/engine.ts";
import { type Api, type Claimed, expectLaunch, pause } from "../harness/tenants.ts";
import { changeFiles, STATE, type Tree, writeTree } from "../harness/trees.ts";

/** What something took, and which steps of it how long. */
export interface Timed {
  readonly ms: number;
  readonly timings: Readonly<Record<string, number>>;
}

/** What one release took. */
export interface Save extends Timed {
  /** What reached the storage gateway meanwhile. */
  readonly requests: number;
}

/** One tenant's life: a tree is saved new, restored, saved unchanged, restored, and saved with five files changed. */
export interface Life {
  readonly fresh: Save;
  readonly unchanged: Save;
  readonly changed: Save;
  /** From the first byte asked for to the last hash compared; the steps are those of the whole claim. */
  readonly restores: readonly Timed[];
}

export const CONTAINERS_PER_LIFE = 3;

export async function live(api: Api, poolId: string, tenantId: string, tree: Tree): Promise<Life> {
  const first = await start(api, poolId, tenantId);
  await writeTree(await containerOf(api, first.containerId), STATE, tree);
  const fresh = await release(api, tenantId, first, tree.files);

  const second = await start(api, poolId, tenantId, tree);
  const unchanged = await release(api, tenantId, second, 0);

  const third = await start(api, poolId, tenantId, tree);
  const count = Math.min(5, tree.files);
  await changeFiles(await containerOf(api, third.containerId), STATE, tree, count);
  const changed = await release(api, tenantId, third, count);

  return { fresh, unchanged, changed, restores: [second, third].map(restoreOf) };
}

/** Claims a warm container that has nothing, or that restored as many files. */
export async function start(
  api: Api,
  poolId: string,
  tenantId: string,
  restored?: { readonly files: number },
): Promise<Claimed> {
  const claimed = expectLaunch(await api.claim(tenantId, { poolId }), "warm");
  if (claimed.restored?.files !== restored?.files)
    throw new Error(`${tenantId} restored ${JSON.stringify(claimed.restored)}`);
  await pause(200); // the agent and the workload have come to rest
  return claimed;
}

export const restoreOf = ({ timings }: Claimed): Timed => ({ ms: timings.restore ?? Number.NaN, timings });

/** Releases, and waits until the container is gone. @throws Error if another number of files changed */
export async function release(api: Api, tenantId: string, { containerId }: Claimed, changed: number): Promise<Save> {
  const before = await storageRequests(api);
  const { ms, saved, timings = {} } = await api.release(tenantId);
  const requests = (await storageRequests(api)) - before;
  if (saved?.changed !== changed)
    throw new Error(`${tenantId} saved ${JSON.stringify(saved)} instead of ${changed} changes`);
  await api.untilGone(containerId);
  return { ms, timings, requests };
}

async function storageRequests(api: Api): Promise<number> {
  const { text } = await api.client.must("GET", "/bench/storage-requests");
  return (JSON.parse(text) as { storageRequests: number }).storageRequests;
}
