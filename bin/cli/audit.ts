import { brokenAt, type ChainedEntry } from "../../src/audit/entry.ts";
import type { Boilerhouse } from "../../src/client/index.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./io.ts";

interface Verdict {
  readonly subject: string;
  readonly entries: number;
  readonly valid: boolean;
  readonly brokenAt?: number;
  readonly reason?: string;
  readonly head: { readonly seq: number; readonly hash: string } | null;
}

/**
 * Whether a subject's record is whole. The API compares it with what the subject's owner says itself; this command
 * follows the chain of what the API gives out as well, so that nobody has to be believed but the last hash.
 */
export async function verifyAudit(
  { api }: Boilerhouse,
  subject: string,
  report: "json" | "text",
  io: Io,
): Promise<number> {
  const query = { subject };
  const verdict = (await api.GET("/api/v1/audit/verify", { params: { query } })).data as Verdict;
  const { data } = await api.GET("/api/v1/audit/export", { params: { query }, parseAs: "text" });
  const found = followed(verdict, String(data ?? ""));
  if (report === "json") io.stdout(`${JSON.stringify(found)}\n`);
  else io.stdout(`${explained(found)}\n`);
  return found.valid ? EXIT.ok : EXIT.refused;
}

/** The API's verdict, unless the exported chain is another. Pure. */
function followed(verdict: Verdict, exported: string): Verdict {
  const chain = exported
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => entryOf(JSON.parse(line) as Exported))
    .filter((entry): entry is ChainedEntry => entry !== null)
    .sort((a, b) => a.seq - b.seq);
  const broken = brokenAt(chain);
  if (broken !== null) return { ...verdict, valid: false, brokenAt: broken, reason: "altered or missing" };
  const told = verdict.head && chain.find(({ seq }) => seq === verdict.head?.seq);
  if (verdict.valid && verdict.head && told?.hash !== verdict.head.hash) {
    return { ...verdict, valid: false, brokenAt: verdict.head.seq, reason: "not what the export says" };
  }
  return verdict;
}

interface Exported extends Omit<ChainedEntry, "at" | "seq" | "prev" | "hash"> {
  readonly at: string;
  readonly seq: number | null;
  readonly prev: string | null;
  readonly hash: string | null;
}

/** Null for a record outside of a chain. What the hash covers is exactly what is named here. */
function entryOf(row: Exported): ChainedEntry | null {
  const { action, subject, actor, requestId, result, before, after, detail, seq, prev, hash } = row;
  if (seq === null || prev === null || hash === null) return null;
  const at = Date.parse(row.at);
  return { at, action, subject, actor, requestId, result, before, after, detail, seq, prev, hash };
}

function explained({ subject, entries, valid, brokenAt, reason, head }: Verdict): string {
  if (!valid) return `✗ ${subject}: record ${brokenAt ?? "?"} is ${reason ?? "not what it was"}`;
  return head ? `✓ ${subject}: ${entries} records, the last is ${head.hash}` : `✓ ${subject}: no chained record`;
}
