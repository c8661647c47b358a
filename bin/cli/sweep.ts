import type { Boilerhouse, Schemas } from "../../src/client/index.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./io.ts";
import { recordOf } from "./table.ts";

type Report = Schemas["Sweep"];

/** Goes page by page to the end of a sweep, and ends with 1 if anything was found that is still there. */
export async function sweep(
  { api }: Boilerhouse,
  body: { dryRun?: true },
  report: "json" | "text",
  io: Io,
): Promise<number> {
  let all: Report | null = null;
  for (let cursor: string | null = null; ; ) {
    const query: { cursor?: string } = cursor === null ? {} : { cursor };
    const page: Report | undefined = (await api.POST("/api/v1/admin/sweep", { params: { query }, body })).data;
    if (!page) break;
    all = all ? joined(all, page) : page;
    cursor = page.cursor;
    if (cursor === null) break;
    io.stderr(`${all.checked} looked at, ${all.found.length} found …\n`);
  }
  if (!all) return EXIT.refused;
  const { checked, found, removed, skipped, failed } = all;
  if (report === "json") io.stdout(`${JSON.stringify(all)}\n`);
  else {
    const counts = { removed: removed.length, skipped: skipped.length, failed: failed.length };
    io.stdout(recordOf({ checked, found: found.length, ...counts }));
    for (const { kind, id, detail } of body.dryRun ? found : removed)
      io.stdout(`${mark(body)} ${kind} ${id}: ${detail}\n`);
    for (const { kind, id, detail, reason } of body.dryRun ? [] : skipped)
      io.stdout(`✗ ${kind} ${id}: ${detail}; left alone: ${reason}\n`);
  }
  for (const { id, detail } of failed) io.stderr(`✗ ${id} was not looked at: ${detail}\n`);
  return found.length === removed.length && failed.length === 0 ? EXIT.ok : EXIT.refused;
}

const mark = ({ dryRun }: { dryRun?: true }) => (dryRun ? "?" : "✓");

const joined = (before: Report, page: Report): Report => ({
  ...page,
  checked: before.checked + page.checked,
  found: [...before.found, ...page.found],
  removed: [...before.removed, ...page.removed],
  skipped: [...before.skipped, ...page.skipped],
  failed: [...before.failed, ...page.failed],
});
