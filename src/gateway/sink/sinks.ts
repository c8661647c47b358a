import { configOf } from "../../config.ts";
import { within } from "../../durable/deadline.ts";
import { Kept } from "../../registry/kept.ts";
import { findSyncSpec, openedSecret } from "../../registry/sync-specs.ts";
import type { Secret } from "../../secrets/secret.ts";
import type { SyncSpec } from "../../sync/spec.ts";

/** A spec as the gateway needs it: with the key of its sink, which never leaves the Worker. */
export interface KnownSink {
  spec: SyncSpec;
  secretAccessKey: Secret | null;
}

const READ_MS = 5_000;
/** One that was changed holds from then on. */
const kept = new Kept<KnownSink>({ freshMs: 3_000, most: 500 });

/** Null for an unknown spec. @throws when D1 does not answer */
export const sinkOf = (env: Env, specId: string, now: number): Promise<KnownSink | null> =>
  kept.get(specId, now, () => within(READ_MS, "the registry", read(env, specId)));

/** After a change, in the isolate that made it. */
export const forgetSink = (specId: string): void => kept.forget(specId);

async function read(env: Env, specId: string): Promise<KnownSink | null> {
  const registered = await findSyncSpec(env.DB, specId);
  if (!registered) return null;
  return { spec: registered.spec, secretAccessKey: await openedSecret(env.DB, configOf(env), specId) };
}
