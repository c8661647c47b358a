import { alertEntries } from "./alerts.ts";
import type { Fresh, Going, Limits, Plan, Step, StepResult, TenantEvent } from "./events.ts";
import { act } from "./plan-act.ts";
import { claim, wake } from "./plan-claim.ts";
import { ended, erased, eraseFailed, notRetired, withdrawn } from "./plan-destroy.ts";
import { noteFiles } from "./plan-files.ts";
import { beginImport, imported } from "./plan-import.ts";
import { observed } from "./plan-observed.ts";
import { lost } from "./plan-recover.ts";
import { promoted, release } from "./plan-release.ts";
import { restarted } from "./plan-restart.ts";
import { restored } from "./plan-restore.ts";
import { resumed } from "./plan-resume.ts";
import { drain, quiesced, saved, saveFailed } from "./plan-save.ts";
import { change } from "./plan-settings.ts";
import { assigned, leased, startFailed } from "./plan-start.ts";
import { cancelSync, dropped, synced } from "./plan-sync.ts";
import { tick } from "./plan-tick.ts";
import { nothing, refuse } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import { wakeAtOf } from "./schedule.ts";
import { withoutVersion } from "./upgrade.ts";

/** What an event means for a tenant. Pure: the same arguments give the same plan. Times in ms since 1970. */
export function plan(record: TenantRecord, event: TenantEvent, fresh: Fresh, limits: Limits, now: number): Plan {
  const planned = decide(record, event, fresh, limits, now);
  if (planned.kind !== "go") return planned;
  if (isGiven(event) && isTooMuch(record, planned.record)) {
    return refuse(
      "payload_too_large",
      "Config and secrets of a tenant are together larger than 1.8 MB as they are stored.",
    );
  }
  const settled = withoutLeft(planned, fresh, now);
  const finished = dated(settled, record, now);
  const after = withoutVersion(finished.record);
  const wakeAt = wakeAtOf(after, now);
  return { ...finished, record: wakeAt === after.wakeAt ? after : { ...after, wakeAt } };
}

/** Whatever the decision was: containers that are to go carry since when, and alerts that came or went are recorded. */
function dated(planned: Going, before: TenantRecord, now: number): Going {
  const { record, journal } = planned;
  if (record === before) return planned;
  const alerts = alertEntries(before, record);
  const undated = record.retiring.some(({ since }) => since === undefined);
  const retiring = undated ? record.retiring.map((slot) => ({ since: now, ...slot })) : record.retiring;
  if (alerts.length === 0 && !undated) return planned;
  return { ...planned, record: undated ? { ...record, retiring } : record, journal: [...journal, ...alerts] };
}

/** A sync that the interval brought ends with the time that its container serves. */
function withoutLeft(planned: Going, fresh: Fresh, now: number): Going {
  const { state, held, syncs } = planned.record;
  const running = syncs?.running;
  if (!running || (state === "active" && held?.containerId === running.containerId)) return planned;
  const ended = dropped(planned.record, "left", fresh, now);
  if (ended.kind !== "go") return planned;
  return { ...planned, record: ended.record, synced: [...(planned.synced ?? []), ...(ended.synced ?? [])] };
}

/** A record is one row, which holds 2 MB (platform limit); what a tenant was given is all of it that can be large. */
const MAX_GIVEN_BYTES = 1_800_000;

/** Not so a key that is wrapped anew: nobody gave anything, and a rotation ends. */
const isGiven = (event: TenantEvent): boolean =>
  event.type === "claim" || (event.type === "change" && event.change.kind !== "rewrap");

function isTooMuch(before: TenantRecord, { delivery, secrets }: TenantRecord): boolean {
  if (delivery === before.delivery && secrets === before.secrets) return false;
  return new TextEncoder().encode(JSON.stringify([delivery, secrets])).length > MAX_GIVEN_BYTES;
}

function decide(record: TenantRecord, event: TenantEvent, fresh: Fresh, limits: Limits, now: number): Plan {
  switch (event.type) {
    case "claim":
      return claim(record, event, fresh, limits, now);
    case "release":
      return release(record, event.request, fresh, limits, now);
    case "act":
      return act(record, event.action, event.by, fresh, limits, now);
    case "change":
      return change(record, event.change, event.ifMatch, now);
    case "import":
      return beginImport(record, event, fresh, limits, now);
    case "noted":
      return { kind: "go", record, steps: [], journal: [event.entry] };
    case "files":
      return noteFiles(record, event.note, now);
    case "wake":
      return wake(record, fresh, limits, now);
    case "drain":
      return drain(record, event.containerId, fresh, limits, now);
    case "lost":
      return lost(record, event, fresh, limits, now);
    case "tick":
      return tick(record, event, fresh, limits, now);
    case "observed":
      return observed(record, event, fresh, limits, now);
    case "synced":
      return synced(record, event, fresh, limits, now);
    case "cancel_sync":
      return cancelSync(record, event.specId);
    case "retired":
      return retired(record, event.containerId, now);
    case "not_retired":
      return notRetired(record, event.failure, now);
    case "withdrawn":
      return withdrawn(record, event.part, event.failure, now);
    case "erased":
      return erased(record, event.proof, now);
    case "erase_failed":
      return eraseFailed(record, event.failure, now);
    case "settled":
      return ended(record, now);
  }
  // The result of a step counts only for the operation that took it: a late reply changes nothing (P-FENCE).
  const operation = record.operation;
  if (operation === null || operation.id !== event.operationId) return unwanted(record, event);
  switch (event.type) {
    case "leased":
      return leased(record, operation, event);
    case "assigned":
      return assigned(record, operation, event, now);
    case "start_failed":
      return startFailed(record, operation, event, limits, now);
    case "resumed":
      return resumed(record, operation, event, now);
    case "restarted":
      return restarted(record, operation, event, now);
    case "quiesced":
      return quiesced(record, operation, event, limits, now);
    case "saved":
      if (!event.outcome.ok) return saveFailed(record, operation, event.outcome.failure, limits, now);
      return saved(record, operation, event.outcome.value, limits, now);
    case "promoted":
      return promoted(record, operation, event, now);
    case "restored":
      return restored(record, operation, event, limits, now);
    case "imported":
      return imported(record, operation, event, now);
  }
}

/** Late: the record stays as it is. A container that was to come with it is given back, with all that it was given. */
function unwanted(record: TenantRecord, event: StepResult): Plan {
  const lease = "lease" in event ? event.lease : null;
  if (!lease || !record.poolId || lease.containerId === record.held?.containerId) return nothing(record);
  const step: Step = {
    do: "retire",
    containerId: lease.containerId,
    poolId: lease.poolId,
    reason: "came too late",
  };
  return { kind: "go", record, steps: [step], journal: [] };
}

function retired(record: TenantRecord, containerId: string, now: number): Plan {
  const retiring = record.retiring.filter((slot) => slot.containerId !== containerId);
  return retiring.length === record.retiring.length ? nothing(record) : ended({ ...record, retiring }, now);
}
