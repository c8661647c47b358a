import { within } from "../durable/deadline.ts";
import { Journal } from "../durable/journal.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import { parsePoolId, parseTenantId } from "../ids.ts";
import { log } from "../log.ts";
import type { OwnHead } from "./verify.ts";

const ASK_MS = 5_000;

/** For an object: the end of its chain as it stands in its storage; creates nothing. */
export const ownHead = (sql: SqlStorage): OwnHead => new Journal(sql).head();

/** The end of a subject's chain, from its owner itself; null where there is none, or it does not answer. */
export async function ownHeadOf(env: Env, subject: string): Promise<OwnHead | null> {
  const owner = ownerOf(env, subject);
  if (owner === null) return null;
  try {
    const { seq, hash, delivered } = await within(ASK_MS, `the chain of ${subject}`, owner.chain());
    return seq === 0 ? null : { seq, hash, delivered };
  } catch (error) {
    log.warn("the owner of a chain did not answer", { subject, error: String(error) });
    return null;
  }
}

function ownerOf(env: Env, subject: string): { chain(): Promise<OwnHead> } | null {
  const colon = subject.indexOf(":");
  const [kind, id] = [subject.slice(0, colon), subject.slice(colon + 1)];
  if (kind === "tenant") {
    const tenantId = parseTenantId(id);
    return tenantId && tenantOf(env, tenantId);
  }
  const poolId = kind === "pool" ? parsePoolId(id) : null;
  return poolId && poolOf(env, poolId);
}
