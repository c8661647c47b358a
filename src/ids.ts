/** The names that cross every boundary, branded so that one cannot be passed for another. */
declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

export type TenantId = Branded<string, "TenantId">;
export type PoolId = Branded<string, "PoolId">;
/** New for every container: `c-` and 20 lower-case base32 characters. */
export type ContainerId = Branded<string, "ContainerId">;
/** Counts the assignments of a container to a tenant; anything that acts for a lower one is refused. */
export type Epoch = Branded<number, "Epoch">;
/** Counts a tenant's committed saves, from 1. */
export type Generation = Branded<number, "Generation">;

/** Ids of workloads, pools and sync specs (contract: API conventions). */
export const SLUG = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Ids of tenants (contract: API conventions). */
export const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}$/;
const CONTAINER_ID = /^c-[a-z2-7]{20}$/;
export const RESERVED_HOST_LABELS = new Set(["api", "admin", "app", "www", "docs", "health"]);
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

const matching =
  <T extends string>(pattern: RegExp) =>
  (value: string): T | null =>
    pattern.test(value) ? (value as T) : null;

export const parseTenantId = matching<TenantId>(TENANT_ID);
export const parsePoolId = matching<PoolId>(SLUG);
export const parseContainerId = matching<ContainerId>(CONTAINER_ID);

export const epoch = (value: number): Epoch => value as Epoch;
export const generation = (value: number): Generation => value as Generation;

/** A fresh container id from 20 random bytes (100 of their bits are used). */
export function containerId(random: Uint8Array): ContainerId {
  return `c-${base32(random).slice(0, 20)}` as ContainerId;
}

/**
 * The first label of a tenant's own host: the id itself where that is a plain slug, else `t-` and 20 characters of
 * base32(SHA-256(id)). Injective but for collisions of 100 bits; `xn--` and reserved labels are never used as they are.
 */
export async function hostLabel(tenantId: TenantId): Promise<string> {
  const plain = SLUG.test(tenantId) && !tenantId.startsWith("xn--") && !RESERVED_HOST_LABELS.has(tenantId);
  // A label that looks like a hashed one must itself be hashed, or two tenants could share a host.
  if (plain && !/^t-[a-z2-7]{20}$/.test(tenantId)) return tenantId;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tenantId));
  return `t-${base32(new Uint8Array(digest)).slice(0, 20)}`;
}

function base32(bytes: Uint8Array): string {
  let out = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += BASE32[(buffer >> bits) & 31];
    }
  }
  return out;
}
