import { type Place, placeOf } from "./places.ts";
import type { SyncMapping, SyncSpec } from "./spec.ts";

/** What a run of a spec does, decided from the spec and why it runs. Pure. */

/** Why a spec is synchronised. `manual`: somebody asked, for one direction or for all. */
export type Why = "claim" | "release" | "interval" | "manual";
/** Into the container, out of it, or as each mapping says. */
export type Way = "down" | "up" | "both";

export interface Leg {
  mapping: SyncMapping;
  place: Place;
  way: "up" | "down";
  /** Whether what is gone on one side goes on the other. */
  deletes: boolean;
  /** Of a download: what is newer in the container stays as it is. */
  update: boolean;
}

/**
 * The transfers of a run, downloads first. `restored`: this container has what the sink had. Until then nothing that
 * goes both ways deletes on its way out, since what is missing here may never have come (P-GUARD).
 */
export function legsOf(spec: SyncSpec, tenantId: string, why: Why, way: Way, restored: boolean): Leg[] {
  const s3 = spec.sink.type === "s3";
  const downs: Leg[] = [];
  const ups: Leg[] = [];
  // Both ways at once, where another may have written: what is newer wins, and nothing is deleted (contract: Sync).
  const merges = s3 && why === "manual" && way === "both";
  for (const mapping of spec.mappings) {
    const place = placeOf(spec, mapping, tenantId);
    const both = mapping.direction === "bidirectional";
    const sync = mapping.mode === "sync";
    const comes = both ? way === "down" || merges : mapping.direction === "download" && way !== "up";
    const goes = both ? way !== "down" : mapping.direction === "upload" && way !== "down";
    if (comes) downs.push({ mapping, place, way: "down", deletes: sync && !(both && merges), update: both && merges });
    if (goes) {
      ups.push({ mapping, place, way: "up", deletes: sync && !(both && (merges || !restored)), update: false });
    }
  }
  return [...downs, ...ups];
}

/** P-GUARD for what no vault keeps: more than half of what is on one side would go. */
export const guardTrips = (gone: number, there: number): boolean => gone * 2 > there;
export const allowedDeletes = (there: number): number => Math.floor(there / 2);
