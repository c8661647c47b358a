import type { Boilerhouse, Schemas } from "../../src/client/index.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./io.ts";
import { recordOf } from "./table.ts";

type Report = Schemas["FsckReport"];
type Asked = "repair" | "rebuild" | "discard";

/** Goes page by page to the end of what a tenant has saved, and ends with 1 if anything is wrong that was not mended. */
export async function fsck(
  { api }: Boilerhouse,
  id: string,
  asked: { readonly flags: readonly Asked[]; readonly spec: string | undefined },
  report: "json" | "text",
  io: Io,
): Promise<number> {
  const of = asked.spec === undefined ? {} : { spec: asked.spec };
  const body = { ...Object.fromEntries(asked.flags.map((name) => [name, true])), ...of };
  let all: Report | null = null;
  for (let cursor: string | null = null; ; ) {
    const more: { cursor?: string } = cursor === null ? {} : { cursor };
    const page: Report | undefined = (
      await api.POST("/api/v1/tenants/{id}/fsck", { params: { path: { id } }, body: { ...body, ...more } })
    ).data;
    if (!page) break;
    all = all ? joined(all, page) : page;
    cursor = page.nextCursor;
    if (cursor === null) break;
    io.stderr(`${all.checked.contents} contents, ${all.checked.objects} objects …\n`);
  }
  if (report === "json") io.stdout(`${JSON.stringify(all)}\n`);
  else if (all) {
    const { problems, nextCursor: _, ...rest } = all;
    io.stdout(recordOf({ ...rest, problems: problems.length }));
    for (const { what, detail, repaired } of problems) io.stdout(`${repaired ? "✓" : "✗"} ${what}: ${detail}\n`);
  }
  return all?.problems.every(({ repaired }) => repaired) ? EXIT.ok : EXIT.refused;
}

function joined(before: Report, page: Report): Report {
  const checked = { ...page.checked };
  for (const name of Object.keys(checked) as (keyof typeof checked)[]) checked[name] += before.checked[name];
  return { ...page, checked, problems: [...before.problems, ...page.problems] };
}
