import { record } from "../audit/d1.ts";
import { audited } from "../audit/entry.ts";
import { SYSTEM } from "../auth/principal.ts";

const SUBJECT = "platform:sweep";

/** Raises the alert `orphans` where there are any, and clears it after a whole sweep without one; each is said once. */
export async function tellAlert(db: D1Database, orphans: number, of: "page" | "whole", now: number): Promise<void> {
  const last = await db
    .prepare(
      "SELECT action FROM audit WHERE subject = ? AND action IN ('alert.raised', 'alert.cleared') ORDER BY id DESC LIMIT 1",
    )
    .bind(SUBJECT)
    .first<{ action: string }>();
  const isRaised = last?.action === "alert.raised";
  const action =
    orphans > 0 && !isRaised ? "alert.raised" : orphans === 0 && isRaised && of === "whole" ? "alert.cleared" : null;
  if (action === null) return;
  await record(db, audited(SYSTEM, now, action, SUBJECT, { detail: { alert: "orphans", found: orphans } })).run();
}
