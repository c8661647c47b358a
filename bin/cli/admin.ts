import type { Boilerhouse } from "../../src/client/index.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./io.ts";

const PATHS = {
  "admin rotate-secrets": "/api/v1/admin/rotate-secrets",
  "admin rebuild": "/api/v1/admin/rebuild",
} as const;

/** One page of a walk over everyone. */
interface Page {
  readonly failed: readonly unknown[];
  readonly cursor: string | null;
  readonly done: boolean;
}

/** Goes page by page to the end of a walk over everyone, and ends with 1 if anyone was left out. Each page is idempotent. */
export async function walk(
  { api }: Boilerhouse,
  words: keyof typeof PATHS,
  report: "json" | "text",
  io: Io,
): Promise<number> {
  const totals: Record<string, number> = {};
  const failed: unknown[] = [];
  let cursor: string | null = null;
  for (;;) {
    const query: { cursor?: string } = cursor === null ? {} : { cursor };
    const page: Page | undefined = (await api.POST(PATHS[words], { params: { query } })).data;
    if (!page) break;
    for (const [name, value] of Object.entries(page)) {
      if (typeof value === "number") totals[name] = (totals[name] ?? 0) + value;
    }
    failed.push(...page.failed);
    if (page.done || page.cursor === null) break;
    cursor = page.cursor;
    io.stderr(
      `${Object.entries(totals)
        .map(([name, count]) => `${count} ${name}`)
        .join(", ")} …\n`,
    );
  }
  if (report === "json") io.stdout(`${JSON.stringify({ ...totals, failed })}\n`);
  else
    for (const [name, count] of [...Object.entries(totals), ["failed", failed.length] as const])
      io.stdout(`${name}  ${count}\n`);
  for (const one of failed) io.stderr(`✗ ${JSON.stringify(one)}\n`);
  return failed.length === 0 ? EXIT.ok : EXIT.refused;
}
