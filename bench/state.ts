import { step } from "../scripts/steps.ts";
import type { Counts } from "./harness/counts.ts";
import { laps } from "./harness/laps.ts";
import { observed, promised, type Result } from "./harness/result.ts";
import { bare, instrumented } from "./harness/stacks.ts";
import { median } from "./harness/statistics.ts";
import { Api } from "./harness/tenants.ts";
import { ONE_FILE, SMALL_TREE, STATE, type Tree } from "./harness/trees.ts";
import { CONTAINERS_PER_LIFE, type Life, live } from "./state/life.ts";
import { PlainRclone, type PlainRounds, plain } from "./state/plain-rclone.ts";

/** Lives that share one filling of the pool. */
const BATCH = 8;
const SIZE = BATCH * CONTAINERS_PER_LIFE;
const POOL = "state";

/** Saves and restores of the small tree and of one large file, beside plain rclone to an S3 server in the same run. */
export async function state(counts: Counts): Promise<Result[]> {
  const api = new Api(await instrumented());
  const rclone = await PlainRclone.start((await bare()).port);
  try {
    await api.workload({ id: POOL, volumes: { state: { containerPath: STATE } } });
    await api.pool(POOL, POOL, SIZE);
    const small = await step("the small tree: 1,000 files of 10 kB", () =>
      besidePlain(api, rclone, SMALL_TREE, counts.releases, counts.compared),
    );
    const large = await step("one file of 10 MB", () =>
      besidePlain(api, rclone, ONE_FILE, counts.compared, counts.compared),
    );
    return [...smallTree(small), ...oneFile(large)];
  } finally {
    await rclone.stop();
    api.client.close();
  }
}

interface Found {
  readonly lives: readonly Life[];
  readonly rounds: PlainRounds;
}

/** `n` lives with a tree, and between them now and then the same with plain rclone. */
async function besidePlain(api: Api, rclone: PlainRclone, tree: Tree, n: number, compared: number): Promise<Found> {
  const rounds: PlainRounds = [];
  await rclone.round(tree); // warms it up
  const every = Math.max(1, Math.floor(n / compared));
  const between = async (index: number) => {
    if (index % every === 0) rounds.push(await rclone.round(tree));
  };
  return { lives: await lives(api, tree, n, between), rounds };
}

/** One life more than is counted, for warming up. `between` comes after each of the others. */
async function lives(api: Api, tree: Tree, n: number, between: (index: number) => Promise<void>): Promise<Life[]> {
  const found: Life[] = [];
  for (let index = 0; index <= n; index += 1) {
    if (index % BATCH === 0) await api.fill(POOL, Math.min(BATCH, n + 1 - index) * CONTAINERS_PER_LIFE);
    found.push(await live(api, POOL, `state-${tree.files}-${index}`, tree));
    if (index > 0) await between(index);
  }
  return found.slice(1);
}

function smallTree({ lives, rounds }: Found): Result[] {
  const requests = lives.map(({ unchanged }) => unchanged.requests);
  return [
    promised("state.new", ms(lives, "fresh"), { compared: plain(rounds, "fresh"), note: note(lives, "fresh") }),
    promised("state.changed", ms(lives, "changed"), {
      compared: plain(rounds, "changed"),
      note: note(lives, "changed"),
    }),
    promised("state.unchanged", ms(lives, "unchanged"), {
      compared: plain(rounds, "unchanged"),
      note: note(lives, "unchanged"),
    }),
    promised("state.requests", requests, { value: Math.max(...requests) }),
    promised("state.restore", restores(lives), { compared: plain(rounds, "fetched") }),
  ];
}

function oneFile({ lives, rounds }: Found): Result[] {
  return [
    observed("state", "release, one file of 10 MB, new", "ms", ms(lives, "fresh"), {
      compared: plain(rounds, "fresh"),
      note: note(lives, "fresh"),
    }),
    observed("state", "restore of it", "ms", restores(lives), { compared: plain(rounds, "fetched") }),
  ];
}

type Kind = "fresh" | "changed" | "unchanged";

const ms = (lives: readonly Life[], kind: Kind): number[] => lives.map((life) => life[kind].ms);
const restores = (lives: readonly Life[]): number[] => lives.flatMap((life) => life.restoreMs);

function note(lives: readonly Life[], kind: Kind): string {
  const requests = median(lives.map((life) => life[kind].requests));
  return `${laps(lives.map((life) => life[kind]))} · ${requests.toFixed(0)} storage requests`;
}
