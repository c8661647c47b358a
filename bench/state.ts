import { step } from "../scripts/steps.ts";
import type { Counts } from "./harness/counts.ts";
import { laps } from "./harness/laps.ts";
import { observed, promised, type Result } from "./harness/result.ts";
import { bare, instrumented } from "./harness/stacks.ts";
import { Api } from "./harness/tenants.ts";
import { ONE_FILE, SMALL_TREE, type Tree } from "./harness/trees.ts";
import { CONTAINERS_PER_LIFE, type Life, live } from "./state/life.ts";
import { PlainRclone, type PlainRounds, plain } from "./state/plain-rclone.ts";

const POOL = "stateful";
/** Lives that share one filling of the pool. */
const BATCH = 8;

/** Saves and restores of the small tree and of one large file, beside plain rclone to an S3 server in the same run. */
export async function state(counts: Counts): Promise<Result[]> {
  const api = new Api(await instrumented());
  const rclone = await PlainRclone.start((await bare()).port);
  try {
    await api.workload({ id: POOL, volumes: { state: { containerPath: "/data" } } });
    await api.pool(POOL, POOL, BATCH * CONTAINERS_PER_LIFE);
    const small = await step("the small tree: 1,000 files of 10 kB", () =>
      lives(api, rclone, SMALL_TREE, counts.releases, counts),
    );
    const large = await step("one file of 10 MB", () => lives(api, rclone, ONE_FILE, counts.compared, counts));
    return [...smallTree(small.lives, small.rounds), ...oneFile(large.lives, large.rounds)];
  } finally {
    await rclone.stop();
    api.client.close();
  }
}

interface Lives {
  readonly lives: Life[];
  readonly rounds: PlainRounds;
}

/** `n` tenants' lives with a tree, and between them now and then the same with plain rclone. The first of each is for warming up. */
async function lives(api: Api, rclone: PlainRclone, tree: Tree, n: number, counts: Counts): Promise<Lives> {
  const found: Lives = { lives: [], rounds: [] };
  const every = Math.max(1, Math.floor(n / counts.compared));
  for (let index = 0; index <= n; index += 1) {
    if (index % BATCH === 0) await api.fill(POOL, BATCH * CONTAINERS_PER_LIFE);
    found.lives.push(await live(api, POOL, `tree-${tree.files}-${index}`, tree));
    if (index % every === 0) found.rounds.push(await rclone.round(tree));
  }
  return { lives: found.lives.slice(1), rounds: found.rounds.slice(1) };
}

function smallTree(all: readonly Life[], rounds: PlainRounds): Result[] {
  const requests = all.map(({ unchanged }) => unchanged.requests);
  return [
    promised("state.new", ms(all, "fresh"), { compared: plain(rounds, "fresh"), note: note(all, "fresh") }),
    promised("state.changed", ms(all, "changed"), { compared: plain(rounds, "changed"), note: note(all, "changed") }),
    promised("state.unchanged", ms(all, "unchanged"), {
      compared: plain(rounds, "unchanged"),
      note: note(all, "unchanged"),
    }),
    promised("state.requests", requests, { value: Math.max(...requests) }),
    promised("state.restore", restores(all), { compared: plain(rounds, "fetched") }),
  ];
}

function oneFile(all: readonly Life[], rounds: PlainRounds): Result[] {
  return [
    observed("state", "release, one file of 10 MB, new", "ms", ms(all, "fresh"), {
      compared: plain(rounds, "fresh"),
      note: note(all, "fresh"),
    }),
    observed("state", "restore of it", "ms", restores(all), { compared: plain(rounds, "fetched") }),
  ];
}

type Kind = "fresh" | "changed" | "unchanged";

const ms = (all: readonly Life[], kind: Kind): number[] => all.map((life) => life[kind].ms);
const restores = (all: readonly Life[]): number[] => all.flatMap((life) => life.restoreMs);

function note(all: readonly Life[], kind: Kind): string {
  const requests = Math.max(...all.map((life) => life[kind].requests));
  return `${laps(all.map((life) => life[kind]))} · ${requests} storage requests`;
}
