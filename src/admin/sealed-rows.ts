import { messageOf } from "../durable/deadline.ts";
import { isOutdated, type Keyring, openUnder, sealUnder } from "../secrets/envelope.ts";

/** Columns of D1 that are sealed under SECRETS_KEY itself, and to what each value is bound. */
interface SealedColumn {
  table: string;
  column: string;
  boundTo: (id: string) => string;
}

export const SEALED_COLUMNS: readonly SealedColumn[] = [];

const PAGE = 200;

/** Seals what another key sealed anew. A row that changes meanwhile is sealed under the current key by whoever changes it. */
export async function rewrapRows(
  db: D1Database,
  keyring: Keyring,
): Promise<{ rows: number; failed: { id: string; detail: string }[] }> {
  const failed: { id: string; detail: string }[] = [];
  let rows = 0;
  for (const sealed of SEALED_COLUMNS) {
    for (let after = ""; ; ) {
      const page = await readPage(db, sealed, after);
      for (const { id, value } of page.filter((row) => isOutdated(keyring, row.value))) {
        try {
          rows += await rewrapRow(db, keyring, sealed, id, value);
        } catch (error) {
          failed.push({ id: `${sealed.table}:${id}`, detail: messageOf(error) });
        }
      }
      const last = page.at(-1);
      if (!last || page.length < PAGE) break;
      after = last.id;
    }
  }
  return { rows, failed };
}

async function readPage(db: D1Database, { table, column }: SealedColumn, after: string) {
  const sql = `SELECT id, ${column} AS value FROM ${table} WHERE id > ? AND ${column} IS NOT NULL ORDER BY id LIMIT ?`;
  return (await db.prepare(sql).bind(after, PAGE).all<{ id: string; value: string }>()).results;
}

async function rewrapRow(
  db: D1Database,
  keyring: Keyring,
  { table, column, boundTo }: SealedColumn,
  id: string,
  value: string,
): Promise<number> {
  const plain = await openUnder(keyring, boundTo(id), value);
  const { meta } = await db
    .prepare(`UPDATE ${table} SET ${column} = ? WHERE id = ? AND ${column} = ?`)
    .bind(await sealUnder(keyring, boundTo(id), plain), id, value)
    .run();
  return meta.changes;
}
