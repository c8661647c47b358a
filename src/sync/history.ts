import { within } from "../durable/deadline.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import type { SyncRun } from "../tenant/syncs.ts";

/** The history of a spec's syncs, put together from its tenants'. */

export interface TenantRun {
  tenantId: TenantId;
  run: SyncRun;
}

/** A place in the order of `historyOf`: by time, the newest first, then by names. */
export interface CursorOfRun {
  endedAt: number;
  name: string;
}

const ASK_MS = 5_000;
/** Runs that ended in the same millisecond as the last one of a page. */
const TIES = 16;

const nameOf = ({ tenantId, run }: TenantRun): string => `${tenantId} ${run.runId}`;
export const cursorOfRun = (item: TenantRun): string => `${item.run.endedAt}:${nameOf(item)}`;
export function parsedCursor(cursor: string): CursorOfRun {
  const cut = cursor.indexOf(":");
  return { endedAt: Number(cursor.slice(0, cut)), name: cursor.slice(cut + 1) };
}

/** Whether an item comes after a cursor. */
export const afterCursor = (item: TenantRun, { endedAt, name }: CursorOfRun): boolean =>
  item.run.endedAt < endedAt || (item.run.endedAt === endedAt && nameOf(item) > name);

/** More than `limit` where there are more. A tenant that does not answer in time has none. */
export async function historyOf(
  env: Env,
  specId: string,
  tenants: readonly TenantId[],
  until: number,
  limit: number,
): Promise<TenantRun[]> {
  const asked = await Promise.all(
    tenants.map(async (tenantId) => {
      const runs = await within(ASK_MS, "history", tenantOf(env, tenantId).syncRuns(specId, until, limit + TIES)).catch(
        () => [],
      );
      return runs.map((run) => ({ tenantId, run }));
    }),
  );
  return asked.flat().sort((a, b) => b.run.endedAt - a.run.endedAt || (nameOf(a) < nameOf(b) ? -1 : 1));
}
