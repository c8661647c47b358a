import { record } from "../audit/d1.ts";
import { audited } from "../audit/entry.ts";
import { SYSTEM } from "../auth/principal.ts";
import { messageOf } from "../durable/deadline.ts";
import { log } from "../log.ts";
import { tellAlert } from "./alert.ts";
import { first, isPlace, type Place, sweepPage } from "./sweep.ts";
import { isOrphan, type Sweep } from "./types.ts";

/** The cron trigger (wrangler.jsonc) of the sweep that runs by itself; any other is the probes'. */
export const DAILY = "47 3 * * *";
/** Well within what the platform gives one run: 15 minutes, 10,000 requests, of them 1,000 to D1. The next one goes on where this one ends. */
const BUDGET_MS = 8 * 60_000;
const MOST_CALLS = 2_500;
/** To look up what a page is about, and to keep where it ended. */
const PER_PAGE = 4;
const PAGE = 50;

interface Run {
  cursor: string | null;
  startedAt: number;
  checked: number;
  found: number;
  removed: number;
  failed: number;
}

/**
 * Goes on with the sweep, or (once a day) begins one; when it ends, what it came to is recorded, and told where it found orphans.
 * Every other run of the cron triggers goes on with one that is under way: a large deployment takes more than one.
 */
export async function sweepDaily(env: Env, now: number, how: "begin" | "go on" = "begin"): Promise<void> {
  const before = await stored(env.DB);
  if (how === "go on" && !before?.cursor) return;
  let run: Run = before?.cursor
    ? before
    : { cursor: JSON.stringify(first()), startedAt: now, checked: 0, found: 0, removed: 0, failed: 0 };
  const begun = Date.now();
  for (let calls = 0; run.cursor !== null && calls < MOST_CALLS && Date.now() - begun < BUDGET_MS; ) {
    const { made, ...after } = await page({ env, mode: "mend", limit: PAGE, now, by: SYSTEM }, run);
    run = after;
    calls += made + PER_PAGE;
    await keep(env.DB, run, Date.now());
  }
  if (run.cursor !== null) return;
  const { startedAt, cursor: _, ...counts } = run;
  const detail = { ...counts, startedAt: new Date(startedAt).toISOString() };
  await record(env.DB, audited(SYSTEM, Date.now(), "platform.swept", "platform:sweep", { detail })).run();
  await tellAlert(env.DB, run.found, "whole", Date.now());
}

async function page(sweep: Sweep, run: Run): Promise<Run & { made: number }> {
  const place = placeIn(run.cursor);
  const { checked, found, removed, skipped, failed, calls, next } = await sweepPage(sweep, place);
  for (const one of [...removed, ...skipped]) log.warn("sweep: found", { ...one });
  for (const { id, detail } of failed) log.warn("sweep: not looked at", { id, detail: messageOf(detail) });
  return {
    startedAt: run.startedAt,
    cursor: next && JSON.stringify(next),
    checked: run.checked + checked,
    found: run.found + found.filter(isOrphan).length,
    removed: run.removed + removed.length,
    failed: run.failed + failed.length,
    made: calls,
  };
}

function placeIn(cursor: string | null): Place {
  const place: unknown = cursor === null ? null : JSON.parse(cursor);
  return isPlace(place) ? place : first();
}

async function stored(db: D1Database): Promise<Run | null> {
  return db
    .prepare("SELECT cursor, started_at AS startedAt, checked, found, removed, failed FROM sweep WHERE id = 1")
    .first<Run>();
}

async function keep(db: D1Database, run: Run, now: number): Promise<void> {
  await db
    .prepare(
      `INSERT OR REPLACE INTO sweep (id, cursor, started_at, updated_at, checked, found, removed, failed)
       VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .bind(run.cursor, run.startedAt, now, run.checked, run.found, run.removed, run.failed)
    .run();
}
