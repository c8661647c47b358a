/** Copies of one row: the same but for its id, and for the id in its specification. */
export interface Multiply {
  readonly table: "tenants" | "workloads" | "pools";
  /** The id of the row that is copied; it was made by the product itself. */
  readonly from: string;
  readonly times: number;
}

const ID = { tenants: "tenant_id", workloads: "id", pools: "id" } as const;

/** Columns that hold the id in JSON. */
const JSON_COLUMNS = new Set(["spec", "shown"]);

/** Fills a table with rows like one that is there, so that nothing here has to know what a row looks like. 404: it is not there yet. */
export async function multiply(db: D1Database, { table, from, times }: Multiply): Promise<Response> {
  const { results } = await db.prepare(`PRAGMA table_info(${table})`).all<{ name: string }>();
  const columns = results.map(({ name }) => name);
  const copy = `printf('${from}-%05d', n.i)`;
  const values = columns.map((name) =>
    name === ID[table] ? copy : JSON_COLUMNS.has(name) ? `json_set(${name}, '$.id', ${copy})` : `${table}.${name}`,
  );
  const { meta } = await db
    .prepare(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
       INSERT INTO ${table} (${columns.join(", ")}) SELECT ${values.join(", ")} FROM n, ${table} WHERE ${table}.${ID[table]} = ?2`,
    )
    .bind(times, from)
    .run();
  return Response.json({ rows: meta.changes }, { status: meta.changes === 0 ? 404 : 200 });
}
