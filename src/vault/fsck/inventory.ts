import { messageOf } from "../../durable/deadline.ts";
import { ContentError, reach } from "../contents.ts";
import { parsePackName } from "../packs/format.ts";
import { type Ledger, readLedger } from "../packs/ledger.ts";
import type { VaultParts } from "../parts.ts";

/** What R2 has, and what of it counts. */
export interface Inventory {
  ledger: Ledger | null;
  /** Generations and their manifests, in order. */
  wanted: { generation: number; object: string }[];
  /** Generations that are retained and have no manifest. */
  missing: number[];
  /** Length of every object and pack. */
  sizes: Map<string, number>;
  /** The highest generation that was ever given out, as far as R2 knows. */
  last: number;
  problems: string[];
}

/** The ledger says what is retained; what is newer than it counts too. Without a ledger everything does that can be brought back. @throws ContentError */
export async function inventoryOf(parts: VaultParts): Promise<Inventory> {
  const problems: string[] = [];
  const ledger = await readLedger(parts).catch((error) => {
    if (!(error instanceof ContentError)) throw new ContentError("storage_unavailable", messageOf(error));
    if (error.failure.code !== "internal") throw error;
    problems.push(error.message);
    return null;
  });
  const sizes = new Map<string, number>();
  for (const below of ["objects/", "packs/"]) await listInto(sizes, parts, `${parts.prefix()}${below}`);
  const manifests = new Map<number, { object: string; number: number }>();
  for (const object of sizes.keys()) {
    const name = parsePackName(object);
    if (name?.what !== "manifest") continue;
    const known = manifests.get(name.generation);
    if (known === undefined || known.number < name.number)
      manifests.set(name.generation, { object, number: name.number });
  }
  const retained = ledger?.generations.map(({ generation }): number => generation) ?? [];
  const counts = (generation: number) => ledger === null || generation > ledger.last || retained.includes(generation);
  const wanted = [...manifests]
    .filter(([generation]) => counts(generation))
    .map(([generation, { object }]) => ({ generation, object }))
    .sort((a, b) => a.generation - b.generation);
  return {
    ledger,
    wanted,
    sizes,
    missing: retained.filter((generation) => !manifests.has(generation)),
    last: Math.max(ledger?.last ?? 0, ...manifests.keys()),
    problems,
  };
}

async function listInto(sizes: Map<string, number>, parts: VaultParts, prefix: string): Promise<void> {
  let cursor: string | undefined;
  do {
    const options = { prefix, limit: 1000, ...(cursor !== undefined && { cursor }) };
    const page = await reach(parts.bucket().list(options));
    for (const { key, size } of page.objects) sizes.set(key, size);
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}
