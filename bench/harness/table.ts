import { PROMISES, type Unit } from "../promises.ts";
import { type Result, type Verdict, verdictOf } from "./result.ts";

const DIGITS: Record<Unit, (value: number) => string> = {
  ms: (value) => value.toFixed(value < 20 ? 2 : value < 100 ? 1 : 0),
  "×": (value) => value.toFixed(2),
  "per s": (value) => value.toFixed(0),
  kB: (value) => value.toFixed(0),
  MB: (value) => value.toFixed(0),
  "MB/s": (value) => value.toFixed(0),
  MiB: (value) => value.toFixed(0),
  requests: (value) => value.toFixed(0),
  containers: (value) => value.toFixed(0),
  claims: (value) => value.toFixed(0),
  "an hour": (value) => value.toFixed(1),
  writes: (value) => value.toFixed(0),
};

const HEAD = ["", "measured", "promised", "of it", "n", "compared with", "is ×", "where it goes"];

const MARKS: Record<Verdict, string> = { kept: "✓", broken: "✗", "too few samples": "~" };

/** The results as lines of text; ✗ marks a promise that is not kept, ~ one for which there are too few samples. */
export function table(results: readonly Result[]): string {
  const rows = [HEAD, ...results.map(row)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join("  ");
  return rows.map((cells) => line(cells).trimEnd()).join("\n");
}

/** Numbers stand to the right. */
const pad = (cell: string, width: number, column: number): string =>
  [1, 3, 4, 6].includes(column) ? cell.padStart(width) : cell.padEnd(width);

function row(result: Result): string[] {
  const promise = result.promise ? PROMISES[result.promise] : null;
  const show = (value: number) => `${DIGITS[result.unit](value)} ${result.unit}`;
  const verdict = verdictOf(result);
  const mark = verdict ? MARKS[verdict] : " ";
  const { compared } = result;
  return [
    `${mark} ${result.text}`,
    show(result.value),
    promise ? `${promise.sense === "at most" ? "≤" : "≥"} ${promise.limit} ${promise.unit}` : "",
    promise && promise.limit > 0 ? (result.value / promise.limit).toFixed(2) : "",
    String(result.samples),
    compared ? `${compared.with} ${show(compared.value)}` : "",
    compared ? (result.value / compared.value).toFixed(2) : "",
    result.note,
  ];
}

/** One line for every promise that is not kept, and for every one of these groups that nothing measured. */
export function unmet(results: readonly Result[], groups: readonly string[]): string[] {
  const lines: string[] = [];
  for (const [id, promise] of Object.entries(PROMISES)) {
    if (!groups.includes(promise.group)) continue;
    const result = results.find((one) => one.promise === id);
    const verdict = result ? verdictOf(result) : "not measured";
    if (verdict === "kept") continue;
    const found = result ? `${DIGITS[promise.unit](result.value)} from ${result.samples} samples` : "";
    const wanted = `promised ${promise.sense} ${promise.limit} ${promise.unit}`;
    lines.push(`${id}: ${promise.text}: ${verdict} ${found} (${wanted})`);
  }
  return lines;
}
