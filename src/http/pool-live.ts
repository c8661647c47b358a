import { messageOf, within } from "../durable/deadline.ts";
import { poolOf } from "../durable/stubs.ts";
import type { PoolId } from "../ids.ts";
import { failed, type Outcome } from "../outcome.ts";
import type { PoolDescription } from "../pool/types.ts";
import type { RegisteredPool } from "../registry/store.ts";
import { type PoolView, unknownView, viewOf } from "./pool-views.ts";

/** Pools that are asked at a time, and how long each, and all of a list, may take. */
const AT_ONCE = 25;
const EACH_MS = 2_000;
const ALL_MS = 5_000;

/** A pool as it is now; one that does not answer in time is shown as registered, and says so. */
export async function liveView(env: Env, registered: RegisteredPool, withinMs = EACH_MS): Promise<PoolView> {
  const description = await described(env, registered, withinMs);
  return description.ok ? viewOf(registered, description.value) : unknownView(registered, description.failure.detail);
}

/** A list of them, in order: a slow one holds nobody up for longer than its own deadline. */
export async function liveViews(env: Env, registered: readonly RegisteredPool[]): Promise<PoolView[]> {
  const deadline = Date.now() + ALL_MS;
  const views: PoolView[] = [];
  const queue = [...registered.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, pool] = next;
      views[index] = await liveView(env, pool, Math.max(1, Math.min(EACH_MS, deadline - Date.now())));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return views;
}

async function described(env: Env, { spec }: RegisteredPool, ms: number): Promise<Outcome<PoolDescription>> {
  try {
    return await within(ms, "The pool's answer", poolOf(env, spec.id as PoolId).describe());
  } catch (error) {
    return failed("operation_interrupted", messageOf(error));
  }
}
