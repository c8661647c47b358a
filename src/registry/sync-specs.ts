import { recordIfChanged } from "../audit/d1.ts";
import { audited, canonical, stateHash } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import type { ProbeResult } from "../gateway/sink/probe.ts";
import { isOutdated, type Keyring, openUnder, sealUnder } from "../secrets/envelope.ts";
import { masked } from "../secrets/masked.ts";
import { Secret } from "../secrets/secret.ts";
import type { SyncSpec } from "../sync/spec.ts";
import { findPool, type Page, pageOf, type Registered } from "./store.ts";

/**
 * Sync specs, in D1, which owns them: every change is one batch of a conditional statement and its record. A sink's secret
 * lies beside its spec, sealed, and goes into no record and no hash.
 */
export interface RegisteredSyncSpec extends Registered<SyncSpec> {
  /** What is shown of the sink's secret; null without one. */
  secretMasked: string | null;
  /** Of its sink, the latest; null before the first. */
  probe: ProbeResult | null;
}

/** A spec as somebody wants it. */
export interface WantedSyncSpec {
  spec: SyncSpec;
  /** Undefined: the one that is kept, if any, stays. */
  secret: string | undefined;
}

/** Why a pool gets no sync spec: it is not there, or its tenants may be served by another pool's containers. */
export type PoolRefusal = { kind: "no-pool" } | { kind: "has-fallback"; fallbackPoolId: string };

export type Inserted = { kind: "created"; registered: RegisteredSyncSpec } | { kind: "taken" } | PoolRefusal;

export type Replaced =
  | { kind: "changed" | "same"; registered: RegisteredSyncSpec }
  | { kind: "absent" | "no-secret" }
  | PoolRefusal
  | { kind: "mismatch"; version: number };

export type Removed = { kind: "deleted" } | { kind: "absent" } | { kind: "mismatch"; version: number };

interface Row {
  id: string;
  version: number;
  spec: string;
  secret: string | null;
  secret_masked: string | null;
  probe: string | null;
  created_at: number;
  updated_at: number;
}

const SELECT = "SELECT id, version, spec, secret, secret_masked, probe, created_at, updated_at FROM sync_specs";

const registeredOf = (row: Row): RegisteredSyncSpec => ({
  spec: JSON.parse(row.spec) as SyncSpec,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  secretMasked: row.secret_masked,
  probe: row.probe === null ? null : (JSON.parse(row.probe) as ProbeResult),
});

const read = (db: D1Database, id: string): Promise<Row | null> =>
  db.prepare(`${SELECT} WHERE id = ?`).bind(id).first<Row>();

export async function findSyncSpec(db: D1Database, id: string): Promise<RegisteredSyncSpec | null> {
  const row = await read(db, id);
  return row && registeredOf(row);
}

/** The secret of a spec's sink; null without one. @throws when its key is not there any more */
export async function openedSecret(db: D1Database, keyring: Keyring, id: string): Promise<Secret | null> {
  const row = await read(db, id);
  if (!row || row.secret === null) return null;
  return new Secret(await openUnder(keyring, boundTo(id), row.secret));
}

/** By id; `poolId`: those of one pool. */
export async function listSyncSpecs(
  db: D1Database,
  poolId: string | null,
  after: string,
  limit: number,
): Promise<Page<RegisteredSyncSpec>> {
  const { results } = await db
    .prepare(`${SELECT} WHERE id > ?1 ${poolId === null ? "" : "AND pool_id = ?3"} ORDER BY id LIMIT ?2`)
    .bind(...(poolId === null ? [after, limit + 1] : [after, limit + 1, poolId]))
    .all<Row>();
  return pageOf(results, limit, registeredOf);
}

