import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { generation } from "../../src/ids.ts";
import { SCHEMA } from "../../src/vault/schema.ts";
import { aContainer, aManifest, Container, expectOk, type Node, unique } from "./vault-kit.ts";

/** The tables as the first release made them, with one committed save and one under way; nothing here may follow the code. */
const SCHEMA_1 = [
  "CREATE TABLE vault (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT, base INTEGER NOT NULL, head INTEGER NOT NULL, last INTEGER NOT NULL) STRICT",
  "CREATE TABLE saves (save INTEGER PRIMARY KEY, save_id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT NOT NULL, base INTEGER NOT NULL, attempt INTEGER NOT NULL, bundle TEXT NOT NULL, at INTEGER NOT NULL, generation INTEGER, outcome TEXT) STRICT",
  "CREATE TABLE manifests (save INTEGER NOT NULL, part INTEGER NOT NULL, entries TEXT NOT NULL, PRIMARY KEY (save, part)) STRICT, WITHOUT ROWID",
  "CREATE TABLE staged (save INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, removed INTEGER NOT NULL, mtime_ns TEXT, target TEXT NOT NULL, size INTEGER, sha256 TEXT, part_size INTEGER, etag TEXT, body INTEGER, object TEXT, metadata TEXT, PRIMARY KEY (save, key, kind)) STRICT, WITHOUT ROWID",
  "CREATE TABLE uploads (object TEXT PRIMARY KEY, save INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT, r2_upload_id TEXT, metadata TEXT) STRICT, WITHOUT ROWID",
  "CREATE TABLE parts (object TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, md5 TEXT NOT NULL, r2_etag TEXT NOT NULL, PRIMARY KEY (object, number)) STRICT, WITHOUT ROWID",
  "CREATE TABLE generations (generation INTEGER PRIMARY KEY, status TEXT NOT NULL, save_id TEXT NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT NOT NULL, at INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, changed INTEGER NOT NULL, tree_hash TEXT NOT NULL) STRICT",
  "CREATE TABLE entries (key TEXT NOT NULL, kind TEXT NOT NULL, from_gen INTEGER NOT NULL, to_gen INTEGER NOT NULL, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, mtime_ns TEXT NOT NULL, target TEXT NOT NULL, size INTEGER, sha256 TEXT, part_size INTEGER, etag TEXT, body INTEGER, object TEXT, metadata TEXT, PRIMARY KEY (key, kind, from_gen)) STRICT, WITHOUT ROWID",
  "CREATE TABLE aside (generation INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, mtime_ns TEXT NOT NULL, target TEXT NOT NULL, size INTEGER, sha256 TEXT, part_size INTEGER, etag TEXT, body INTEGER, object TEXT, metadata TEXT, PRIMARY KEY (generation, key, kind)) STRICT, WITHOUT ROWID",
  "CREATE TABLE bodies (body INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
  "CREATE TABLE garbage (body INTEGER, object TEXT) STRICT",
  "CREATE INDEX saves_open ON saves (state) WHERE state = 'open'",
  "CREATE INDEX entries_body ON entries (body) WHERE body IS NOT NULL",
  "CREATE INDEX entries_object ON entries (object) WHERE object IS NOT NULL",
  "CREATE INDEX entries_ended ON entries (to_gen) WHERE to_gen < 9007199254740991",
  "CREATE INDEX aside_body ON aside (body) WHERE body IS NOT NULL",
  "CREATE INDEX aside_object ON aside (object) WHERE object IS NOT NULL",
  "CREATE INDEX staged_body ON staged (body) WHERE body IS NOT NULL",
  "CREATE INDEX staged_object ON staged (object) WHERE object IS NOT NULL",
  "INSERT INTO vault VALUES (1, 1, 4, 'c-old', 1, 1, 1)",
  `INSERT INTO saves VALUES (1, 'first', 'committed', 3, 'c-old', 0, 1, 'complete', 1767225600000, 1, '{"ok":true,"value":{"generation":1,"files":1,"bytes":5,"changed":1}}')`,
  "INSERT INTO saves VALUES (2, 'second', 'open', 4, 'c-old', 1, 0, 'none', 1767225700000, NULL, NULL)",
  `INSERT INTO manifests VALUES (2, 0, '[["","directory",488,10001,10001,0,"1767225600123456789","1","1",""],["a","file",420,10001,10001,5,"1767225600123456789","1","2",""]]')`,
  "INSERT INTO generations VALUES (1, 'kept', 'first', 3, 'c-old', 1767225600000, 1, 5, 1, 'f06a05a6e8ea0c6fbd9d4aff1c7fcd1e8d5f7b4f3cdb1c2a1f1f0d5a4b3c2d1e')",
  "INSERT INTO entries VALUES ('', 'directory', 1, 9007199254740991, 488, 10001, 10001, '1767225600123456789', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
  "INSERT INTO entries VALUES ('a', 'file', 1, 9007199254740991, 420, 10001, 10001, '1767225600123456789', '', 5, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', NULL, 'e', 1, NULL, NULL)",
  "INSERT INTO bodies VALUES (1, X'68656C6C6F')",
];

