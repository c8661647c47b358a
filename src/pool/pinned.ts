import { messageOf, within } from "../durable/deadline.ts";
import { failed, type Outcome } from "../outcome.ts";
import type { Workload } from "../registry/specs.ts";
import { upgradeOf } from "../registry/upgrade.ts";
import { findVersion } from "../registry/workload-versions.ts";
import { knowsVersion, type PoolRecord } from "./record.ts";
import type { LeaseRequest } from "./types.ts";

/** Tenants that keep the version of the workload that they run (policy `pinned`). */

const REGISTRY_MS = 5_000;

/** The version that a lease is for; null: any that is recent enough. Pure. */
export function keptVersion(record: PoolRecord, { runs, minWorkloadVersion = 0 }: LeaseRequest): number | null {
  if (upgradeOf(record.spec).policy !== "pinned" || runs === undefined) return null;
  return runs >= minWorkloadVersion && runs < record.workloadVersion ? runs : null;
}

/** What that version says, where the pool has forgotten it: the registry has every version of a workload that exists. */
export async function missingVersion(
  db: D1Database,
  record: PoolRecord,
  request: LeaseRequest,
): Promise<Outcome<{ version: number; workload: Workload } | null>> {
  const version = keptVersion(record, request);
  if (version === null || knowsVersion(record, version)) return { ok: true, value: null };
  const { workloadId } = record.spec;
  try {
    const workload = await within(REGISTRY_MS, "registry", findVersion(db, workloadId, version));
    if (workload) return { ok: true, value: { version, workload } };
    return failed("not_found", `There is no version ${version} of the workload ${workloadId}; restart the image.`);
  } catch (error) {
    return failed("database_unavailable", messageOf(error));
  }
}
