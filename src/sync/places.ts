import { type SyncMapping, type SyncSpec, TENANT } from "./spec.ts";

/**
 * Where the files of one tenant lie in a sink: pure functions of the spec and the tenant's id, used by whoever sends and,
 * for every request again, by the gateway that lets it pass.
 */
export interface Place {
  /** What every key of the mapping begins with: empty, or with a slash at its end. */
  prefix: string;
  /** What is replaced or deleted here goes to `{versions}{stamp}/{below}`. */
  versions: string;
  below: string;
  /** A download only reads. */
  writes: boolean;
}

/** Of all that a bucket may hold, the one directory that is ours. */
export const VERSIONS = ".versions/";
const STAMP = /^\d{8}T\d{9}Z$/;

/** As a name of versions, so that they sort by time: `20260102T030405006Z`. */
export const stampOf = (at: number): string => new Date(at).toISOString().replaceAll(/[-:.]/g, "");

/** One component of a key that stands for the tenant, whatever the id is: it has no slash, and is neither `.` nor `..`. */
export function encodedTenant(tenantId: string): string {
  const encoded = Array.from(new TextEncoder().encode(tenantId), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_.:@-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
  return encoded.replace(/^\.+/, (dots) => "%2E".repeat(dots.length));
}

const filled = (template: string, tenantId: string): string => template.replaceAll(TENANT, encodedTenant(tenantId));

export function placeOf(spec: Pick<SyncSpec, "sink">, mapping: SyncMapping, tenantId: string): Place {
  const root = filled(spec.sink.prefix ?? "", tenantId);
  const below = filled(mapping.sinkPath, tenantId);
  return { prefix: root + below, versions: root + VERSIONS, below, writes: mapping.direction !== "download" };
}

export const placesOf = (spec: Pick<SyncSpec, "sink" | "mappings">, tenantId: string): Place[] =>
  spec.mappings.map((mapping) => placeOf(spec, mapping, tenantId));

/** Whether a key, or a prefix that is to be listed, is the tenant's to read. */
export const mayRead = (places: readonly Place[], key: string): boolean =>
  places.some((place) => key.startsWith(place.prefix) || isVersion(place, key));

/** Whether a key is the tenant's to write. */
export const mayWrite = (places: readonly Place[], key: string): boolean =>
  places.some((place) => place.writes && (key.startsWith(place.prefix) || isVersion(place, key)));

function isVersion({ versions, below, writes }: Place, key: string): boolean {
  if (!writes || !key.startsWith(versions)) return false;
  const rest = key.slice(versions.length);
  const cut = rest.indexOf("/");
  return STAMP.test(rest.slice(0, Math.max(0, cut))) && rest.slice(cut + 1).startsWith(below);
}
