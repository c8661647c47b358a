import { messageOf } from "../../durable/deadline.ts";
import { done, failed, type Outcome } from "../../outcome.ts";
import { ContentError, packedContents, reach } from "../contents.ts";
import { treeHash } from "../manifest.ts";
import { sha256Of } from "../packs/format.ts";
import { readLedger } from "../packs/ledger.ts";
import { readPack } from "../packs/read.ts";
import { Refused, transact, type VaultParts } from "../parts.ts";
import { rebuilding, type VaultRecord } from "../plan.ts";
import { ORPHAN_MS } from "../plan-tend.ts";
import { PACK_SOON_MS, treeOf } from "../saves.ts";
import { sizeOf } from "../tree.ts";
import type { FsckPage, FsckProblem } from "../types.ts";
import { Queries } from "./queries.ts";
import { indexMissing } from "./rebuild.ts";

/** How much one page looks at. */
const CONTENTS = 200;
const OBJECTS = 60;
const PACKS = 20;
const LISTED = 500;
const MOST_BROKEN = 50;
const PARALLEL = 6;

const PHASES = ["index", "generations", "contents", "objects", "packs", "listing"] as const;
type Phase = (typeof PHASES)[number];
/** One page of a phase: what it found, and where the phase goes on; null when it is over. */
interface Part {
  looked: number;
  problems: FsckProblem[];
  after: string | null;
}
type Look = (parts: VaultParts, after: string, repair: Repair) => Part | Promise<Part>;
/** Mends by `write`, if that is asked for; answers whether it did. */
type Repair = (write: () => void) => boolean;

/** @throws ContentError when R2 does not answer */
export async function fsck(
  parts: VaultParts,
  cursor: string | null,
  options: { repair: boolean },
): Promise<Outcome<FsckPage>> {
  const at = parseCursor(cursor);
  if (at === null) return failed("invalid", "This is no cursor of a check.");
  const checked = { generations: 0, contents: 0, objects: 0, packs: 0, listed: 0 };
  const record = parts.store.record();
  if (record === null) {
    const detail = "R2 holds generations of this vault, whose index is gone: rebuild it.";
    const problems = (await indexMissing(parts)) ? [problem("index_missing", detail)] : [];
    return done({ checked, problems, next: null });
  }
  const repair: Repair = (write) => {
    if (!options.repair) return false;
    const mended = transact(parts, () => {
      // While R2 was asked the index may have been given up for another: what was found is not true of that.
      if (!isSameIndex(parts, record)) throw new Refused(rebuilding());
      write();
      parts.arm(parts.now() + PACK_SOON_MS);
    });
    return mended.ok;
  };
  const part = await LOOKS[at.phase](parts, at.after, repair);
  if (at.phase !== "index") checked[at.phase === "listing" ? "listed" : at.phase] = part.looked;
  const following = PHASES[PHASES.indexOf(at.phase) + 1];
  const next = part.after !== null ? `${at.phase}:${part.after}` : following === undefined ? null : `${following}:`;
  return done({ checked, problems: part.problems, next });
}

function isSameIndex(parts: VaultParts, { epoch }: VaultRecord): boolean {
  const now = parts.store.record();
  return now?.epoch === epoch && now.rebuilding === 0;
}

function parseCursor(cursor: string | null): { phase: Phase; after: string } | null {
  if (cursor === null) return { phase: "index", after: "" };
  const phase = PHASES.find((one) => cursor.startsWith(`${one}:`));
  return phase === undefined ? null : { phase, after: cursor.slice(phase.length + 1) };
}

const problem = (what: FsckProblem["what"], detail: string, repaired = false): FsckProblem => ({
  what,
  detail,
  repaired,
});

const LOOKS: Record<Phase, Look> = { index, generations, contents, objects, packs, listing };

