import { done, failed, type Outcome } from "../outcome.ts";
import { sha256 } from "../sha256.ts";
import { writtenView } from "./answers.ts";
import { nameOf, type Todo, type WriteTodo } from "./batch.ts";
import type { ContainerFiles } from "./container.ts";
import { tagOf, UNCONDITIONAL } from "./etag.ts";
import type { StagedChange } from "./types.ts";

type Fields = Record<string, unknown>;
export type Change = WriteTodo | Extract<Todo, { op: "delete" }>;
export interface NamedChange {
  index: number;
  change: Change;
}

/** What became of all, by index; or the one that stopped them, and nothing happened. */
export type Applied =
  | { all: Map<number, Fields> }
  | { stoppedBy: number; failure: Outcome<never> }
  | { failure: Outcome<never> };

/**
 * Writes and removals that happen together or not at all: everything is staged beside its place first, then one call puts it all in
 * place or takes it all back. `inTime` bounds each step.
 */
export async function applyTogether(
  container: ContainerFiles,
  token: string,
  changes: readonly NamedChange[],
  inTime: <T>(work: Promise<Outcome<T>>) => Promise<Outcome<T>>,
): Promise<Applied> {
  const staged: StagedChange[] = [];
  const views = new Map<number, Fields>();
  const names = changes.map(({ index, change }) => nameOf(token, index, change));
  for (const [position, { index, change }] of changes.entries()) {
    const stage = `.boilerhouse-${names[position]?.slice(0, 32)}`;
    const prepared = await inTime(
      change.op === "write" ? stageWrite(container, change, stage) : check(container, change),
    );
    if (!prepared.ok) {
      await drop(container, staged);
      return { stoppedBy: index, failure: prepared };
    }
    views.set(index, prepared.value);
    staged.push({ how: change.op === "write" ? "put" : "delete", at: change.at, stage });
  }
  const committed = await inTime(container.ask({ op: "commit", changes: staged, name: sha256(names.join("\n")) }));
  // It was done before under this name: what was staged anew is left over.
  if (!committed.ok || committed.value.replayed) await drop(container, staged);
  if (!committed.ok) return { failure: committed };
  const { replayed } = committed.value;
  return { all: new Map([...views].map(([index, view]) => [index, replayed ? { ...view, replayed } : view])) };
}

async function stageWrite(
  container: ContainerFiles,
  { at, content, condition }: WriteTodo,
  stage: string,
): Promise<Outcome<Fields>> {
  const written = await container.ask({ op: "write", at, size: content.length, body: content, condition, stage });
  if (!written.ok) return written;
  const { how, facts } = written.value;
  return done(writtenView(how, facts, tagOf(facts) ?? "", false));
}

async function check(
  container: ContainerFiles,
  { at, condition: { match } }: Extract<Change, { op: "delete" }>,
): Promise<Outcome<Fields>> {
  if (match === null || match === "*") return done({});
  const facts = await container.ask({ op: "stat", at });
  if (!facts.ok) return facts;
  return tagOf(facts.value) === match ? done({}) : failed("version_mismatch", "It changed.");
}

/** Nothing that was staged stays. */
async function drop(container: ContainerFiles, staged: readonly StagedChange[]): Promise<void> {
  for (const { at, stage } of staged) {
    const path = at.path.replace(/[^/]*$/, stage);
    await container.ask({ op: "delete", at: { ...at, path }, condition: UNCONDITIONAL });
  }
}
