import { canonical } from "../audit/entry.ts";
import { DataKey, type Keyring, newDataKey, type WrappedKey } from "../secrets/envelope.ts";
import { masked } from "../secrets/masked.ts";
import type { SecretView } from "./views.ts";

/** A tenant's secrets as they are stored: nothing in it can be read without the platform's key. */
export interface SealedSecrets {
  /** +1 with every change. */
  version: number;
  key: WrappedKey;
  /** HMAC over all names and values under the data key, to tell whether a claim brings the same ones again. */
  fingerprint: string;
  items: Record<string, SealedSecret>;
}

export interface SealedSecret {
  sealed: string;
  masked: string;
  updatedAt: number;
}

/** Seals a whole set under the tenant's data key, or a fresh one. Its version is decided when it is taken up (`takenUp`). */
export async function sealAll(
  keyring: Keyring,
  tenantId: string,
  before: SealedSecrets | null,
  secrets: Record<string, string>,
  now: number,
): Promise<SealedSecrets> {
  const key = before?.key ?? (await newDataKey(keyring, tenantId));
  const dataKey = await DataKey.open(keyring, tenantId, key);
  const items: [string, SealedSecret][] = await Promise.all(
    Object.entries(secrets).map(async ([name, value]) => [
      name,
      { sealed: await dataKey.seal(name, value), masked: masked(value), updatedAt: now },
    ]),
  );
  const fingerprint = await dataKey.fingerprint(canonical(secrets));
  return { version: 0, key, fingerprint, items: Object.fromEntries(items) };
}

/** The values by name. @throws when they cannot be opened: nothing starts without its secrets. */
export async function openAll(
  keyring: Keyring,
  tenantId: string,
  secrets: SealedSecrets,
): Promise<Record<string, string>> {
  const dataKey = await DataKey.open(keyring, tenantId, secrets.key);
  const items = await Promise.all(
    Object.entries(secrets.items).map(async ([name, { sealed }]) => [name, await dataKey.unseal(name, sealed)]),
  );
  return Object.fromEntries(items) as Record<string, string>;
}

/** The set that is stored after one was given; the same object when that changes nothing. Pure. */
export function takenUp(before: SealedSecrets | null, given: SealedSecrets | undefined): SealedSecrets | null {
  if (!given) return before;
  if (before && given.fingerprint === before.fingerprint && given.key.wrapped === before.key.wrapped) return before;
  if (!before && Object.keys(given.items).length === 0) return null;
  return { ...given, version: (before?.version ?? 0) + 1 };
}

/** Names and masked tails. Pure. */
export const viewsOf = (secrets: SealedSecrets | null): SecretView[] =>
  Object.entries(secrets?.items ?? {})
    .map(([name, { masked: tail, updatedAt }]) => ({ name, masked: tail, updatedAt }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
