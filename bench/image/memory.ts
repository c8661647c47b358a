import { containerOf } from "../harness/engine.ts";
import { PartsMemory } from "../harness/parts-memory.ts";
import { type Api, pause } from "../harness/tenants.ts";
import { changeFiles, ONE_FILE, SMALL_TREE, writeTree } from "../harness/trees.ts";

/** Memory of a container's own parts in bytes: the sum of the resident sets of all processes but the workload's. */
export interface Memory {
  readonly idle: number;
  /** Which parts it is, in MB. */
  readonly parts: string;
  readonly saves: readonly { readonly kind: string; readonly peak: number; readonly parts: string }[];
}

const SETTLE_MS = 2_000;

/** One tenant, four saves, each of another kind, watched from inside the container. */
export async function memoryOf(api: Api, poolId: string, tenantId: string): Promise<Memory> {
  const idle: { bytes: number; parts: string }[] = [];
  const saves = [];
  const kinds: [kind: string, prepare: (container: string) => Promise<void>][] = [
    ["small tree, all new", (container) => writeTree(container, "/data", SMALL_TREE)],
    ["5 files changed", (container) => changeFiles(container, "/data", SMALL_TREE, 5)],
    ["200 files changed", (container) => changeFiles(container, "/data", SMALL_TREE, 200)],
    ["10 MB more", (container) => writeTree(container, "/data/more", ONE_FILE)],
  ];
  for (const [kind, prepare] of kinds) {
    const { containerId } = await api.claim(tenantId, { poolId });
    const container = await containerOf(api, containerId);
    await prepare(container);
    await pause(SETTLE_MS);
    const memory = await PartsMemory.watch(container);
    await pause(300);
    idle.push(memory.highest());
    await api.release(tenantId);
    const { bytes, parts } = await memory.untilGone();
    saves.push({ kind, peak: bytes, parts });
    await api.untilGone(containerId);
  }
  const [most] = idle.sort((a, b) => b.bytes - a.bytes);
  return { idle: most?.bytes ?? Number.NaN, parts: most?.parts ?? "", saves };
}
