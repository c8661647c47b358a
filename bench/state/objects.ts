import type { Stack } from "../../scripts/stack/stack.ts";
import type { Counts } from "../harness/counts.ts";
import { containerOf } from "../harness/engine.ts";
import { PartsMemory } from "../harness/parts-memory.ts";
import { WorkerdMemory } from "../harness/resident.ts";
import { promised, type Result } from "../harness/result.ts";
import { median } from "../harness/statistics.ts";
import type { Api, Claimed } from "../harness/tenants.ts";
import { STATE, type Tree, writeTree } from "../harness/trees.ts";
import { newTenant } from "./beside-plain.ts";
import { download } from "./download.ts";
import { release, start } from "./life.ts";

const GIB: Tree = { files: 1, bytes: 2 ** 30 };
const THIRTY_TWO: Tree = { files: 32, bytes: 30_000_000 };
/** So many more files that thirty-two new ones are not most of the tree, which would go as one tar. */
const CROWD: Tree = { files: 64, bytes: 1_000 };

/** What one tenant with large objects took: MB per second of every way, and bytes of memory. */
interface Heavy {
  readonly up: { readonly "one tar": number; readonly rclone: number };
  readonly down: { readonly "restore, verified": number; readonly "of two": number; readonly GET: number };
  /** workerd's growth during each transfer. */
  readonly grown: Readonly<Record<string, number>>;
  readonly container: { readonly bytes: number; readonly parts: string };
}

/** Objects of 1 GiB through the gateway, both ways up and both ways down, and the memory of workerd meanwhile; then thirty-two files of 30 MB by rclone, and the memory inside. */
export async function objects(stack: Stack, api: Api, poolId: string, counts: Counts): Promise<Result[]> {
  await api.fill(poolId, 3 * counts.objects);
  const found: Heavy[] = [];
  for (let n = 0; n < counts.objects; n += 1) found.push(await heavyLife(stack, api, poolId, newTenant()));
  return figures(found);
}

async function heavyLife(stack: Stack, api: Api, poolId: string, tenantId: string): Promise<Heavy> {
  const grown: Record<string, number> = {};
  const watching = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const memory = await WorkerdMemory.watch(stack);
    const result = await work();
    grown[name] = (await memory.stop()).grown;
    return result;
  };
  const insideOf = ({ containerId }: Claimed) => containerOf(api, containerId);

  const first = await start(api, poolId, tenantId);
  await writeTree(await insideOf(first), `${STATE}/first`, GIB);
  await writeTree(await insideOf(first), `${STATE}/crowd`, CROWD);
  let files = GIB.files + CROWD.files;
  const tar = await watching("one tar", () => release(api, tenantId, first, files));

  const second = await watching("restore", () => start(api, poolId, tenantId, { files }));
  await writeTree(await insideOf(second), `${STATE}/second`, GIB);
  const rclone = await watching("rclone", () => release(api, tenantId, second, GIB.files));
  files += GIB.files;

  const third = await watching("restore of two", () => start(api, poolId, tenantId, { files }));
  const container = await insideOf(third);
  const get = await watching("GET", () => download(container, "second/folder-00/file-0000", GIB.bytes));
  await writeTree(container, `${STATE}/more`, THIRTY_TWO);
  const memory = await PartsMemory.watch(container);
  await release(api, tenantId, third, THIRTY_TWO.files);
  const peak = await memory.untilGone();
  await api.destroy(tenantId);

  return {
    up: { "one tar": speed(GIB.bytes, tar.timings.send), rclone: speed(GIB.bytes, rclone.timings.send) },
    down: {
      "restore, verified": speed(GIB.bytes, second.timings.restore),
      "of two": speed(2 * GIB.bytes, third.timings.restore),
      GET: get,
    },
    grown,
    container: peak,
  };
}

/** MB per second. */
const speed = (bytes: number, ms = Number.NaN): number => bytes / 1_000 / ms;

function figures(found: readonly Heavy[]): Result[] {
  const inside = found.map(({ container }) => container.bytes / 2 ** 20);
  // The heap grows to its working size with the first transfer of all, whatever its size (local R2 hands over 4 KiB at a time).
  const [warming, ...grown] = found
    .flatMap((one) => Object.entries(one.grown))
    .map(([name, bytes]) => [name, bytes / 2 ** 20] as const);
  const most = grown.reduce((a, b) => (b[1] > a[1] ? b : a));
  return [
    slowest(
      "object.up",
      found.map(({ up }) => up),
    ),
    slowest(
      "object.down",
      found.map(({ down }) => down),
    ),
    promised(
      "object.workerd",
      grown.map(([, bytes]) => bytes),
      {
        value: most[1],
        note: `most: ${most[0]} · the first transfer of all, not counted: ${warming?.[1].toFixed(0)}`,
      },
    ),
    promised("object.container", inside, {
      value: Math.max(...inside),
      note: found.at(-1)?.container.parts ?? "",
    }),
  ];
}

/** The median of the way that is the slowest by its median; what was sampled is all of them. */
function slowest(id: "object.up" | "object.down", samples: readonly Readonly<Record<string, number>>[]): Result {
  const ways = Object.keys(samples[0] ?? {}).map((way) => [way, samples.map((one) => one[way] ?? Number.NaN)] as const);
  return promised(
    id,
    ways.flatMap(([, speeds]) => speeds),
    {
      value: Math.min(...ways.map(([, speeds]) => median(speeds))),
      note: `${ways.map(([way, speeds]) => `${way} ${median(speeds).toFixed(0)}`).join(" · ")} MB/s`,
    },
  );
}
