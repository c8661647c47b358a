import { done, failed, type Outcome } from "../outcome.ts";
import { contentOf } from "./contents.ts";
import { listPage } from "./listing.ts";
import { type Found, infoOf, linkTarget, plain } from "./object-info.ts";
import { objection } from "./only-if.ts";
import { Refused, transact, type VaultParts } from "./parts.ts";
import { refusal } from "./plan.ts";
import { linkContent, type View } from "./staging.ts";
import type {
  Actor,
  BundleBatch,
  ListPage,
  ListQuery,
  NewObject,
  NewUpload,
  ObjectInfo,
  ObjectMetadata,
  ObjectRead,
  OnlyIf,
  OpenUpload,
  UploadPart,
} from "./storage.ts";
import type { Save } from "./store.ts";
import { type Content, keyOf, type Staged } from "./tree.ts";

/** What the storage gateway does with a Vault. Every function compares the actor first, in the transaction of its effect. */
export function list(parts: VaultParts, actor: Actor, query: ListQuery): Outcome<ListPage> {
  const view = viewOf(parts, actor);
  if (!view.ok) return view;
  return done(listPage(query, (from) => parts.staging.scan(view.value, query.prefix, from)));
}

export async function read(parts: VaultParts, actor: Actor, key: string): Promise<Outcome<ObjectRead | null>> {
  const view = viewOf(parts, actor);
  if (!view.ok) return view;
  const found = lookUp(parts, view.value, key);
  if (found === null) return done(null);
  const info = infoOf(found, view.value);
  if (found.content === null) return done({ info, body: bytesOf(parts, found), object: null });
  return done({ info, body: await contentOf(parts, found.content), object: found.content.object });
}

export function put(
  parts: VaultParts,
  actor: Actor,
  object: NewObject,
  body: Uint8Array | null,
  onlyIf: readonly OnlyIf[] = [],
): Outcome<ObjectInfo> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    mustHold(parts, save, onlyIf);
    const staged = stagedOf(parts, object, body);
    claimObject(parts, save, object.content.object);
    parts.staging.put(save.save, [staged]);
    return infoOf(staged, view(parts, save));
  });
}

export function copy(
  parts: VaultParts,
  actor: Actor,
  from: string,
  to: string,
  metadata: ObjectMetadata | null,
  onlyIf: readonly OnlyIf[] = [],
): Outcome<ObjectInfo | null> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    mustHold(parts, save, onlyIf);
    const source = lookUp(parts, view(parts, save), from);
    if (source === null) return null;
    const info = infoOf(source, view(parts, save));
    const kept = metadata ?? info.metadata;
    const inline = bytesOf(parts, source);
    // Only a symlink's content has no row of its own yet.
    const content: Content = source.content ?? {
      ...linkContent(source.target),
      partSize: null,
      body: null,
      object: null,
    };
    const staged =
      source.content === null || linkTarget(to, kept, inline) !== null
        ? stagedOf(parts, { key: to, content, metadata: kept }, inline)
        : { ...plain(parts.now(), to, kept), content };
    parts.staging.put(save.save, [{ ...staged, mtimeNs: staged.mtimeNs ?? source.mtimeNs }]);
    return infoOf(staged, view(parts, save));
  });
}

export function remove(
  parts: VaultParts,
  actor: Actor,
  keys: readonly string[],
  onlyIf: readonly OnlyIf[] = [],
): Outcome<null> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    mustHold(parts, save, onlyIf);
    const gone = { kind: "file" as const, removed: true, mtimeNs: null, target: "", content: null, metadata: null };
    parts.staging.put(
      save.save,
      [...new Set(keys)].map((key) => ({ key, ...gone })),
    );
    return null;
  });
}

export function reserve(parts: VaultParts, actor: Actor, count: number): Outcome<{ objects: string[] }> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    const objects = Array.from({ length: count }, () => `${parts.prefix()}objects/${parts.uuid()}`);
    for (const object of objects) parts.uploads.reserve(object, save.save, parts.now());
    return { objects };
  });
}

export function beginUpload(parts: VaultParts, actor: Actor, upload: NewUpload): Outcome<null> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    if (!parts.uploads.reserved(upload.object, save.save)) throw new Refused(superseded());
    parts.uploads.begin(upload);
    return null;
  });
}

export function upload(parts: VaultParts, actor: Actor, object: string): Outcome<NewUpload | null> {
  const refused = refusal(parts.store.record(), actor);
  if (refused !== null) return refused;
  const [save] = parts.store.openSaves();
  return done(save === undefined ? null : parts.uploads.find(object, save.save));
}

export function uploads(parts: VaultParts, actor: Actor): Outcome<OpenUpload[]> {
  const refused = refusal(parts.store.record(), actor);
  if (refused !== null) return refused;
  const [save] = parts.store.openSaves();
  return done(save === undefined ? [] : parts.uploads.ofSave(save.save));
}

