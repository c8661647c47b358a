import type { Generation } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { contentsOf } from "./contents.ts";
import { transact, type VaultParts } from "./parts.ts";
import { refusal } from "./plan.ts";
import { sourceOf } from "./saves.ts";
import type { Actor, GenerationPage, PageCursor } from "./storage.ts";

/** Generations page by page, for a restore or an export that streams them. Whoever reads holds a lease, which every page renews. */
export async function page(
  parts: VaultParts,
  actor: Actor,
  generation: Generation,
  after: PageCursor | null,
): Promise<Outcome<GenerationPage>> {
  const record = parts.store.record();
  const refused = refusal(record, actor);
  // What the bound container began from stays anyway, and restoring it must not cost a commit.
  return refused ?? read(parts, generation, after, record?.base === generation ? "held" : "leased");
}

/** The same for the API, which acts for no container. */
export const exported = (
  parts: VaultParts,
  generation: Generation,
  after: PageCursor | null,
): Promise<Outcome<GenerationPage>> => read(parts, generation, after, "leased");

async function read(
  parts: VaultParts,
  generation: Generation,
  after: PageCursor | null,
  how: "held" | "leased",
): Promise<Outcome<GenerationPage>> {
  const row = parts.store.record() && parts.store.generation(generation);
  if (row === null) return failed("not_found", `There is no generation ${generation}.`);
  if (how === "leased") lease(parts, generation);
  const { entries, contents, next } = parts.entries.page(sourceOf(row), after);
  const moved = contents.filter((one) => typeof one === "number");
  const found = moved.length === 0 ? null : await contentsOf(parts, moved);
  const bytes = contents.map((one) => (typeof one === "number" ? (found?.get(one) ?? new Uint8Array(0)) : one));
  return done({ entries, packed: concat(bytes), next });
}

/** Keeps a generation from being pruned while it is read. */
export function lease(parts: VaultParts, generation: Generation): void {
  const now = parts.now();
  if (parts.leases.wanting(generation, now)) transact(parts, () => parts.leases.renew(generation, now));
}

function concat(contents: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(contents.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const content of contents) {
    packed.set(content, at);
    at += content.length;
  }
  return packed;
}