function index(parts: VaultParts): Part {
  const record = parts.store.record();
  if (record === null) return { looked: 0, problems: [], after: null };
  const broken = new Queries(parts.storage.sql).broken(record.last, MOST_BROKEN);
  const problems = broken.map((detail) => problem("validity", `The entry ${detail} cannot be.`));
  if (record.head !== 0 && parts.store.generation(record.head)?.status !== "kept")
    problems.push(problem("head", `The head, ${record.head}, is no generation of the history.`));
  return { looked: 0, problems, after: null };
}

function generations(parts: VaultParts, after: string, repair: Repair): Part {
  const row = parts.store.generations().find(({ generation }) => generation > Number(after || 0));
  if (row === undefined) return { looked: 0, problems: [], after: null };
  const { generation, files, bytes } = row;
  const problems: FsckProblem[] = [];
  // What the tables say, not what is remembered of them.
  parts.entries.forget();
  const tree = treeOf(parts, row);
  const now = sizeOf(tree.values());
  if (now.files !== files || now.bytes !== bytes) {
    const detail = `Generation ${generation} has ${now.files} files and ${now.bytes} bytes instead of ${files} and ${bytes}.`;
    problems.push(problem("counts", detail));
  }
  if (treeHash(tree) !== row.treeHash)
    problems.push(problem("tree_hash", `The tree of generation ${generation} is not what was committed.`));
  if (parts.packs.of(generation) === null && !parts.packs.pending().includes(generation)) {
    const repaired = repair(() => parts.packs.enqueue(generation));
    problems.push(problem("unpacked", `Generation ${generation} has no manifest in R2.`, repaired));
  }
  return { looked: 1, problems, after: String(generation) };
}

/** Both copies of each: the one in the index, and the one in a pack. Either mends the other. */
async function contents(parts: VaultParts, after: string, repair: Repair): Promise<Part> {
  const batch = new Queries(parts.storage.sql).contents(Number(after || 0), CONTENTS);
  const bodies = batch.map(({ body }) => body);
  const inline = parts.bodies.some(bodies);
  const placed = new Set(parts.packs.places(bodies).map(({ body }) => body));
  const packed = await packedContents(parts, [...placed]);
  const away = packed.failures.find(({ failure }) => failure.code === "storage_unavailable");
  if (away !== undefined) throw away;
  const problems: FsckProblem[] = [];
  for (const { body, size, sha256, key } of batch) {
    const good = (bytes: Uint8Array | undefined) => bytes?.length === size && sha256Of(bytes) === sha256;
    const [here, there] = [good(inline.get(body)), good(packed.contents.get(body))];
    const name = `The content ${body} (${JSON.stringify(key)})`;
    if (!here && !there) problems.push(problem("content_lost", `${name} is nowhere whole.`));
    else if (!here && inline.has(body)) {
      const repaired = repair(() => parts.bodies.remove(body));
      problems.push(problem("content_damaged", `${name} is not what its hash says, its pack has it.`, repaired));
    } else if (!there && placed.has(body)) {
      const repaired = repair(() => packAgain(parts, [body]));
      problems.push(problem("pack_damaged", `${name} is not whole in its pack.`, repaired));
    }
  }
  const last = batch.length < CONTENTS ? null : (bodies.at(-1) ?? null);
  return { looked: batch.length, problems, after: last === null ? null : String(last) };
}

/** Manifests name places, so every generation gets a new one. Inside a commit. */
function packAgain(parts: VaultParts, bodies: readonly number[]): void {
  parts.packs.misplace(bodies);
  for (const { generation } of parts.store.generations()) parts.packs.enqueue(generation);
}

async function objects(parts: VaultParts, after: string): Promise<Part> {
  const batch = new Queries(parts.storage.sql).objects(after, OBJECTS);
  const problems: FsckProblem[] = [];
  await each(batch, async ({ object, size, etag, key }) => {
    const found = await reach(parts.bucket().head(object));
    const name = `${object} (${JSON.stringify(key)})`;
    if (found === null) problems.push(problem("object_missing", `${name} is not in R2.`));
    else if (found.size !== size)
      problems.push(problem("object_damaged", `${name} has ${found.size} bytes instead of ${size}.`));
    else if (otherMd5(found, etag)) problems.push(problem("object_damaged", `${name} has another MD5 than it had.`));
  });
  const last = batch.length < OBJECTS ? null : (batch.at(-1)?.object ?? null);
  return { looked: batch.length, problems, after: last };
}

