import { containerOf, Watcher } from "../harness/engine.ts";
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
    const watcher = new Watcher(container, SAMPLER);
    await watcher.running();
    await pause(300);
    idle.push(highest(watcher));
    await api.release(tenantId);
    await watcher.ended;
    const { bytes, parts } = highest(watcher);
    saves.push({ kind, peak: bytes, parts });
    await api.untilGone(containerId);
  }
  const [most] = idle.sort((a, b) => b.bytes - a.bytes);
  return { idle: most?.bytes ?? Number.NaN, parts: most?.parts ?? "", saves };
}

function highest(watcher: Watcher): { bytes: number; parts: string } {
  const [bytes, ...parts] = (watcher.lines.at(-1) ?? "NaN").split(" ");
  return { bytes: Number(bytes), parts: parts.join(" ") };
}

/** Prints `BYTES PART MB, …` whenever the sum is higher than ever before. It leaves out itself and the workload's user. */
const SAMPLER = `
const fs = require("node:fs");
const page = 4096;
let most = 0;
const sample = () => {
  let sum = 0;
  const parts = new Map();
  for (const pid of fs.readdirSync("/proc")) {
    if (!/^\\d+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      if (fs.statSync("/proc/" + pid).uid !== 0) continue;
      const resident = Number(fs.readFileSync("/proc/" + pid + "/statm", "utf8").split(" ")[1]) * page;
      const name = fs.readFileSync("/proc/" + pid + "/comm", "utf8").trim();
      sum += resident;
      parts.set(name, (parts.get(name) ?? 0) + resident);
    } catch {
      // It ended meanwhile.
    }
  }
  if (sum > most) {
    most = sum;
    const shown = [...parts].sort((a, b) => b[1] - a[1]).map(([name, bytes]) => name + " " + (bytes / 1e6).toFixed(1));
    console.log(sum + " " + shown.join(", "));
  }
};
setInterval(sample, 4);
`;