async function anOldVault(): Promise<Container> {
  const container = new Container(unique("tenant"), 4, "c-old");
  const stub = env.VAULT.getByName(container.tenantId);
  await runInDurableObject(stub, (_, { storage }) => {
    for (const statement of SCHEMA_1) storage.sql.exec(statement);
  });
  await evictDurableObject(stub);
  return container;
}
const inside = <T>(container: Container, look: (sql: SqlStorage) => T): Promise<T> =>
  runInDurableObject(env.VAULT.getByName(container.tenantId), (_, { storage }) => look(storage.sql));

/** Columns of every table, and the indexes. */
const shape = (sql: SqlStorage) =>
  sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name")
    .toArray()
    .map(({ name }) => [
      name,
      sql
        .exec<{ name: string; type: string }>("SELECT name, type FROM pragma_table_info(?)", name)
        .toArray()
        .map((column) => `${column.name} ${column.type}`)
        .sort(),
    ]);

describe("a vault of the first schema", () => {
  it("has the tables of today once it is used, and all that it held", async () => {
    const container = await anOldVault();
    const { vault } = container;
    expect(await vault.describe()).toMatchObject({ epoch: 4, head: { generation: 1, files: 1, bytes: 5 } });
    const fresh = await aContainer();
    expect(await inside(container, shape)).toEqual(await inside(fresh, shape));
    expect((await expectOk(vault.readFile("a", generation(1)))).found?.body).toEqual(new TextEncoder().encode("hello"));
    const tar = new TextDecoder().decode(await (await container.fetch("/.bundle/1.tar")).bytes());
    expect(tar).toContain("hello");
  });

  it("goes on with the save that was under way, and remembers the one before", async () => {
    const container = await anOldVault();
    const { vault } = container;
    expect(await vault.commit(container.save("first"), { force: false })).toMatchObject({
      ok: true,
      value: { generation: 1 },
    });
    expect(await vault.commit(container.save("second"), { force: false })).toMatchObject({
      ok: true,
      value: { generation: 2, files: 1, changed: 0 },
    });
    const next: Node[] = [
      { path: "a", content: "hello" },
      { path: "b", content: "b" },
    ];
    expect(await container.saveAll(next)).toMatchObject({ ok: true, value: { generation: 3, changed: 1 } });
  });

  it("is migrated once", async () => {
    const container = await anOldVault();
    await container.vault.describe();
    await evictDurableObject(env.VAULT.getByName(container.tenantId));
    await container.vault.describe();
    expect(await inside(container, (sql) => sql.exec("SELECT schema FROM vault").one())).toEqual({ schema: SCHEMA });
  });
});

it("a vault of a newer schema than this Worker knows is not touched, and says so", async () => {
  const container = await aContainer();
  await expectOk(container.saveAll([{ path: "a", content: "a" }]));
  const stub = env.VAULT.getByName(container.tenantId);
  const before = await inside(container, (sql) => {
    sql.exec("UPDATE vault SET schema = 99");
    return sql.exec("SELECT * FROM generations").toArray();
  });
  await evictDurableObject(stub);
  const refused = {
    ok: false,
    failure: { code: "internal", detail: expect.stringMatching(/newer Worker \(schema 99; this one knows \d+\)/) },
  };
  expect(await container.fence()).toMatchObject(refused);
  expect(await container.vault.open(container.save(), aManifest([]))).toMatchObject(refused);
  expect(await container.vault.stat("a", null)).toMatchObject(refused);
  await runDurableObjectAlarm(stub);
  expect(await inside(container, (sql) => sql.exec("SELECT * FROM generations").toArray())).toEqual(before);
});