/** Of what was sent in parts, neither side knows one. */
function otherMd5({ checksums: { md5 } }: R2Object, etag: string): boolean {
  if (md5 === undefined || !/^[0-9a-f]{32}$/.test(etag)) return false;
  return Buffer.from(md5).toString("hex") !== etag;
}

async function packs(parts: VaultParts, after: string, repair: Repair): Promise<Part> {
  const batch = parts.packs.after(Number(after || 0), PACKS);
  const problems = after === "" ? await ledger(parts, repair) : [];
  await each(batch, async ({ pack, object }) => {
    const fault = await faultOf(parts, object);
    if (fault === null) return;
    // What is in the index too is packed again; what is not, the contents have told already.
    const repaired = repair(() => {
      packAgain(parts, parts.packs.inlineOf(pack));
      if (fault.what === "pack_missing" && parts.packs.held(pack) === 0) parts.packs.forget(object);
    });
    problems.push({ ...fault, repaired });
  });
  const last = batch.length < PACKS ? null : (batch.at(-1)?.pack ?? null);
  return { looked: batch.length, problems, after: last === null ? null : String(last) };
}

async function faultOf(parts: VaultParts, object: string): Promise<FsckProblem | null> {
  if ((await reach(parts.bucket().head(object))) === null) return problem("pack_missing", `${object} is not in R2.`);
  try {
    await readPack(parts, object);
    return null;
  } catch (error) {
    if (error instanceof ContentError && error.failure.code === "internal")
      return problem("pack_damaged", error.message);
    throw error;
  }
}

async function ledger(parts: VaultParts, repair: Repair): Promise<FsckProblem[]> {
  const record = parts.store.record();
  if (record === null || record.head === 0 || parts.packs.pending().length > 0) return [];
  const found = await readLedger(parts).catch((error) => messageOf(error));
  const now = JSON.stringify(parts.store.generations());
  if (found !== null && typeof found !== "string") {
    if (found.head === record.head && found.last === record.last && JSON.stringify(found.generations) === now)
      return [];
  }
  const detail =
    typeof found === "string" ? found : `The ledger in R2 is ${found === null ? "missing" : "not up to date"}.`;
  return [
    problem(
      "ledger",
      detail,
      repair(() => parts.packs.enqueue(0)),
    ),
  ];
}

/** R2 objects that nothing refers to. A cursor of R2's, after which of the two folders it belongs to. */
async function listing(parts: VaultParts, after: string, repair: Repair): Promise<Part> {
  const folders = ["objects/", "packs/"];
  const [folder = "objects/", cursor = ""] = after === "" ? [] : after.split("|");
  const prefix = `${parts.prefix()}${folder}`;
  const page = await reach(parts.bucket().list({ prefix, limit: LISTED, ...(cursor !== "" && { cursor }) }));
  const unknown = new Set(new Queries(parts.storage.sql).unknown(page.objects.map(({ key }) => key)));
  const before = parts.now() - ORPHAN_MS;
  const orphans = page.objects.filter(({ key, uploaded }) => unknown.has(key) && uploaded.getTime() < before);
  // The next collection deletes them, if still nothing refers to them then.
  const repaired = orphans.length > 0 && repair(() => orphans.forEach(({ key }) => void parts.garbage.suspect(key)));
  const problems = orphans.map(({ key }) => problem("orphan", `Nothing refers to ${key}.`, repaired));
  const following = folders[folders.indexOf(folder) + 1];
  const next = page.truncated ? `${folder}|${page.cursor}` : following === undefined ? null : `${following}|`;
  return { looked: page.objects.length, problems, after: next };
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const run = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, run));
}
