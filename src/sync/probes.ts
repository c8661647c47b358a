import type { By } from "../auth/principal.ts";
import { type ProbeResult, probe } from "../gateway/sink/probe.ts";
import { sinkOf } from "../gateway/sink/sinks.ts";
import { log } from "../log.ts";
import { keepProbe, s3SpecIds } from "../registry/sync-specs.ts";

/** Probes of sinks, and where their results are kept. */

/** As many in one hour; those that were looked at least recently come first. */
const PER_RUN = 100;
const AT_ONCE = 4;

/** Null for an unknown spec. `by`: who asked for it, if anybody did. */
export async function probeSpec(env: Env, specId: string, now: number, by: By | null): Promise<ProbeResult | null> {
  const sink = await sinkOf(env, specId, now);
  if (!sink) return null;
  const result = await probe(env, sink, now);
  await keepProbe(env.DB, specId, result, by);
  if (!result.healthy) log.warn("sync: a sink is not healthy", { spec: specId, problem: result.problem });
  return result;
}

/** Once an hour (wrangler.jsonc `triggers`): every S3 sink. */
export async function probeAll(env: Env, now: number): Promise<void> {
  const ids = (await s3SpecIds(env.DB, PER_RUN)).values();
  const worker = async () => {
    for (const id of ids) await probeSpec(env, id, now, null);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
