import { configOf } from "../../config.ts";
import { findSyncSpec, openedSecret } from "../../registry/sync-specs.ts";
import type { Secret } from "../../secrets/secret.ts";
import type { SyncSpec } from "../../sync/spec.ts";

/** A spec as the gateway needs it: with the key of its sink, which never leaves the Worker. */
export interface KnownSink {
  spec: SyncSpec;
  secretAccessKey: Secret | null;
}

/** How long a spec is taken from memory, in ms: one that was changed holds from then on. */
const FRESH_MS = 3_000;
const MAX_ENTRIES = 500;
const known = new Map<string, { sink: Promise<KnownSink | null>; readAt: number }>();

/** Null for an unknown spec. One look is shared by all that ask meanwhile. @throws when D1 does not answer */
export function sinkOf(env: Env, specId: string, now: number): Promise<KnownSink | null> {
  const entry = known.get(specId);
  if (entry && now - entry.readAt <= FRESH_MS) return entry.sink;
  if (known.size >= MAX_ENTRIES) known.clear();
  const sink = read(env, specId);
  known.set(specId, { sink, readAt: now });
  sink.catch(() => known.delete(specId));
  return sink;
}

/** After a change, in the isolate that made it. */
export const forgetSink = (specId: string): boolean => known.delete(specId);

async function read(env: Env, specId: string): Promise<KnownSink | null> {
  const registered = await findSyncSpec(env.DB, specId);
  if (!registered) return null;
  return { spec: registered.spec, secretAccessKey: await openedSecret(env.DB, configOf(env), specId) };
}
