import type { Generation } from "../../ids.ts";
import type { Source } from "../entries.ts";
import { jsonBatches } from "../schema.ts";

/** A pack that is in R2 whole. */
export interface Pack {
  pack: number;
  object: string;
  generation: Generation;
  /** Whether it has the manifest of its generation, or contents only. */
  manifest: boolean;
  /** Of the object. */
  bytes: number;
}

/** Where in a pack a content is. */
export interface Place {
  body: number;
  object: string;
  start: number;
  size: number;
}

/** Something that R2 lacks: the pack of a generation, or (for generation 0) the ledger. */
export interface Task {
  generation: Generation | 0;
  /** Counts how often it was asked for, so that what changed while it was written is written again. */
  stamp: number;
  attempts: number;
  /** Not before, in ms since 1970. */
  due: number;
}
export const LEDGER = 0;

const PACK = "pack, object, generation, manifest, bytes";

/** The SQL of packs: which there are, what is in them, and what has still to be written. */
export class Packs {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Inside a commit. */
  enqueue(generation: Generation | 0): void {
    this.#sql.exec(
      "INSERT INTO outbox (generation, stamp, attempts, due) VALUES (?, 1, 0, 0) ON CONFLICT (generation) DO UPDATE SET stamp = stamp + 1, due = 0",
      generation,
    );
  }

  /** Generations in their order, then the ledger, which speaks of them. */
  next(): Task | null {
    const [row] = this.#sql
      .exec("SELECT generation, stamp, attempts, due FROM outbox ORDER BY generation = 0, generation LIMIT 1")
      .toArray();
    return (row as unknown as Task | undefined) ?? null;
  }

  pending(): (Generation | 0)[] {
    return Array.from(this.#sql.exec("SELECT generation FROM outbox").raw(), ([one]) => one as Generation | 0);
  }

  /** Answers whether the task was still wanted; one that was asked for again meanwhile stays. Inside a commit. */
  finish({ generation, stamp }: Task): boolean {
    const wanted = this.#sql.exec("SELECT 1 FROM outbox WHERE generation = ?", generation).toArray().length > 0;
    this.#sql.exec("DELETE FROM outbox WHERE generation = ? AND stamp = ?", generation, stamp);
    return wanted;
  }

  /** Inside a commit. */
  postpone({ generation, attempts }: Task, due: number): void {
    this.#sql.exec("UPDATE outbox SET attempts = ?, due = ? WHERE generation = ?", attempts + 1, due, generation);
  }

  /** Contents of a generation that are in no pack yet, in key order. */
  unpacked(of: Source): { body: number; size: number }[] {
    const source = of.aside ? "aside AS e WHERE generation = ?1" : "entries AS e WHERE from_gen <= ?1 AND to_gen > ?1";
    return this.#sql
      .exec(
        `SELECT body, size FROM ${source} AND body IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM packed p WHERE p.body = e.body) GROUP BY body ORDER BY min(key)`,
        of.generation,
      )
      .toArray() as { body: number; size: number }[];
  }

  /** Inside a commit. The same object again replaces what was known of it. */
  add(pack: Omit<Pack, "pack">, places: readonly Omit<Place, "object">[]): void {
    const { pack: number } = this.#sql
      .exec<{ pack: number }>(
        `INSERT INTO packs (object, generation, manifest, bytes) VALUES (?, ?, ?, ?)
           ON CONFLICT (object) DO UPDATE SET bytes = excluded.bytes RETURNING pack`,
        pack.object,
        pack.generation,
        pack.manifest ? 1 : 0,
        pack.bytes,
      )
      .one();
    for (const json of jsonBatches(places.map(({ body, start, size }) => [body, start, size]))) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO packed (body, pack, start, size) SELECT value->>0, ?, value->>1, value->>2 FROM json_each(?)",
        number,
        json,
      );
    }
  }

  all(): Pack[] {
    return this.#packs("1 = 1");
  }

  /** The pack with the manifest of a generation, the latest if it was written again. */
  of(generation: Generation): Pack | null {
    return this.#packs("generation = ? AND manifest = 1", generation).at(-1) ?? null;
  }

  count(generation: Generation): number {
    return this.#packs("generation = ?", generation).length;
  }

  /** The packs that contents of a generation are in. */
  objectsOf(of: Source): string[] {
    const source = of.aside
      ? "aside AS e WHERE e.generation = ?1"
      : "entries AS e WHERE from_gen <= ?1 AND to_gen > ?1";
    const query = `SELECT object FROM packs WHERE pack IN (SELECT DISTINCT p.pack FROM packed p WHERE p.body IN (SELECT body FROM ${source}))`;
    return Array.from(this.#sql.exec(query, of.generation).raw(), ([object]) => object as string);
  }

  places(bodies: readonly number[]): Place[] {
    return this.#sql
      .exec(
        "SELECT body, object, start, size FROM packed JOIN packs USING (pack) WHERE body IN (SELECT value FROM json_each(?))",
        JSON.stringify(bodies),
      )
      .toArray() as unknown as Place[];
  }

  /** The content that begins at a place of a pack, if it is known. */
  bodyAt(object: string, start: number): number | null {
    const [row] = this.#sql
      .exec<{ body: number }>(
        "SELECT body FROM packed JOIN packs USING (pack) WHERE object = ? AND start = ?",
        object,
        start,
      )
      .toArray();
    return row?.body ?? null;
  }

  /** Packs that no generation and no content needs, to be deleted in R2 first and then here by `forget`. */
  unneeded(): Pack[] {
    return this.#packs(
      `NOT EXISTS (SELECT 1 FROM packed p WHERE p.pack = packs.pack)
         AND NOT (manifest = 1 AND EXISTS (SELECT 1 FROM generations g WHERE g.generation = packs.generation)
           AND NOT EXISTS (SELECT 1 FROM packs l WHERE l.generation = packs.generation AND l.manifest = 1 AND l.pack > packs.pack))`,
    );
  }

  after(pack: number, limit: number): Pack[] {
    return this.#packs("pack > ?", pack).slice(0, limit);
  }

  /** Contents that are to be packed again, since what their packs have is not whole. Inside a commit. */
  misplace(bodies: readonly number[]): void {
    this.#sql.exec("DELETE FROM packed WHERE body IN (SELECT value FROM json_each(?))", JSON.stringify(bodies));
  }

  /** Those of the contents in a pack that are here too. */
  inlineOf(pack: number): number[] {
    const query =
      "SELECT body FROM packed WHERE pack = ? AND EXISTS (SELECT 1 FROM bodies b WHERE b.body = packed.body)";
    return Array.from(this.#sql.exec(query, pack).raw(), ([body]) => body as number);
  }

  /** How many contents are in a pack. */
  held(pack: number): number {
    return this.#sql.exec<{ n: number }>("SELECT count(*) AS n FROM packed WHERE pack = ?", pack).one().n;
  }

  /** A pack that is not in R2 any more, and what it held: by its key, since a rebuild numbers packs anew. Inside a commit. */
  forget(object: string): void {
    this.#sql.exec("DELETE FROM packed WHERE pack IN (SELECT pack FROM packs WHERE object = ?)", object);
    this.#sql.exec("DELETE FROM packs WHERE object = ?", object);
  }

  isKnown(object: string): boolean {
    return this.#sql.exec("SELECT 1 FROM packs WHERE object = ?", object).toArray().length > 0;
  }

  #packs(where: string, ...bindings: (string | number)[]): Pack[] {
    return this.#sql
      .exec(`SELECT ${PACK} FROM packs WHERE ${where} ORDER BY pack`, ...bindings)
      .toArray()
      .map((row) => ({ ...row, manifest: row.manifest === 1 }) as unknown as Pack);
  }
}
