import assert from "node:assert/strict";
import { UNCONDITIONAL } from "../../../src/files/etag.ts";
import type { Located } from "../../../src/files/path.ts";
import { FileControl } from "../../../src/instance/file-control.ts";
import { decodeName } from "../../../src/vault/names.ts";
import { bootStateful, type Contract, failureOf, type Harness, STATE_DIR, sh, text, value } from "./harness.ts";
import { claimFresh } from "./parcels.ts";

const LIMIT_MS = 20_000;
const at = (path: string): Located => ({ volume: "state", containerPath: STATE_DIR, path });
const bytes = (content: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(content));

const sent = (body: Uint8Array<ArrayBuffer>, size = body.length) => ({ size, body });

/** A container with an empty state directory of its workload's, and its file operations. */
async function filesOf(harness: Harness) {
  const booted = await bootStateful(harness);
  await claimFresh(booted);
  const control = new FileControl(harness.runtime, booted.keys);
  return {
    control,
    put: (path: string, content: string, condition = UNCONDITIONAL) =>
      control.write(at(path), sent(bytes(content)), condition, undefined, LIMIT_MS),
    stage: (path: string, content: string, stage: string) =>
      control.write(at(path), sent(bytes(content)), UNCONDITIONAL, stage, LIMIT_MS),
    get: async (path: string, range: { offset: number; length: number } | null = null) => {
      const found = await control.read(at(path), range, LIMIT_MS);
      if (!found.ok) return found.failure.code;
      return text(new Uint8Array(await new Response(found.value.body).arrayBuffer()));
    },
    remove: (path: string, condition = UNCONDITIONAL) => control.remove(at(path), condition, LIMIT_MS),
    stat: (path: string) => control.stat(at(path), LIMIT_MS),
    list: async (path: string, more: object = {}) =>
      value(await control.list(at(path), { recursive: true, limit: 100, after: "", ...more }, LIMIT_MS)),
  };
}

const NAMES = [
  "plain.txt",
  "two words",
  "quote\" and ' apostrophe",
  "new\nline",
  "ends with a newline\n",
  "$(touch pwned)`id`;&|<>*?[a]",
  "-rf",
  "back\\slash\\n",
  "100%25 +plus#hash?",
  "ünïcödé 🙂",
  decodeName(Uint8Array.of(0x6e, 0xff, 0xfe, 0x80)),
];

