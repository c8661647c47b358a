import { within } from "../durable/deadline.ts";
import type { AuditRow } from "./read.ts";

/** A record as clients see it; what its hash covers is all there. */
export const recordView = ({ at, ...row }: AuditRow) => ({ ...row, at: new Date(at).toISOString() });

export type ExportFormat = "ndjson" | "csv";

const PAGE_MS = 15_000;
const CSV_COLUMNS = [
  ["id", "at", "subject", "action", "actor", "requestId", "result"],
  ["before", "after", "detail", "seq", "prev", "hash"],
].flat() as (keyof AuditRow)[];

/**
 * Records as a stream that holds one page at a time: the next is read when the reader has taken the last.
 * `nextPage` answers what comes after an id; an empty page ends it.
 */
export function exported(
  format: ExportFormat,
  nextPage: (after: number) => Promise<readonly AuditRow[]>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const lineOf = format === "csv" ? csvLine : jsonLine;
  let after = 0;
  return new ReadableStream({
    start(controller) {
      if (format === "csv") controller.enqueue(encoder.encode(`${CSV_COLUMNS.join(",")}\r\n`));
    },
    async pull(controller) {
      const page = await within(PAGE_MS, "a page of the export", nextPage(after));
      const last = page.at(-1);
      if (last === undefined) return controller.close();
      after = last.id;
      controller.enqueue(encoder.encode(page.map(lineOf).join("")));
    },
  });
}

const jsonLine = (row: AuditRow): string => `${JSON.stringify(recordView(row))}\n`;

const csvLine = (row: AuditRow): string => {
  const view = recordView(row);
  return `${CSV_COLUMNS.map((column) => csvField(view[column])).join(",")}\r\n`;
};

/** RFC 4180; what a spreadsheet would take for a formula begins with an apostrophe. Exported for tests. */
export function csvField(value: unknown): string {
  const text =
    value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const safe = typeof value === "string" && /^[\s]*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