export async function insertSyncSpec(
  db: D1Database,
  keyring: Keyring,
  { spec, secret }: WantedSyncSpec,
  by: By,
  now: number,
): Promise<Inserted> {
  const kept = secret === undefined ? null : await sealed(keyring, spec.id, secret);
  const [inserted] = await db.batch([
    db
      .prepare(
        `INSERT OR IGNORE INTO sync_specs (id, pool_id, version, spec, secret, secret_masked, created_at, updated_at)
         SELECT ?1, ?2, 1, ?3, ?4, ?5, ?6, ?6 WHERE ${takesSpecs("?2")}`,
      )
      .bind(spec.id, spec.poolId, JSON.stringify(spec), kept?.secret ?? null, kept?.masked ?? null, now),
    recordIfChanged(
      db,
      audited(by, now, "sync-spec.created", subject(spec.id), { after: stateHash(spec), detail: { version: 1 } }),
    ),
  ]);
  if (inserted?.meta.changes === 1) {
    const times = { createdAt: now, updatedAt: now };
    return {
      kind: "created",
      registered: { spec, version: 1, ...times, secretMasked: kept?.masked ?? null, probe: null },
    };
  }
  return (await read(db, spec.id)) ? { kind: "taken" } : ((await refusalOf(db, spec.poolId)) ?? { kind: "taken" });
}

/** How often a change without a demanded version begins again, because another came between reading and writing. */
const ATTEMPTS = 5;

/** Makes it the next version; the same again is no change. `ifMatch`: the only version that it may replace. */
export async function replaceSyncSpec(
  db: D1Database,
  keyring: Keyring,
  wanted: WantedSyncSpec,
  ifMatch: number | null,
  by: By,
  now: number,
): Promise<Replaced> {
  const { spec } = wanted;
  for (let attempt = 1; ; attempt += 1) {
    const before = await read(db, spec.id);
    if (!before) return { kind: "absent" };
    if (ifMatch !== null && ifMatch !== before.version) return { kind: "mismatch", version: before.version };
    const next = await secretAfter(keyring, before, wanted);
    if (next === "missing") return { kind: "no-secret" };
    const registered = registeredOf(before);
    if (next.change === "kept" && canonical(registered.spec) === canonical(spec)) return { kind: "same", registered };
    const version = before.version + 1;
    if (await write(db, { spec, version, before: registered.spec, next, by, now })) {
      const { masked: secretMasked } = next;
      return { kind: "changed", registered: { ...registered, spec, version, updatedAt: now, secretMasked } };
    }
    const refusal = await refusalOf(db, spec.poolId);
    if (refusal) return refusal;
    if (attempt === ATTEMPTS) return { kind: "mismatch", version };
  }
}

interface Kept {
  secret: string | null;
  masked: string | null;
  change: "kept" | "changed" | "removed";
}

async function write(
  db: D1Database,
  {
    spec,
    version,
    before,
    next,
    by,
    now,
  }: {
    spec: SyncSpec;
    version: number;
    before: SyncSpec;
    next: Kept;
    by: By;
    now: number;
  },
): Promise<boolean> {
  const [updated] = await db.batch([
    db
      .prepare(
        `UPDATE sync_specs SET pool_id = ?1, version = ?2, spec = ?3, secret = ?4, secret_masked = ?5, updated_at = ?6
         WHERE id = ?7 AND version = ?8 AND ${takesSpecs("?1")}`,
      )
      .bind(spec.poolId, version, JSON.stringify(spec), next.secret, next.masked, now, spec.id, version - 1),
    recordIfChanged(
      db,
      audited(by, now, "sync-spec.updated", subject(spec.id), {
        before: stateHash(before),
        after: stateHash(spec),
        detail: { version, sinkKey: next.change },
      }),
    ),
  ]);
  return updated?.meta.changes === 1;
}

/** What lies beside the spec after a change; `missing`: the sink names a key without a secret, and none is kept. */
async function secretAfter(keyring: Keyring, before: Row, { spec, secret }: WantedSyncSpec): Promise<Kept | "missing"> {
  const needed = spec.sink.type === "s3" && spec.sink.accessKeyId !== undefined;
  if (!needed) return { secret: null, masked: null, change: before.secret === null ? "kept" : "removed" };
  const same = { secret: before.secret, masked: before.secret_masked, change: "kept" as const };
  if (secret === undefined) return before.secret === null ? "missing" : same;
  if (before.secret !== null && (await opens(keyring, before.id, before.secret, secret))) return same;
  return { ...(await sealed(keyring, spec.id, secret)), change: "changed" };
}

