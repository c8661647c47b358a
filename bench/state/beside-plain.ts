import type { Api } from "../harness/tenants.ts";
import type { Tree } from "../harness/trees.ts";
import { CONTAINERS_PER_LIFE, type Life, live } from "./life.ts";
import type { PlainRclone, Step } from "./plain-rclone.ts";

/** The system under test, and what it is compared with. */
export interface Beside {
  readonly api: Api;
  readonly poolId: string;
  readonly rclone: PlainRclone;
}

export interface Found<K extends Step> {
  readonly lives: readonly Life[];
  readonly rounds: readonly Readonly<Record<K, number>>[];
}

/** Lives that share one filling of the pool. */
const BATCH = 8;
export const POOL_SIZE = BATCH * CONTAINERS_PER_LIFE;

/** `lives` with a tree, and between them `rounds` of the same with plain rclone. One life more warms up. */
export async function besidePlain<K extends Step>(
  { api, poolId, rclone }: Beside,
  tree: Tree,
  steps: readonly K[],
  counts: { readonly lives: number; readonly rounds: number },
): Promise<Found<K>> {
  const found = { lives: [] as Life[], rounds: [] as Record<K, number>[] };
  const every = Math.max(1, Math.floor(counts.lives / counts.rounds));
  for (let index = 0; index <= counts.lives; index += 1) {
    if (index % BATCH === 0) await api.fill(poolId, Math.min(BATCH, counts.lives + 1 - index) * CONTAINERS_PER_LIFE);
    found.lives.push(await live(api, poolId, newTenant(), tree));
    const isDue = index > 0 && index % every === 0 && found.rounds.length < counts.rounds;
    if (isDue) found.rounds.push(await rclone.round(tree, steps));
  }
  return { ...found, lives: found.lives.slice(1) };
}

let tenants = 0;
/** One that nobody was yet. */
export function newTenant(): string {
  tenants += 1;
  return `state-${tenants}`;
}