export function parts(vault: VaultParts, actor: Actor, object: string): Outcome<UploadPart[]> {
  const found = upload(vault, actor, object);
  return found.ok ? done(found.value === null ? [] : vault.uploads.parts(object)) : found;
}

export function putPart(parts: VaultParts, actor: Actor, object: string, part: UploadPart): Outcome<null> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    if (!parts.uploads.reserved(object, save.save)) throw new Refused(superseded());
    parts.uploads.putPart(object, part);
    return null;
  });
}

export function dropUpload(parts: VaultParts, actor: Actor, object: string): Outcome<boolean> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    if (parts.uploads.find(object, save.save) === null) return false;
    parts.uploads.forget(object);
    parts.garbage.suspect(object);
    return true;
  });
}

export function beginBundle(parts: VaultParts, actor: Actor): Outcome<{ attempt: number }> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    const attempt = save.attempt + 1;
    parts.staging.clear(save.save);
    parts.store.updateSave({ ...save, attempt, bundle: "begun" });
    return { attempt };
  });
}

export function stageBundle(parts: VaultParts, actor: Actor, batch: BundleBatch): Outcome<null> {
  return transact(parts, () => {
    const save = openSave(parts, actor);
    if (save.bundle !== "begun" || save.attempt !== batch.attempt) throw new Refused(superseded());
    const contents: Uint8Array[] = [];
    let at = 0;
    for (const { content } of batch.entries) {
      if (content === null || content.object !== null || content.size === 0) continue;
      contents.push(batch.packed.subarray(at, at + content.size));
      at += content.size;
    }
    let body = parts.bodies.add(contents);
    parts.staging.add(
      save.save,
      batch.entries.map(({ path, kind, mtimeNs, target, content }) => {
        if (content?.object) claimObject(parts, save, content.object);
        const inline = content !== null && content.object === null && content.size > 0;
        const where = content === null ? null : { ...content, body: inline ? body++ : null };
        return { key: keyOf(path, kind), kind, removed: false, mtimeNs, target, content: where, metadata: null };
      }),
    );
    if (batch.manifest) parts.staging.addToManifest(save.save, batch.manifest);
    if (batch.last) parts.store.updateSave({ ...save, bundle: "complete" });
    return null;
  });
}

/** Inside a commit. @throws Refused */
function openSave(parts: VaultParts, actor: Actor): Save {
  const refused = refusal(parts.store.record(), actor);
  if (refused !== null) throw new Refused(refused);
  const [save] = parts.store.openSaves();
  if (save === undefined) throw new Refused(failed("save_failed", "No save is open."));
  return save;
}

/** Inside a commit. @throws Refused */
function mustHold(parts: VaultParts, save: Save, onlyIf: readonly OnlyIf[]): void {
  for (const { key, is } of onlyIf) {
    const found = lookUp(parts, view(parts, save), key);
    const failure = objection(is, found === null ? null : infoOf(found, view(parts, save)).etag);
    if (failure !== null) throw new Refused({ failure });
  }
}

const superseded = () => failed("save_failed", "This upload belongs to a save that ended.");

/** A reserved R2 key becomes part of the save; an upload that began in another save cannot. Inside a commit. @throws Refused */
function claimObject(parts: VaultParts, save: Save, object: string | null): void {
  if (object === null) return;
  if (!parts.uploads.reserved(object, save.save)) throw new Refused(superseded());
  parts.uploads.forget(object);
}

const view = (parts: VaultParts, save: Save): View => ({
  save: save.save,
  base: save.bundle === "none" ? save.base : 0,
  nowNs: `${parts.now()}000000`,
});

function viewOf(parts: VaultParts, actor: Actor): Outcome<View> {
  const record = parts.store.record();
  const refused = refusal(record, actor);
  if (refused !== null || record === null) return refused ?? failed("internal", "No record.");
  const [save] = parts.store.openSaves();
  return done(
    save === undefined ? { save: null, base: record.base, nowNs: `${parts.now()}000000` } : view(parts, save),
  );
}

function lookUp(parts: VaultParts, within: View, key: string): Found | null {
  const staged = within.save === null ? null : parts.staging.find(within.save, key);
  if (staged !== null) return staged.removed ? null : staged;
  const entry = parts.entries.find(within.base, key);
  return entry === null ? null : { ...entry, key };
}

/** Inline content; null where it is in R2, on its own or in a pack. */
function bytesOf(parts: VaultParts, found: Found): Uint8Array | null {
  if (found.content === null) return new TextEncoder().encode(found.target);
  if (found.content.object !== null) return null;
  return found.content.body === null ? new Uint8Array(0) : parts.bodies.find(found.content.body);
}

/** Inside a commit. */
function stagedOf(parts: VaultParts, object: NewObject, body: Uint8Array | null): Staged {
  const base = plain(parts.now(), object.key, object.metadata);
  const target = linkTarget(object.key, object.metadata, body);
  if (target !== null) return { ...base, kind: "symlink", target, content: null };
  const row = body !== null && body.length > 0 ? parts.bodies.add([body]) : null;
  return { ...base, content: { ...object.content, body: row } };
}
