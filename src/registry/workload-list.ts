import { stateHash } from "../audit/entry.ts";
import { IMAGES } from "../runtime/images.ts";
import { storedWorkload, type Workload, workloadSchema } from "./specs.ts";
import { type Page, pageOf, SEPARATOR } from "./store.ts";

/** What a list shows of a workload beside its spec, and the spec as the JSON text that is stored. Times are text of ms. */
export interface WorkloadLine {
  id: string;
  version: string;
  createdAt: string;
  updatedAt: string;
  pools: string;
  spec: string;
}

/** Of what is stored now. It changes when a default is added or another, so that what was stored before is completed again. */
export const SHAPE = stateHash(workloadSchema.parse({ id: "x", image: IMAGES[0] })).slice(0, 16);

/** D1 returns no text of more than 2 MB, and one specification may have 1 MB. A page ends early at 4 MB. */
const TOGETHER_BYTES = 900_000;
const PAGE_BYTES = 4_000_000;
const FACTS = `id || ' ' || version || ' ' || created_at || ' ' || updated_at || ' ' ||
  (SELECT count(*) FROM pools WHERE workload_id = workloads.id) || ' ' || (shape = '${SHAPE}')`;

/**
 * A page, as the JSON of its items where it can be: made in the database from what was made at each writing, because a
 * thousand rows that are handed over, taken apart and put together again take twice as long. A page that is too large for
 * one text, or has rows from before the present defaults, is put together here.
 */
export async function listWorkloads(
  db: D1Database,
  after: string,
  limit: number,
): Promise<{ text: string; next: string | null } | Page<WorkloadLine>> {
  const page = await db
    .prepare(
      `SELECT max(id) AS last, min(shape = '${SHAPE}') AS plain, (SELECT count(*) FROM (SELECT 1 FROM workloads WHERE id > ?1 LIMIT ?2 + 1)) AS found,
        group_concat('{"pools":' || (SELECT count(*) FROM pools WHERE workload_id = w.id) || ',' || substr(shown, 2), ',') AS text
       FROM (SELECT id, shape, shown FROM workloads WHERE id > ?1 AND ${TOGETHER_BYTES} >=
          (SELECT sum(bytes) FROM (SELECT length(shown) AS bytes FROM workloads WHERE id > ?1 ORDER BY id LIMIT ?2))
        ORDER BY id LIMIT ?2) AS w`,
    )
    .bind(after, limit)
    .first<{ last: string | null; plain: number | null; found: number; text: string | null }>();
  if (page?.found === 0) return { text: "", next: null };
  if (!page?.plain || page.text === null) return listInParts(db, after, limit);
  return { text: page.text, next: page.found > limit ? page.last : null };
}

async function listInParts(db: D1Database, after: string, limit: number): Promise<Page<WorkloadLine>> {
  const { results } = await db
    .prepare(
      `WITH page AS (SELECT id, length(spec) AS bytes FROM workloads WHERE id > ? ORDER BY id LIMIT ?),
        placed AS (SELECT id, row_number() OVER w AS place, sum(bytes) OVER w AS total FROM page WINDOW w AS (ORDER BY id))
       SELECT (SELECT count(*) FROM page) AS count, group_concat(spec, char(30)) AS specs, group_concat(${FACTS}, char(30)) AS facts
       FROM placed CROSS JOIN workloads USING (id) WHERE total <= ${PAGE_BYTES} OR place = 1 GROUP BY total / ${TOGETHER_BYTES}`,
    )
    .bind(after, limit + 1)
    .all<{ count: number; facts: string; specs: string }>();
  const lines = results.flatMap(({ facts, specs }) => linesOf(facts, specs));
  const page = pageOf(lines, limit, (line) => line);
  const isCut = page.next === null && lines.length < (results[0]?.count ?? 0);
  return isCut ? { ...page, next: lines.at(-1)?.id ?? null } : page;
}

function linesOf(facts: string, specs: string): WorkloadLine[] {
  const stored = specs.split(SEPARATOR);
  return facts.split(SEPARATOR).map((fact, index) => {
    const [id = "", version = "", createdAt = "", updatedAt = "", pools = "", isPresent] = fact.split(" ");
    const text = stored[index] ?? "{}";
    const spec = isPresent === "1" ? text : JSON.stringify(storedWorkload(text));
    return { id, version, createdAt, updatedAt, pools, spec };
  });
}

/** What a list shows of a workload, but for its pools. */
export const shownAs = (spec: Workload, version: number, createdAt: number, updatedAt: number): string =>
  JSON.stringify({
    ...spec,
    version,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  });
