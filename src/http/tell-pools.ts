import type { By } from "../auth/principal.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { poolOf } from "../durable/stubs.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { Problem } from "../errors/problem.ts";
import type { PoolId } from "../ids.ts";
import { type Failure, failed } from "../outcome.ts";
import type { RegisteredWorkload } from "../registry/store.ts";
import { poolsRunning } from "../registry/workloads.ts";

/** How long a pool may take to answer. */
const TELL_MS = 10_000;

/** What a pool answers that is being deleted, or is gone since it was looked up: it needs no version. */
const NEEDS_NONE = new Set<ErrorCode>(["invalid_transition", "not_found"]);

/** Its pools keep a copy, which they start containers with. @throws Problem when one did not take it */
export async function tellPools(env: Env, { spec, version }: RegisteredWorkload, hand: By): Promise<void> {
  const pools = await poolsRunning(env.DB, spec.id);
  const tell = async (id: string): Promise<Failure | null> => {
    const told = await within(
      TELL_MS,
      "The pool's answer",
      poolOf(env, id as PoolId).upgrade(spec, version, hand),
    ).catch((error: unknown) => failed("operation_interrupted", messageOf(error)));
    return told.ok || NEEDS_NONE.has(told.failure.code) ? null : told.failure;
  };
  const failures = await Promise.all(pools.map(tell));
  for (const [index, failure] of failures.entries()) {
    if (!failure) continue;
    const detail = `Version ${version} is registered, but the pool ${pools[index]} did not take it: ${failure.detail} Send the same again.`;
    throw Problem.of({ ...failure, detail });
  }
}
