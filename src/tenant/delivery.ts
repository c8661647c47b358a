import { canonical } from "../audit/entry.ts";
import type { Delivery, TenantRecord } from "./record.ts";
import { type SealedSecrets, takenUp } from "./secrets.ts";

/** What a claim brought with it. It is merged when the claim is planned, so that no claim undoes another one's. */
export interface Given {
  publicUrl?: string;
  /** Each replaces the earlier one of its kind; absent: that stays. */
  config?: { value: unknown };
  secrets?: SealedSecrets;
}

export interface Merged {
  delivery: Delivery;
  secrets: SealedSecrets | null;
  /** The version that came into being, to be kept in the history. */
  newConfig?: { version: number; config: unknown };
}

/** What the next start delivers after a claim; the same objects where that changes nothing. Pure. */
export function merged(before: Pick<TenantRecord, "delivery" | "secrets">, given: Given | null): Merged {
  const secrets = takenUp(before.secrets, given?.secrets);
  const publicUrl = given?.publicUrl ?? before.delivery.publicUrl;
  const isNew = given?.config !== undefined && !isSame(before.delivery, given.config.value);
  if (!isNew && publicUrl === before.delivery.publicUrl) return { delivery: before.delivery, secrets };
  const version = before.delivery.configVersion + (isNew ? 1 : 0);
  const config = isNew ? given?.config?.value : before.delivery.config;
  const delivery: Delivery = {
    configVersion: version,
    ...(config === undefined ? {} : { config }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
  };
  return { delivery, secrets, ...(isNew ? { newConfig: { version, config } } : {}) };
}

const isSame = (before: Delivery, config: unknown): boolean =>
  before.configVersion > 0 && canonical(before.config) === canonical(config);
