/** The SQL of inline contents: files of at most `INLINE_LIMIT` bytes, each a row that any number of entries refer to. */
export class Bodies {
  readonly #sql: SqlStorage;
  #next: number | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Null for one that was moved to its pack. */
  find(body: number): Uint8Array | null {
    const [row] = this.#sql.exec<{ data: ArrayBuffer }>("SELECT data FROM bodies WHERE body = ?", body).toArray();
    return row === undefined ? null : new Uint8Array(row.data);
  }

  /** Those that are here. */
  some(bodies: readonly number[]): Map<number, Uint8Array> {
    const rows = this.#sql
      .exec<{ body: number; data: ArrayBuffer }>(
        "SELECT body, data FROM bodies WHERE body IN (SELECT value FROM json_each(?))",
        JSON.stringify(bodies),
      )
      .toArray();
    return new Map(rows.map(({ body, data }) => [body, new Uint8Array(data)]));
  }

  /**
   * Stores contents and answers with the row of the first; the others follow it. Inside a commit.
   * Forty to a statement: measured at half the time of one each.
   */
  add(contents: readonly Uint8Array[]): number {
    const first = this.reserve(contents.length);
    for (let i = 0; i < contents.length; i += 40) {
      const some = contents.slice(i, i + 40);
      const bindings = some.flatMap((data, j) => [first + i + j, data]);
      this.#sql.exec(`INSERT INTO bodies (body, data) VALUES ${some.map(() => "(?, ?)").join(", ")}`, ...bindings);
    }
    return first;
  }

  /** Numbers that no content has or had here, also of contents that are in packs only. Inside a commit. */
  reserve(count: number): number {
    this.#next ??= this.#sql
      .exec<{ n: number }>(
        "SELECT max((SELECT coalesce(max(body), 0) FROM bodies), (SELECT coalesce(max(body), 0) FROM packed)) + 1 AS n",
      )
      .one().n;
    const first = this.#next;
    this.#next = first + count;
    return first;
  }

  /** One that is in its pack, and damaged here. Inside a commit. */
  remove(body: number): void {
    this.#sql.exec("DELETE FROM bodies WHERE body = ?", body);
  }

  /** After a commit that was rolled back. */
  forget(): void {
    this.#next = null;
  }

  /**
   * Drops contents that are in packs too: first those that only older generations need, of those the oldest. At most `limit`; answers with how many.
   * Inside a commit.
   */
  drop(limit: number): number {
    return this.#sql
      .exec(
        `DELETE FROM bodies WHERE body IN (
           SELECT p.body FROM packed p WHERE EXISTS (SELECT 1 FROM bodies b WHERE b.body = p.body)
           ORDER BY EXISTS (SELECT 1 FROM entries e WHERE e.body = p.body AND e.to_gen = ${Number.MAX_SAFE_INTEGER}), p.body LIMIT ?)
         RETURNING body`,
        limit,
      )
      .toArray().length;
  }
}