export const files: Contract = {
  "a file is written, read, listed and removed as the workload's user": async (harness) => {
    const { put, get, stat, list, remove } = await filesOf(harness);
    const created = value(await put("sub/dir/a.txt", "alpha"));
    assert.deepEqual([created.how, created.facts.size, created.facts.mode], ["created", 5, 0o644]);
    assert.equal(created.facts.sha256, "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8");
    assert.equal(await get("sub/dir/a.txt"), "alpha");
    await sh(harness.runtime, `chmod 600 ${STATE_DIR}/sub/dir/a.txt`);
    const replaced = value(await put("sub/dir/a.txt", "beta"));
    assert.deepEqual([replaced.how, replaced.facts.mode], ["replaced", 0o600], "its mode is kept");
    assert.deepEqual(value(await stat("sub/dir/a.txt")), replaced.facts);
    assert.equal(value(await stat("sub")).kind, "directory");
    const { entries, more } = await list("");
    assert.deepEqual(
      [entries.map(({ path, kind, size }) => [path, kind, size]), more],
      [
        [
          ["sub", "directory", 0],
          ["sub/dir", "directory", 0],
          ["sub/dir/a.txt", "file", 4],
        ],
        false,
      ],
      "nothing is left beside it",
    );
    assert.equal(entries.at(-1)?.mtimeNs, replaced.facts.mtimeNs);
    value(await remove("sub/dir/a.txt"));
    assert.equal(await get("sub/dir/a.txt"), "not_found");
    assert.equal(failureOf(await remove("sub/dir/a.txt")).code, "not_found");
  },

  "a part of a file is read by where it begins and how long it is": async (harness) => {
    const { put, get } = await filesOf(harness);
    value(await put("digits", "0123456789"));
    assert.equal(await get("digits", { offset: 3, length: 4 }), "3456");
    assert.equal(await get("digits", { offset: 8, length: 100 }), "89");
    assert.equal(await get("digits", { offset: 10, length: 1 }), "");
  },

  "a file of no bytes, and one of several megabytes, come back byte for byte": async (harness) => {
    const { control, put, get } = await filesOf(harness);
    value(await put("nothing", ""));
    assert.equal(await get("nothing"), "");
    const large = new Uint8Array(6_000_000).map((_, index) => (index * 7) % 256);
    const written = value(await control.write(at("large"), sent(large), UNCONDITIONAL, undefined, LIMIT_MS));
    assert.equal(written.facts.sha256, null, "too large to be hashed each time");
    const found = value(await control.read(at("large"), null, LIMIT_MS));
    assert.equal(found.sent, large.length);
    assert.ok(Buffer.from(await new Response(found.body).arrayBuffer()).equals(large));
  },

  "a file that comes shorter or longer than it was announced replaces nothing": async (harness) => {
    const { control, put, get, list } = await filesOf(harness);
    value(await put("a", "whole"));
    for (const size of [0, 3, 100]) {
      const outcome = await control.write(at("a"), sent(bytes("other"), size), UNCONDITIONAL, undefined, LIMIT_MS);
      assert.equal(failureOf(outcome).code, "bad_request", String(size));
    }
    assert.equal(await get("a"), "whole");
    assert.equal((await list("")).entries.length, 1);
  },

  "names of any bytes are names and nothing else": async (harness) => {
    const { put, get, list, remove } = await filesOf(harness);
    for (const name of NAMES) {
      value(await put(`in here/${name}`, name));
      assert.equal(await get(`in here/${name}`), text(new TextEncoder().encode(name)), JSON.stringify(name));
    }
    const listed = (await list("in here")).entries.map(({ path }) => path);
    assert.deepEqual(listed.toSorted(), NAMES.toSorted());
    assert.deepEqual((await list("")).entries.map(({ path }) => path).slice(0, 1), ["in here"]);
    for (const name of NAMES) value(await remove(`in here/${name}`));
    assert.deepEqual((await list("in here")).entries, []);
  },

  "a symlink is never followed, wherever in a path it stands": async (harness) => {
    const { put, get, remove, stat, list, control } = await filesOf(harness);
    value(await put("real/secret.txt", "inside"));
    const links = [`real ${STATE_DIR}/dir`, `/tmp ${STATE_DIR}/tmp`, `/tmp/outside ${STATE_DIR}/file`];
    await sh(harness.runtime, `echo outside > /tmp/outside && ln -s ${links.join(" && ln -s ")}`);
    for (const path of ["dir/secret.txt", "tmp/outside", "file"]) {
      assert.equal(await get(path), "not_a_file", path);
      assert.equal(failureOf(await put(path, "x")).code, "not_a_file", path);
    }
    assert.equal(failureOf(await put("tmp/new", "x")).extra?.kind, "symlink");
    assert.equal(
      failureOf(await control.list(at("tmp"), { recursive: true, limit: 9, after: "" }, LIMIT_MS)).code,
      "not_a_file",
    );
    assert.equal(failureOf(await remove("tmp/outside")).code, "not_a_file");
    assert.equal(value(await stat("file")).kind, "symlink");
    assert.ok(!(await list("")).entries.some(({ path }) => path.startsWith("tmp/")));
    value(await remove("file")); // the symlink itself
    assert.equal(failureOf(await stat("file")).code, "not_found");
    assert.equal(await sh(harness.runtime, "cat /tmp/outside"), "outside\n");
  },

  "what is no regular file is refused, and says what it is": async (harness) => {
    const { put, get, remove } = await filesOf(harness);
    value(await put("sub/a", "x"));
    assert.equal(await get("sub"), "not_a_file");
    assert.equal(failureOf(await put("sub", "x")).extra?.kind, "directory");
    assert.equal(failureOf(await remove("sub")).extra?.kind, "directory");
    assert.equal(await get("sub/a/b"), "not_found");
    assert.equal(failureOf(await put("sub/a/b", "x")).code, "not_a_file");
  },

  "what the workload's user may not do is not done": async (harness) => {
    const { get, put, remove } = await filesOf(harness);
    await sh(
      harness.runtime,
      `mkdir ${STATE_DIR}/roots && echo secret > ${STATE_DIR}/roots/a && chmod 700 ${STATE_DIR}/roots`,
    );
    assert.equal(await get("roots/a"), "forbidden");
    assert.equal(failureOf(await put("roots/a", "x")).code, "forbidden");
    assert.equal(failureOf(await remove("roots/a")).code, "forbidden");
    await sh(harness.runtime, `echo secret > ${STATE_DIR}/own && chmod 600 ${STATE_DIR}/own`);
    assert.equal(await get("own"), "forbidden");
  },

  "a write may ask what it replaces": async (harness) => {
    const { put, remove, stat } = await filesOf(harness);
    const tag = (value(await put("a", "one")).facts.sha256 ?? "") as string;
    const refused = async (outcome: ReturnType<typeof put> | ReturnType<typeof remove>) =>
      failureOf(await outcome).code;
    assert.equal(await refused(put("a", "two", { match: "0".repeat(64), noneMatch: null })), "version_mismatch");
    assert.equal(await refused(put("a", "two", { match: null, noneMatch: "*" })), "version_mismatch");
    assert.equal(await refused(put("b", "two", { match: "*", noneMatch: null })), "version_mismatch");
    assert.equal(await refused(remove("a", { match: "nope", noneMatch: null })), "version_mismatch");
    assert.equal(value(await stat("a")).sha256, tag);
    value(await put("a", "two", { match: tag, noneMatch: null }));
    value(await put("b", "new", { match: null, noneMatch: "*" }));
    const now = value(await stat("a")).sha256;
    value(await remove("a", { match: now, noneMatch: null }));
  },

  "a listing goes on where a page ended, in one order": async (harness) => {
    const { put, list } = await filesOf(harness);
    const names = ["10", "9", "a", "a-b", "a.d/x", "a.d/y", "z\nz"];
    for (const name of names) value(await put(name, "x"));
    const seen: string[] = [];
    for (let after = "", more = true; more; ) {
      const page = await list("", { limit: 2, after });
      seen.push(...page.entries.map(({ path, kind }) => (kind === "directory" ? `${path}/` : path)));
      after = seen.at(-1) ?? "";
      more = page.more;
    }
    assert.deepEqual(seen, ["10", "9", "a", "a-b", "a.d/", "a.d/x", "a.d/y", "z\nz"]);
    assert.deepEqual((await list("", { recursive: false })).entries.length, 6);
    assert.deepEqual(
      (await list("a.d")).entries.map(({ path }) => path),
      ["x", "y"],
    );
  },

  "what was staged is put in place all of it or not at all": async (harness) => {
    const { control, put, stage, get, list } = await filesOf(harness);
    const change = (how: "put" | "delete", path: string, name: string) => ({ how, path, stage: name });
    value(await put("old", "old"));
    value(await put("gone", "gone"));
    value(await stage("old", "new", ".stage-1"));
    value(await stage("sub/fresh", "fresh", ".stage-2"));
    assert.equal(await get("old"), "old");
    const changes = [
      change("put", "old", ".stage-1"),
      change("put", "sub/fresh", ".stage-2"),
      change("delete", "gone", ".stage-3"),
    ];
    value(await control.commit(STATE_DIR, changes, LIMIT_MS));
    const paths = async () => (await list("")).entries.map(({ path }) => path);
    assert.deepEqual(
      [await get("old"), await get("sub/fresh"), await paths()],
      ["new", "fresh", ["old", "sub", "sub/fresh"]],
    );

    value(await stage("old", "newer", ".stage-4"));
    const failing = [change("put", "old", ".stage-4"), change("delete", "no such file", ".stage-5")];
    assert.equal(failureOf(await control.commit(STATE_DIR, failing, LIMIT_MS)).code, "not_found");
    assert.deepEqual([await get("old"), await paths()], ["new", ["old", "sub", "sub/fresh"]]);
  },
};
