import { merged } from "./delivery.ts";
import { erasureDue } from "./destruction.ts";
import type { Fresh, Limits, Plan, TenantEvent } from "./events.ts";
import { resume } from "./plan-resume.ts";
import { type Beginning, begin, contentDetail } from "./plan-start.ts";
import { inProgress, joining, nothing, refuse } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import { ROOM_MS } from "./room.ts";

/** What it means in each state that somebody wants a container, or sends a request. */

type Claim = Extract<TenantEvent, { type: "claim" }>;

export function claim(record: TenantRecord, event: Claim, fresh: Fresh, limits: Limits, now: number): Plan {
  const poolId = event.poolId ?? record.poolId;
  const moving = event.poolId !== null && record.poolId !== null && event.poolId !== record.poolId;
  const { newConfig, ...content } = merged(record, event.delivery);
  const isNew = content.delivery !== record.delivery || content.secrets !== record.secrets;
  const kept = newConfig ? { newConfig } : {};
  switch (record.state) {
    case "active":
      if (moving) return claimedElsewhere(record);
      if (!isNew) return nothing(record);
      return {
        kind: "go",
        record: { ...record, ...content },
        steps: [],
        journal: [{ type: "tenant.config_changed", detail: contentDetail(content) }],
        ...kept,
      };
    case "claiming":
    case "waking":
    case "recovering":
      if (moving) return claimedElsewhere(record);
      // The start under way may have other config in its hands: this claim is planned anew after it.
      return joining(
        record,
        content.delivery.configVersion !== record.delivery.configVersion || content.secrets !== record.secrets,
      );
    case "saving":
    case "sleeping":
      if (moving) return claimedElsewhere(record);
      return joining(record, true);
    case "release_failed":
      if (moving) return claimedElsewhere(record);
      return keeping(resume({ ...record, ...content }, fresh, limits, now), kept);
    case "idle":
    case "error":
    case "asleep":
    case "destroyed": {
      // A restore or an import where nothing runs ends first.
      if (record.operation) return joining(record, true);
      if (poolId === null)
        return refuse("invalid", "This tenant has no pool yet; name one in `poolId`.", {
          errors: [{ pointer: "/poolId", detail: "required" }],
        });
      // What is to be gone is not restored, and what a new life saves is not deleted with it.
      if (erasureDue(record) !== null)
        return refuse("invalid_transition", "What this tenant saved is being deleted; claim it again after that.", {
          state: record.state,
        });
      const changes = { ...content, poolId, desired: "active" as const, hold: null, destruction: null };
      const planned = begin(
        { ...record, ...changes },
        record.state === "asleep" ? "wake" : "claim",
        event.allowFresh ? "if-restore-fails" : "never",
        fresh,
        limits,
        now,
        event.capacityWaitMs === undefined ? {} : { capacityWaitMs: event.capacityWaitMs },
      );
      return keeping(planned, kept);
    }
    case "releasing":
      return inProgress(record);
    case "suspended":
      return refuse("suspended", "The tenant is suspended.");
    case "destroying":
      return refuse("invalid_transition", `A tenant that is ${record.state} cannot be claimed.`, {
        state: record.state,
      });
  }
}

const keeping = (planned: Plan, kept: { newConfig?: { version: number; config: unknown } }): Plan =>
  planned.kind === "go" ? { ...planned, ...kept } : planned;

/** For a request, or for the tenant's lifecycle. Neither says how long it would wait for room. */
export function wake(
  record: TenantRecord,
  fresh: Fresh,
  limits: Limits,
  now: number,
  more: Pick<Beginning, "byLifecycle"> = {},
): Plan {
  if (record.state === "asleep" && !record.operation) {
    const beginning = { ...more, capacityWaitMs: ROOM_MS.wake };
    return begin({ ...record, desired: "active" }, "wake", "never", fresh, limits, now, beginning);
  }
  const again = record.state === "sleeping" || record.state === "asleep";
  return record.operation ? joining(record, again) : nothing(record);
}

const claimedElsewhere = (record: TenantRecord): Plan =>
  refuse("claimed_elsewhere", `The tenant holds a container in pool ${record.poolId}.`, { poolId: record.poolId });