/** What was synchronised stays where it is. */
export async function deleteSyncSpec(
  db: D1Database,
  id: string,
  ifMatch: number | null,
  by: By,
  now: number,
): Promise<Removed> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await findSyncSpec(db, id);
    if (!before) return { kind: "absent" };
    const { version } = before;
    if (ifMatch !== null && ifMatch !== version) return { kind: "mismatch", version };
    const [deleted] = await db.batch([
      db.prepare("DELETE FROM sync_specs WHERE id = ? AND version = ?").bind(id, version),
      recordIfChanged(
        db,
        audited(by, now, "sync-spec.deleted", subject(id), { before: stateHash(before.spec), detail: { version } }),
      ),
    ]);
    if (deleted?.meta.changes === 1) return { kind: "deleted" };
    if (attempt === ATTEMPTS) return { kind: "mismatch", version };
  }
}

/** What the latest probe of a sink came to. It is no change of the spec; `by`: who asked for it, if anybody did. */
export async function keepProbe(db: D1Database, id: string, result: ProbeResult, by: By | null): Promise<void> {
  const { healthy, problem, checkedAt } = result;
  const kept = db.prepare("UPDATE sync_specs SET probe = ? WHERE id = ?").bind(JSON.stringify(result), id);
  const entry = by && audited(by, checkedAt, "sync-spec.probed", subject(id), { detail: { healthy, problem } });
  await db.batch(entry ? [kept, recordIfChanged(db, entry)] : [kept]);
}

/** Specs with an S3 sink, those first that were probed least recently. */
export async function s3SpecIds(db: D1Database, limit: number): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT id FROM sync_specs WHERE json_extract(spec, '$.sink.type') = 's3'
       ORDER BY json_extract(probe, '$.checkedAt') IS NOT NULL, json_extract(probe, '$.checkedAt') LIMIT ?`,
    )
    .bind(limit)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}

/** Seals every secret that is under an older platform key under the current one; how many those were. */
export async function rewrapSyncSecrets(db: D1Database, keyring: Keyring): Promise<number> {
  const { results } = await db
    .prepare("SELECT id, secret FROM sync_specs WHERE secret IS NOT NULL ORDER BY id")
    .all<{ id: string; secret: string }>();
  let rewrapped = 0;
  for (const { id, secret } of results.filter((row) => isOutdated(keyring, row.secret))) {
    const again = await sealUnder(keyring, boundTo(id), await openUnder(keyring, boundTo(id), secret));
    const { meta } = await db
      .prepare("UPDATE sync_specs SET secret = ? WHERE id = ? AND secret = ?")
      .bind(again, id, secret)
      .run();
    rewrapped += meta.changes;
  }
  return rewrapped;
}

const subject = (id: string): string => `sync-spec:${id}`;
/** A sealed secret opens beside no other spec. */
const boundTo = (id: string): string => `sync-spec\0${id}`;

async function sealed(keyring: Keyring, id: string, secret: string): Promise<{ secret: string; masked: string }> {
  return { secret: await sealUnder(keyring, boundTo(id), secret), masked: masked(secret) };
}

/** Whether a sealed secret is this one. One whose key is gone is none. */
async function opens(keyring: Keyring, id: string, text: string, secret: string): Promise<boolean> {
  try {
    return (await openUnder(keyring, boundTo(id), text)) === secret;
  } catch {
    return false;
  }
}

/** Part of the statement that writes a spec, so that neither can come between (src/pool/registry.ts has the other half). */
const takesSpecs = (poolId: string): string =>
  `EXISTS (SELECT 1 FROM pools WHERE id = ${poolId} AND spec->>'$.fallbackPoolId' IS NULL)`;

async function refusalOf(db: D1Database, poolId: string): Promise<PoolRefusal | null> {
  const pool = await findPool(db, poolId);
  if (!pool) return { kind: "no-pool" };
  const { fallbackPoolId } = pool.spec;
  return fallbackPoolId === undefined ? null : { kind: "has-fallback", fallbackPoolId };
}
