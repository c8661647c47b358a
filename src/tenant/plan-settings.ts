import { canonical } from "../audit/entry.ts";
import { merged } from "./delivery.ts";
import type { JournalEntry, Plan, PlannedChange, Step } from "./events.ts";
import { nothing, refuse } from "./planning.ts";
import type { TenantRecord } from "./record.ts";

/** What is set about a tenant. Nothing here touches a running container: it all holds from the next start on. */
export function change(record: TenantRecord, wanted: PlannedChange, ifMatch: number | null, now: number): Plan {
  if (record.state === "destroying" || record.state === "destroyed") {
    return refuse("invalid_transition", `A tenant that is ${record.state} cannot be changed.`, { state: record.state });
  }
  const version = versionOf(record, wanted);
  if (ifMatch !== null && version !== null && ifMatch !== version) {
    return refuse("version_mismatch", `The present version is ${version}.`, { version });
  }
  switch (wanted.kind) {
    case "tier":
      if (wanted.tier === record.tier) return nothing(record);
      return set(record, { tier: wanted.tier }, "tenant.tier_set", { from: record.tier, to: wanted.tier });
    case "lifecycle": {
      if (canonical(wanted.lifecycle) === canonical(record.lifecycle)) return nothing(record);
      // A wake time of the earlier lifecycle means nothing any more. Whoever makes it always-on wants it on, whoever stopped it.
      const wakeAt = wanted.lifecycle.mode === "always-on" ? now : null;
      return set(record, { lifecycle: wanted.lifecycle, wakeAt }, "tenant.lifecycle_set", { ...wanted.lifecycle });
    }
    case "config": {
      const { delivery, newConfig } = merged(record, { config: { value: wanted.config } });
      if (!newConfig) return nothing(record);
      const from = wanted.rolledBackTo === undefined ? {} : { rolledBackTo: wanted.rolledBackTo };
      const planned = set(record, { delivery }, "tenant.config_set", { version: newConfig.version, ...from });
      return planned.kind === "go" ? { ...planned, newConfig } : planned;
    }
    case "secrets": {
      if (wanted.before !== undefined && wanted.before !== (record.secrets?.version ?? 0)) return stale(record);
      const { secrets } = merged(record, { secrets: wanted.sealed });
      if (secrets === record.secrets) return nothing(record);
      // Neither values nor names: whoever may not list the secrets reads this too.
      const count = Object.keys(secrets?.items ?? {}).length;
      return set(record, { secrets }, "tenant.secrets_set", { version: secrets?.version ?? 0, count });
    }
    case "rewrap": {
      const { secrets } = record;
      if (!secrets || secrets.version !== wanted.before) return stale(record);
      return set(record, { secrets: { ...secrets, key: wanted.key } }, "tenant.key_rewrapped", {
        keyId: wanted.key.keyId,
      });
    }
    case "revoke-tokens": {
      const tokenVersion = record.tokenVersion + 1;
      const { held } = record;
      const steps: Step[] = held ? [{ do: "revoke", containerId: held.containerId, tokenVersion }] : [];
      return set(record, { tokenVersion }, "tenant.tokens_revoked", { tokenVersion }, steps);
    }
  }
}

/** The version that an `If-Match` speaks of. */
function versionOf(record: TenantRecord, wanted: PlannedChange): number | null {
  if (wanted.kind === "config") return record.delivery.configVersion;
  return wanted.kind === "secrets" ? (record.secrets?.version ?? 0) : null;
}

const stale = (record: TenantRecord): Plan =>
  refuse("version_mismatch", "The secrets changed meanwhile.", { version: record.secrets?.version ?? 0 });

function set(
  record: TenantRecord,
  changes: Partial<TenantRecord>,
  type: string,
  detail: JournalEntry["detail"] & object,
  steps: Step[] = [],
): Plan {
  return { kind: "go", record: { ...record, ...changes }, steps, journal: [{ type, detail }] };
}
